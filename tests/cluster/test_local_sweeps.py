"""Sweeps on one machine, each job a process; in the slow tests, one that is started as users' are."""

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

import forked_jobs
from command_line import QUICK, TINY, TINY_MODEL, subprocess_environment, write_clips
from parc.cluster import local
from parc.cluster.local import _run_job
from parc.cluster.sweep_plan import SweepJob, read_sweep
from parc.configuration.errors import EXIT_INTERRUPTED
from parc.configuration.older_configs import VERSION
from parc.motion_generator.checkpoint import read_checkpoint
from parc.stages.run_folder import is_locked

SOURCES = ["clips", "clips/clip_0.safetensors", "nope", "clips/clip_1.safetensors"]
SWEEP = [
    *(each for each in QUICK if not each.startswith("dataset.")),
    "model/denoiser=tiny",
    "output_dir=sweep",
    f"dataset.motion_lib_file={','.join(SOURCES)}",
]
OWN = ["-m", "--config-dir", "mine"]


@pytest.fixture
def workplace(shell, humanoid) -> Path:
    """A folder with clips and a model option of the user's own."""
    write_clips(shell.folder / "clips", humanoid)
    option = shell.folder / "mine" / "model" / "denoiser" / "tiny.yaml"
    option.parent.mkdir(parents=True)
    settings = "\n".join(each.removeprefix("model.denoiser.").replace("=", ": ") for each in TINY_MODEL)
    option.write_text(f"# Mine\ndefaults:\n  - mdm_transformer\n{settings}\n")
    return shell.folder


def table() -> list[dict[str, str]]:
    with Path("sweep", "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_job_that_fails_in_the_middle_does_not_stop_the_rest(shell, workplace, monkeypatch):
    monkeypatch.setattr(local, "_run_job", forked_jobs.run_job)
    answer = shell.train(*OWN, *SWEEP)
    assert (answer.code, answer.err) == (1, "")
    rows = table()
    assert [row["state"] for row in rows] == ["finished", "finished", "failed", "finished"]
    assert [row["overrides"] for row in rows] == [f"dataset.motion_lib_file={source}" for source in SOURCES]
    assert [row["done"] for row in rows] == ["1", "1", "0", "1"]
    assert [float(row["training loss"]) > 0 for row in rows if row["training loss"]] == [True] * 3
    for row in rows:
        folder = Path(row["folder"])
        assert folder.parent == workplace / "sweep"
        assert (folder / "final_model.ckpt").is_file() == (row["state"] == "finished")
        assert (folder / "job.log").is_file()
    config = yaml.safe_load(Path(rows[0]["folder"], "mdm_config.yaml").read_text())
    assert config["model"]["denoiser"]["d_model"] == 16
    assert config["output_dir"] == rows[0]["folder"]
    assert [job.state for job in read_sweep(Path("sweep"))] == [row["state"] for row in rows]
    failure = f"error: dataset.motion_lib_file {workplace}/nope: there is no such file or folder"
    assert answer.out.count(failure) == 2, "once while the job ran, once after the table"
    for row in rows:
        assert Path(row["folder"]).name in answer.out
    assert str(workplace / "sweep" / "sweep.csv") in answer.out


def test_a_sweep_needs_no_folder_for_temporary_files(shell, monkeypatch):
    job = SweepJob([], str(shell.folder / "run"), str(shell.folder / "run" / "job.log"), 1, "epochs")
    description = {"config": {"version": VERSION, "stage": "nothing"}, "command": "", "sweep": None, "packages": []}
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(shell.folder / "full"))  # where nothing can be written
        assert _run_job(job, description, []) == 1
    assert Path(job.log).read_text().startswith("error: stage: is 'nothing', expected the dotted name of a stage")


@pytest.mark.slow
def test_a_second_submission_goes_on_in_the_same_folders_and_repeats_nothing(shell, workplace, humanoid):
    assert shell.train(*OWN, *SWEEP).code == 1
    first = table()
    finished = [Path(row["folder"]) for row in first if row["state"] == "finished"]
    before = {path: path.stat().st_mtime_ns for folder in finished for path in folder.glob("*.ckpt")}

    write_clips(workplace / "nope", humanoid, 1, first=7)
    # The order of what is typed is no part of what a job is.
    assert shell.train(*reversed(SWEEP), *OWN).code == 0
    second = table()
    assert [row["state"] for row in second] == ["finished"] * 4
    assert {row["folder"] for row in second} == {row["folder"] for row in first}
    assert {path: path.stat().st_mtime_ns for path in before} == before

    assert shell.train(*SWEEP, *OWN, "overwrite=true").code == 0
    assert all(path.stat().st_mtime_ns > before[path] for path in before)
    assert {row["folder"] for row in table()} == {row["folder"] for row in first}


@pytest.mark.slow
def test_overwriting_a_sweep_is_no_trouble_where_a_job_never_began(shell, workplace):
    sweep = [*TINY, "-m", "dataset.motion_lib_file=nope", "seed=1,2", "output_dir=sweep"]
    assert shell.train(*sweep).code == 1
    answer = shell.train(*sweep, "overwrite=true")
    assert (answer.code, answer.err) == (1, "")
    assert [row["state"] for row in table()] == ["failed", "failed"]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_sweep_with_everything_saved_and_the_same_command_goes_on(workplace, sent):
    arguments = [*TINY, "trainer.iters_per_epoch=40", "trainer.epochs=10", "output_dir=sweep", "-m", "seed=1,2"]
    command = [sys.executable, "-m", "parc.train", *arguments]
    environment = subprocess_environment()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        until = time.monotonic() + 120
        while not any(path.read_bytes() for path in Path("sweep").glob("*/metrics.jsonl")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, sent)  # as a terminal does: to all processes of its session
        said, _ = process.communicate(timeout=120)
    assert process.returncode == EXIT_INTERRUPTED, said
    assert [row["state"] for row in table()] == ["stopped", "stopped"], said
    job = Path(table()[0]["folder"])
    step = read_checkpoint(job / "checkpoints" / "latest.ckpt").state["step"]
    assert 0 < step < 400
    assert not is_locked(job)
    assert "stopped; to resume: python -m parc.train -m dataset=clips" in said

    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"resuming from {job}/checkpoints/latest.ckpt, step {step} of 400" in again.stdout
    assert [row["state"] for row in table()] == ["finished", "finished"]
