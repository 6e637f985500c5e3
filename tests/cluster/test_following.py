"""Following jobs to their end, whatever SLURM says of them or does not; and showing them as they were typed."""

import csv
import json
import os
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from recorded_sweeps import finish, record

from parc.cluster.sweep_lock import sweep_lock
from parc.cluster.sweep_plan import read_sweep
from parc.configuration.errors import UserError
from parc.stages.progress import Progress, write_progress
from parc.sweep import show_sweep

NO_ACCOUNTING = "Slurm accounting storage is disabled"
UNKNOWN_TO_THE_QUEUE = "slurm_load_jobs error: Invalid job id specified"


def states(sweep: Path) -> list[str]:
    with (sweep / "sweep.csv").open() as file:
        return [row["state"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("pending", "cancelled"),
    [("7_[1-3%1]", [1, 2, 3]), ("7_[1,4-6]", [1, 4, 5, 6]), ("7_[1-7:2%2]", [1, 3, 5, 7]), ("7_[12]", [12])],
)
def test_tasks_that_were_cancelled_while_they_waited_have_stopped(fake_slurm, looks, tmp_path, pending, cancelled):
    """`scancel 7` leaves one line of accounting for all tasks of an array that had not started."""
    sweep = tmp_path / "sweep"
    finish(record(sweep, "7_0", *(f"7_{number}" for number in cancelled))[0])
    fake_slurm.answers("sacct", f"7_0|COMPLETED\n{pending}|CANCELLED by 1000\n")
    assert show_sweep(sweep, wait=True) == 1
    assert states(sweep) == ["finished", *["stopped"] * len(cancelled)]


def tell(fake_slurm, accounted: str | None, queued: str | None, otherwise: str) -> None:
    """Let accounting and the queue say so of job 7; None for accounting that is off, or a queue that fails as said."""
    if accounted:
        fake_slurm.answers("sacct", f"7|{accounted}\n")
    else:
        fake_slurm.answers("sacct", error=NO_ACCOUNTING, code=1)
    if queued:
        fake_slurm.answers("squeue", f"7|{queued}\n")
    else:
        fake_slurm.answers("squeue", error=otherwise, code=1)


@pytest.mark.parametrize(
    ("accounted", "queued", "end"),
    [
        ("PREEMPTED", "", "stopped"),  # PreemptMode=CANCEL, before training began
        ("PREEMPTED", "PREEMPTED", "stopped"),
        ("NODE_FAIL", "", "failed"),
        ("NODE_FAIL", "NODE_FAIL", "failed"),
        ("BOOT_FAIL", "", "failed"),
        ("DEADLINE", "", "failed"),
        ("OUT_OF_MEMORY", "", "failed"),
        ("RUNNING", "", "failed"),  # its end never reached accounting
        (None, "CANCELLED", "stopped"),  # nor did anything else
        (None, "TIMEOUT", "failed"),
        (None, "", "failed"),
    ],
)
def test_a_job_that_will_not_come_back_is_not_waited_for(fake_slurm, looks, tmp_path, accounted, queued, end):
    record(tmp_path / "sweep", "7")
    tell(fake_slurm, accounted, queued, otherwise=UNKNOWN_TO_THE_QUEUE)
    assert show_sweep(tmp_path / "sweep", wait=True) == 1
    assert states(tmp_path / "sweep") == [end]


@pytest.mark.parametrize(
    ("accounted", "queued", "state"),
    [
        ("PREEMPTED", "PENDING", "waiting"),  # requeued
        ("NODE_FAIL", "PENDING", "waiting"),
        ("NODE_FAIL", "RUNNING", "running"),
        (None, "RUNNING", "running"),
        (None, "PENDING", "waiting"),
        (None, None, "waiting"),  # SLURM says nothing at all: that is no end
        ("PREEMPTED", None, "waiting"),
    ],
)
def test_a_job_that_is_in_the_queue_is_waited_for(fake_slurm, tmp_path, accounted, queued, state):
    record(tmp_path / "sweep", "7")
    tell(fake_slurm, accounted, queued, otherwise="slurm_load_jobs error: Unable to contact slurm controller")
    assert show_sweep(tmp_path / "sweep", wait=False) == 0
    assert states(tmp_path / "sweep") == [state]


def test_a_runs_own_files_say_that_it_is_finished_where_there_is_no_accounting(
    fake_slurm, looks, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("parc.cluster.following._LOOKS_TO_BELIEVE", 9)
    finish(record(tmp_path / "sweep", "7")[0])
    fake_slurm.answers("sacct", error=NO_ACCOUNTING, code=1)
    fake_slurm.answers("squeue", error=UNKNOWN_TO_THE_QUEUE, code=1)
    assert show_sweep(tmp_path / "sweep", wait=True) == 0
    assert states(tmp_path / "sweep") == ["finished"]
    assert len(fake_slurm.calls("sacct")) >= 9
    assert [each.getMessage() for each in caplog.records] == [f"sacct does not answer ({NO_ACCOUNTING})"]


def test_a_run_that_was_finished_before_it_was_made_longer_is_not_finished(fake_slurm, looks, tmp_path):
    finish(record(tmp_path / "sweep", "7")[0], total=5)
    fake_slurm.answers("sacct", "7|CANCELLED\n")
    assert show_sweep(tmp_path / "sweep", wait=True) == 1
    assert states(tmp_path / "sweep") == ["stopped"]


def test_where_slurm_is_not_only_finished_runs_are_told_about(tmp_path, monkeypatch):
    first, second = record(tmp_path / "sweep", "7_0", "7_1")
    finish(first)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^there is neither sacct nor squeue on this machine"):
        show_sweep(tmp_path / "sweep", wait=False)
    finish(second)
    assert show_sweep(tmp_path / "sweep", wait=False) == 0


def test_a_local_sweep_that_was_killed_is_not_waited_for(looks, tmp_path):
    sweep = tmp_path / "sweep"
    record(sweep, None, None)
    jobs = json.loads((sweep / "sweep.json").read_text())
    jobs[1]["state"] = "waiting"  # for its turn
    (sweep / "sweep.json").write_text(json.dumps(jobs))
    assert show_sweep(sweep, wait=True) == 1
    assert states(sweep) == ["stopped", "stopped"]


def test_a_local_sweep_that_is_being_run_is_waited_for(tmp_path):
    sweep = tmp_path / "sweep"
    first, _ = record(sweep, None, None)
    jobs = json.loads((sweep / "sweep.json").read_text())
    jobs[1]["state"] = "waiting"
    (sweep / "sweep.json").write_text(json.dumps(jobs))
    with sweep_lock(sweep):
        assert show_sweep(sweep, wait=False) == 0
        assert states(sweep) == ["running", "waiting"]
    finish(first)
    assert show_sweep(sweep, wait=False) == 1
    assert states(sweep) == ["finished", "stopped"]


def test_what_users_typed_is_no_markup(fake_slurm, tmp_path, capfd):
    values = ["dataset.motion_lib_file=[/a]", "trainer.note=[walk]", "x=:smile:", "y=[bold]"]
    (run,) = record(tmp_path / "[/sweep][walk]", "7", overrides=values)
    write_progress(run, Progress(1, 10, "[/epochs]", {"[/loss]": 1.0, "[red]": 2.0}, finished=False))
    run.joinpath("job.log").write_text("[/said]")
    fake_slurm.answers("sacct", "7|FAILED\n")
    assert show_sweep(tmp_path / "[/sweep][walk]", wait=False) == 1
    said = capfd.readouterr().out
    for words in (*values, "/[/sweep][walk]/run_0", "[/loss]", "[red]", "1/10 [/epochs]", "    [/said]"):
        assert words in said


METRICS = '{"step": 4, "epoch": 1, "train/loss": 2.5, "heldout/body_position": 0.35}\n'


@pytest.fixture
def opened():
    """Every path that this process opens, as often as it does."""
    paths: list[str] = []
    watching = True

    def note(event: str, arguments: tuple) -> None:
        if watching and event == "open":
            paths.append(str(arguments[0]))

    sys.addaudithook(note)  # cannot be taken away again
    yield paths
    watching = False


def test_looks_do_not_read_what_grows(fake_slurm, looks, tmp_path, opened, monkeypatch):
    """Metrics of a long run have many megabytes. Runs of version 1 say nothing else of how far they are."""
    monkeypatch.setattr("parc.cluster.following._LOOKS_TO_BELIEVE", 5)
    run, of_version_1, _ = record(tmp_path / "sweep", "7_0", "7_1", "7_2")
    finish(run)
    for each in (run, of_version_1):
        (each / "metrics.jsonl").write_text(METRICS)
        (each / "job.log").write_text("much")
    fake_slurm.answers("sacct", "7_0|COMPLETED\n7_1|COMPLETED\n7_2|CANCELLED\n")
    opened.clear()
    assert show_sweep(tmp_path / "sweep", wait=True) == 1
    assert "held-out error (m)" in (tmp_path / "sweep" / "sweep.csv").read_text()

    def times(path: Path) -> int:
        return opened.count(str(path))

    number_of_looks = len(fake_slurm.calls("sacct"))
    assert number_of_looks == 6, "five until the end is believed, and that of the table"
    assert times(run / "metrics.jsonl") == times(run / "job.log") == 0
    assert times(of_version_1 / "metrics.jsonl") == 1
    assert times(run / "progress.json") == number_of_looks, "once a look"


def test_the_end_of_a_long_log_is_read_from_its_end(fake_slurm, tmp_path, capfd):
    (run,) = record(tmp_path / "sweep", "7")
    with (run / "job.log").open("w") as log:
        log.write("a line\n" * 1_000_000)
        log.write("error: why\n")
    fake_slurm.answers("sacct", "7|FAILED\n")
    tracemalloc.start()
    show_sweep(tmp_path / "sweep", wait=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert capfd.readouterr().out.count("    a line\n") == 7
    assert peak < 2e6


def test_a_job_without_a_log_is_told_why(fake_slurm, tmp_path, capfd):
    record(tmp_path / "sweep", "7")
    fake_slurm.answers("sacct", "7|FAILED\n")
    assert show_sweep(tmp_path / "sweep", wait=False) == 1
    said = capfd.readouterr().out
    assert "its node may not see this folder" in said
    assert "sacct --jobs=7 --format=JobID,State,ExitCode,NodeList" in said


@pytest.fixture
def of_a_colleague():
    """A folder that this process may read and not write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        if os.getuid() == 0:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)  # so that it can be deleted


def give_away(folder: Path, private: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0 if path == private else 0o555 if path.is_dir() else 0o444)
    if os.getuid() == 0:
        os.seteuid(65534)  # root may write anywhere


def test_a_sweep_that_may_only_be_read_shows_its_table(of_a_colleague, capfd, looks):
    sweep = of_a_colleague / "sweep"
    first, second, third = record(sweep, None, None, None)
    finish(first)
    (second / ".lock").touch()  # of a process that was killed
    write_progress(second, Progress(3, 10, "epochs", {}, finished=False))
    (third / ".lock").touch()
    give_away(of_a_colleague, private=third)
    assert show_sweep(sweep, wait=True) == 1
    said = capfd.readouterr().out
    assert "10/10 epochs" in said and "3/10 epochs" in said
    (line,) = [line for line in said.splitlines() if "sweep.csv" in line]
    assert line.startswith(f"the table is not kept: {sweep}/sweep.csv: cannot be written (Permission denied)")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"a": 1}', "expected a list of jobs"),
        ("[1]", "job 0 is 1, expected"),
        ("null", "expected a list of jobs"),
        ('[{"overrides": "seed=1", "folder": "x", "log": "y", "total": 1, "unit": "e"}]', "job 0.overrides"),
        ('[{"overrides": [], "folder": 7, "log": "y", "total": 1, "unit": "e"}]', "job 0.folder"),
        ('[{"overrides": [], "folder": "x", "log": "y", "total": "many", "unit": "e"}]', "job 0.total"),
        ('[{"overrides": [], "folder": "x", "log": "y", "total": 1, "unit": "e", "job_id": 7}]', "job 0.job_id"),
        ('[{"overrides": [], "folder": "x"}]', "job 0.log"),
        ("[" * 100000, "not JSON"),
        ("\udcff", "line 1 is not UTF-8 text"),
    ],
)
def test_a_record_of_wrong_types_is_one_line(tmp_path, content, complaint):
    path = tmp_path / "sweep.json"
    path.write_bytes(content.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(UserError) as refused:
        show_sweep(tmp_path, wait=False)
    said = str(refused.value)
    assert said.startswith(f"{path}: broken (") and "\n" not in said
    assert complaint in said
    assert "delete it" in said


def test_records_say_what_was_written(tmp_path):
    record(tmp_path, "7_0")
    (job,) = read_sweep(tmp_path)
    assert (job.job_id, job.total, job.overrides) == ("7_0", 10, ["seed=0"])
