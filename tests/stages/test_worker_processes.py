"""Work in several processes: each result with its item, and no process left behind, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numbered_work
import pytest

from parc.configuration.errors import UserError
from parc.stages.worker_processes import available_cores, results_of

WORK = """
import sys
from pathlib import Path
import numbered_work
from parc.stages.worker_processes import results_of
if __name__ == "__main__":
    list(results_of(numbered_work.patient, [Path(sys.argv[1])], 1))
"""


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def workers_in(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


def test_results_come_with_their_items_from_processes_of_one_thread():
    assert available_cores() >= 1
    expected = {number: (2 * number, "1", 1) for number in range(7)}
    assert dict(results_of(numbered_work.doubled, range(7), 2)) == expected
    assert list(results_of(numbered_work.doubled, [], 1)) == []


def test_whoever_asks_for_results_goes_on_with_as_many_threads_as_before(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    assert dict(results_of(numbered_work.doubled, range(2), 1))[1][1] == "1"
    assert dict(os.environ) == before


def test_an_error_stops_the_others_and_leaves_no_process(tmp_path):
    with pytest.raises(UserError, match=r"^clip\.safetensors: broken$"):
        list(results_of(numbered_work.refused, [(tmp_path, what) for what in ("stay", "raise", "stay")], 2))
    workers = workers_in(tmp_path)
    assert workers and wait_until(lambda: not any(map(is_alive, workers)))


def test_a_process_that_is_killed_is_said_in_one_line(tmp_path):
    with pytest.raises(
        UserError, match=r"^a process that did part of the work was killed .*the same command"
    ) as refusal:
        list(results_of(numbered_work.refused, [(tmp_path, "end")], 1))
    assert "\n" not in str(refusal.value)


def test_whoever_is_interrupted_leaves_no_process(tmp_path):
    """As by a signal's handler that raises an error, wherever its process is."""

    def interrupt(*_):
        if workers_in(tmp_path):
            raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(TimeoutError):
            list(results_of(numbered_work.patient, [tmp_path, tmp_path], 1))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    (worker,) = workers_in(tmp_path)
    assert wait_until(lambda: not is_alive(worker))


def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path):
    script, folder = tmp_path / "work.py", tmp_path / "workers"
    script.write_text(WORK)
    folder.mkdir()
    modules = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [sys.executable, str(script), str(folder)], env=os.environ | {"PYTHONPATH": modules}
    ) as parent:
        assert wait_until(lambda: bool(workers_in(folder)))
        (worker,) = workers_in(folder)
        os.kill(worker, signal.SIGINT)  # which is for the one that started it
        time.sleep(0.2)
        assert is_alive(worker)
        parent.kill()
    assert wait_until(lambda: not is_alive(worker))
