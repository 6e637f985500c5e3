"""Real signals to real processes: the step is finished, the state saved, and the exit code says: try again."""

import signal
import subprocess
import sys
import time

import pytest
from training_runs import TrainingProcess, assert_same_result, changed, run_to_end

from parc.cluster import hold_warnings
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import newest_checkpoint

LONG = {"trainer__epochs": 5000, "trainer__epochs_per_checkpoint": 5000}


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGUSR2))],
)
def test_a_signal_saves_the_state_and_says_how_to_go_on(config, tmp_path, number):
    with TrainingProcess(changed(config, **LONG), tmp_path / "log") as training:
        training.wait_for_rows(2)
        training.send(number)
        assert training.wait() == 75
    last = training.said().splitlines()[-1]
    path, checkpoint = newest_checkpoint(tmp_path / "run")
    assert path.name == "latest.ckpt"
    assert last.startswith(
        f"stopped by {number.name} after step {checkpoint.state['step']}, everything is saved; to resume:"
    )
    assert last.endswith(f"output_dir={tmp_path / 'run'}")
    assert "Traceback" not in training.said()
    assert not (tmp_path / "run" / ".lock_owner.json").exists()


def test_a_run_that_was_stopped_before_its_first_step_goes_on(config, undisturbed, tmp_path):
    with TrainingProcess(config, tmp_path / "log") as training:
        training.wait_until((tmp_path / "run" / ".lock_owner.json").exists, "the lock")
        training.send(signal.SIGTERM)
        assert training.wait() == 75
    assert newest_checkpoint(tmp_path / "run") is None
    assert run_to_end(config, tmp_path / "log")[0] == 0
    assert_same_result(undisturbed, tmp_path / "run")


def test_a_second_interrupt_stops_at_once_and_loses_nothing_saved(config, tmp_path):
    config = changed(config, **LONG, trainer__batch_size=8192, trainer__minutes_per_latest=1e-6)
    with TrainingProcess(changed(config, trainer__batch_size=4), tmp_path / "log") as training:
        training.wait_for_rows(1)
        training.send(signal.SIGTERM)
        assert training.wait() == 75
    before = newest_checkpoint(tmp_path / "run")[1].state["step"]
    with TrainingProcess(changed(config, trainer__batch_size=4), tmp_path / "log") as training:
        training.wait_until(lambda: "resuming from" in training.said(), "the start")
        # Both while the same step is at work, or else the first alone is enough.
        training.send(signal.SIGINT)
        training.send(signal.SIGINT)
        assert training.wait() in (130, 75)
    assert "Traceback" not in training.said()
    assert newest_checkpoint(tmp_path / "run")[1].state["step"] >= before
    assert not list((tmp_path / "run").rglob("*.part"))


@pytest.mark.slow
def test_the_whole_command_stops_and_goes_on(few_clips, tmp_path):
    """`python -m parc.train`, its printed command typed again."""
    command = [
        sys.executable, "-m", "parc.train", "dataset=clips", f"dataset.motion_lib_file={few_clips}", "model=mdm_small",
        "logger=off", "device=cpu", "trainer.batch_size=4", "trainer.epochs=60", "trainer.iters_per_epoch=2",
        "overwrite=true", "output_dir=a run",
    ]  # fmt: skip
    training = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    metrics = tmp_path / "a run" / "metrics.jsonl"
    until = time.monotonic() + 120
    while not metrics.is_file() or metrics.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < until
        assert training.poll() is None, training.stdout.read()
        time.sleep(0.05)
    training.send_signal(signal.SIGUSR2)
    said, _ = training.communicate(timeout=60)
    assert training.returncode == 75, said
    steps = newest_checkpoint(tmp_path / "a run")[1].state["step"]
    go_on = said.splitlines()[-1].partition("to resume: ")[2]
    assert go_on.startswith("python -m parc.train ")
    assert "overwrite" not in go_on  # it would throw away what was just saved
    again = subprocess.run(
        go_on.replace("python", sys.executable, 1),
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert again.returncode == 0, again.stderr
    assert f"step {steps} of 120" in again.stdout
    assert read_checkpoint(tmp_path / "a run" / "final_model.ckpt").state["step"] == 120


def test_a_warning_that_comes_before_training_can_heed_it_is_not_lost():
    """As SLURM jobs are started: the signal comes while Python is importing."""
    program = (
        "print('importing', flush=True); input()\n"
        "from parc.stages.stopping import StopRequest\n"
        "with StopRequest() as stop: print(stop.signals)"
    )
    line = [sys.executable, hold_warnings.__file__, sys.executable, "-c", program]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGUSR2)
        said, _ = process.communicate("go on\n", timeout=60)
    assert said == f"[{signal.SIGUSR2.value}]\n"
    assert process.returncode == 0
