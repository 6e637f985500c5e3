"""A run of `python -m parc.correct` in processes of its own, killed or stopped at any moment, and started again."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from easy_clips import easy_overrides, standing_clip

from command_line import subprocess_environment
from parc.anim.clip_files import write_clip

KILLS = int(os.environ.get("PARC_TEST_KILLS", 4))
CLIPS = 12
INTERRUPTED = 75  # the exit code
RUN = Path("data/iter1/p4_phys_record")

pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path):
    for number in range(CLIPS):
        clip = replace(standing_clip(number), name=f"standing_{number:02d}")
        path = tmp_path / f"data/iter1/p2_kin_gen/standing/{clip.name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, clip)
    command = [sys.executable, "-m", "parc.correct", *easy_overrides(), "threads=2"]

    def start(*more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, *more], cwd=tmp_path, env=subprocess_environment(), stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    return start


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for ending in ("safetensors", "npz") for path in folder.rglob(f"*.{ending}")}


def num_done(folder: Path) -> int:
    return len(list(folder.glob("simulations/*.npz")))


def wait_for_more(process: subprocess.Popen[str], folder: Path, done: int) -> None:
    until = time.monotonic() + 120
    while num_done(folder) <= done and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)


def end_with_it(session: int) -> bool:
    """Wait until no process of a session is there."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_kills_at_random_moments_change_no_clip(start, tmp_path):
    with start("output_dir=undisturbed") as process:
        assert process.wait(timeout=300) == 0, process.stderr and process.stderr.read()
    moments, folder, done = random.Random(0), tmp_path / RUN, 0
    for _ in range(KILLS):
        with start() as process:
            wait_for_more(process, folder, done)
            time.sleep(moments.uniform(0.0, 0.3))
            process.kill()
        assert end_with_it(process.pid), "its workers end with it"
        done = num_done(folder)
    with start() as process:
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0, said
    assert contents(folder) == contents(tmp_path / "undisturbed") and len(contents(folder)) == 3 * CLIPS
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_what_is_done_is_kept(start, tmp_path, number):
    """Ctrl+C reaches its workers, too."""
    folder = tmp_path / RUN
    with start() as process:
        wait_for_more(process, folder, 1)
        asked = time.monotonic()
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert time.monotonic() - asked < 5 and process.returncode == INTERRUPTED
    assert end_with_it(process.pid)
    last = said.strip().splitlines()[-1]
    assert (
        f"stopped by {number.name} while clips were corrected; those that are done are kept; to correct the others: "
        "python -m parc.correct" in last
    )
    assert "Traceback" not in said
    before = contents(folder)
    assert 2 <= num_done(folder) < CLIPS
    with start() as process:
        assert process.wait(timeout=300) == 0
    after = contents(folder)
    assert len(after) == 3 * CLIPS and all(after[name] == content for name, content in before.items())
