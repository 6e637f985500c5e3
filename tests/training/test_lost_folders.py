"""A run's folder that is renamed, deleted, replaced or unmounted while the run is at work: one line, and nothing made anew."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from training_runs import TrainingProcess, changed

from parc.motion_generator.checkpoint_files import newest_checkpoint

LONG = {"trainer__epochs": 100000, "trainer__epochs_per_checkpoint": 100000, "trainer__minutes_per_latest": 0.001}


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name("renamed"))


def replaced(folder: Path) -> None:
    renamed(folder)
    folder.mkdir()


def unmounted(folder: Path) -> None:
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize(
    "lost",
    [renamed, *(pytest.param(each, marks=pytest.mark.slow) for each in (shutil.rmtree, replaced, unmounted))],
    ids=lambda each: each.__name__,
)
def test_a_run_whose_folder_is_gone_ends_with_one_line_and_makes_none(config, tmp_path, lost):
    run = tmp_path / "run"
    if lost is unmounted:
        run.mkdir()
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", run], capture_output=True).returncode:
            pytest.skip("cannot mount a tmpfs here")
    with TrainingProcess(changed(config, **LONG), tmp_path / "log") as training:
        training.wait_for_rows(2)
        training.send(signal.SIGSTOP)
        lost(run)
        training.send(signal.SIGCONT)
        assert training.wait(30) == 1
    errors = [line for line in training.said().splitlines() if not line.startswith(("epoch", "prepared", "before"))]
    assert errors[-1] == (
        f"error: {run}: this is no longer the folder that the run works in (renamed, deleted or unmounted meanwhile?); put "
        "it back and give the same command again, nothing more was written"
    )
    assert "Traceback" not in training.said()
    assert not run.exists() or not list(run.iterdir())


def test_a_run_goes_on_when_its_folder_is_back(config, tmp_path):
    run, long = tmp_path / "run", changed(config, **LONG)
    with TrainingProcess(long, tmp_path / "log") as training:
        training.wait_until((run / "checkpoints" / "latest.ckpt").exists, "a checkpoint")
        run.rename(tmp_path / "elsewhere")
        assert training.wait(30) == 1
    (tmp_path / "elsewhere").rename(run)
    step = newest_checkpoint(run)[1].state["step"]
    with TrainingProcess(long, tmp_path / "log 2") as training:
        training.wait_until(lambda: f"latest.ckpt, step {step} of" in training.said(), "the start")
        training.send(signal.SIGTERM)
        assert training.wait(30) == 75
    assert newest_checkpoint(run)[1].state["step"] > step
