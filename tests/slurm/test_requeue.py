"""Whatever stops a job, it goes on in its folder and ends with the weights of a run that nothing disturbed."""

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from cluster_runs import (
    NO_WAIT,
    ON_SLURM,
    SLOW_STEPS,
    TINY,
    accounted,
    begun,
    command,
    ended,
    jobs_of,
    rows_of,
    weights,
    write_clips,
)

EPOCHS = 60  # 240 steps: 36 s and more
LONG = [*TINY, f"trainer.epochs={EPOCHS}", "trainer.minutes_per_latest=0.03"]
ON_N1 = "hydra.launcher.additional_parameters={nodelist: n1}"
DISTURBED = {
    "preempted": ["hydra.launcher.partition=low", "hydra.launcher.gpus_per_node=2", ON_N1],
    # The shortest that SLURM can: the signal comes 0 to 30 s after the start.
    "out_of_time": ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=30", ON_N1],
    # Submitit takes every signal for a time-out where the limit is 10 minutes or less.
    "out_of_time_for_good": ["hydra.launcher.timeout_min=9", "hydra.launcher.max_num_timeout=0", ON_N1],
    "warned_at_its_start": [ON_N1],
    "requeued": [ON_N1],
    "killed": [ON_N1],
    "node_lost": ["hydra.launcher.gpus_per_node=3"],
}


@dataclass
class DisturbedRun:
    folder: Path
    arguments: list[str]

    @property
    def job_id(self) -> str:
        return jobs_of(self.folder)[0]["job_id"]

    @property
    def log(self) -> str:
        log = Path(jobs_of(self.folder)[0]["log"])
        return log.read_text() if log.exists() else ""

    def has_saved_on_its_way(self) -> bool:
        return (self.folder / "checkpoints" / "latest.ckpt").exists() and len(rows_of(self.folder)) > 2

    def steps_gone_on_from(self) -> list[int]:
        return [int(step) for step in re.findall(r"resuming from .*, step (\d+) of", self.log)]


@pytest.fixture(scope="module")
def runs(slurm_cluster, humanoid, tmp_path_factory):
    """All runs, disturbed while they train side by side, and `undisturbed` on this machine."""
    folder = tmp_path_factory.mktemp("requeue")
    common = [*LONG, f"dataset.motion_lib_file={write_clips(folder / 'clips', humanoid)}"]
    undisturbed = begun("train", *common, f"output_dir={folder}/undisturbed")
    found, sending = {}, []
    # The run whose node will be lost asks for more GPUs than this leaves it on n1, where it is to go on later.
    blocking = slurm_cluster.submit("--nodelist=n1", "--gpus-per-node=6", "--output=/dev/null", "--wrap", "sleep 600")
    for name, resources in DISTURBED.items():
        arguments = ["-m", *common, *ON_SLURM, *resources, SLOW_STEPS, NO_WAIT, f"output_dir={folder / name}"]
        found[name] = DisturbedRun(folder / name, arguments)
        sending.append(begun("train", *arguments))
    for process in sending:
        code, said = ended(process)
        assert code == 0, said
    try:
        disturb(slurm_cluster, found, blocking)
        slurm_cluster.kill_node("n2")
        code, said = ended(undisturbed)
        assert code == 0, said
        yield found | {"undisturbed": DisturbedRun(folder / "undisturbed", [])}
        slurm_cluster.revive_node("n2")
    finally:
        subprocess.run(["scancel", "--user=root"], check=True, timeout=60)


def disturb(cluster, runs: dict[str, DisturbedRun], blocking: str) -> None:
    warned = runs["warned_at_its_start"]
    cluster.wait_until(lambda: cluster.states(warned.job_id) == {warned.job_id: "RUNNING"}, "the job is started")
    # As when a more important job comes in the same second: Python is not up, and later it is importing.
    cluster.wait_until(lambda: warn(warned) and "Requeued job" in warned.log, "the job takes the warning")

    for name in ("preempted", "requeued", "killed", "node_lost", "out_of_time_for_good"):
        cluster.wait_until(runs[name].has_saved_on_its_way, f"{name}: training, a rolling checkpoint saved")
    subprocess.run(["scancel", blocking], check=True, timeout=60)
    whole_node = ("--nodelist=n1", "--gpus-per-node=8", "--output=/dev/null")
    high = cluster.submit("--partition=high", *whole_node, "--wrap", "sleep 1")
    subprocess.run(["scontrol", "requeue", runs["requeued"].job_id], check=True, timeout=60)
    os.kill(training_process(runs["killed"].folder), signal.SIGKILL)
    warn(runs["out_of_time_for_good"])
    cluster.wait_for(high, "COMPLETED")


def warn(run: DisturbedRun) -> bool:
    """Send the signal that SLURM sends to a job that is to be ended."""
    subprocess.run(["scancel", "--signal=USR2", run.job_id], check=True, timeout=60)
    return True


def training_process(run: Path) -> int:
    """The process that holds a run's folder, as its lock says."""
    owner = re.search(r'"process": (\d+)', (run / ".lock_owner.json").read_text())
    assert owner
    return int(owner[1])


def assert_as_undisturbed(runs: dict[str, DisturbedRun], name: str) -> None:
    expected, found = weights(runs["undisturbed"].folder), weights(runs[name].folder)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
    losses = [[row["train/loss"] for row in rows_of(runs[each].folder)] for each in ("undisturbed", name)]
    assert losses[0] == losses[1]
    assert [row["epoch"] for row in rows_of(runs[name].folder)] == list(range(1, EPOCHS + 1))


def test_a_killed_job_has_failed_and_the_same_command_goes_on_with_it(slurm_cluster, runs):
    run = runs["killed"]
    slurm_cluster.wait_for(run.job_id, "FAILED")
    assert not (run.folder / "final_model.ckpt").exists()
    reached = len(rows_of(run.folder))
    code, said = command("train", *[each for each in run.arguments if each != NO_WAIT])
    assert code == 0, said
    (step,) = run.steps_gone_on_from()
    assert 0 < step <= 4 * (reached + 1)
    assert_as_undisturbed(runs, "killed")


def test_a_preempted_job_saves_its_state_and_comes_back(slurm_cluster, runs):
    run = runs["preempted"]
    slurm_cluster.wait_for(run.job_id, "COMPLETED")
    stopped = [int(step) for step in re.findall(r"stopped by SIGUSR2 after step (\d+)", run.log)]
    assert "this job is preempted" in run.log
    assert stopped == run.steps_gone_on_from() != []  # not one step is made twice
    assert_as_undisturbed(runs, "preempted")


def test_a_job_that_is_warned_in_its_first_second_lives_through_it(slurm_cluster, runs):
    run = runs["warned_at_its_start"]
    slurm_cluster.wait_for(run.job_id, "COMPLETED")
    assert "this job is preempted" in run.log
    assert len(accounted(run.job_id, format="JobID")) >= 2
    assert_as_undisturbed(runs, "warned_at_its_start")


def test_a_job_requeued_by_hand_goes_on_from_its_folder(slurm_cluster, runs):
    run = runs["requeued"]
    slurm_cluster.wait_for(run.job_id, "COMPLETED")
    assert len(accounted(run.job_id, format="JobID")) == 2
    (step,) = run.steps_gone_on_from()
    assert step > 0
    assert_as_undisturbed(runs, "requeued")


def test_a_job_whose_node_dies_goes_on_from_its_last_rolling_checkpoint(slurm_cluster, runs):
    run = runs["node_lost"]
    slurm_cluster.wait_for(run.job_id, "COMPLETED")
    assert accounted(run.job_id, format="State")[0] == ["NODE_FAIL"]
    (step,) = run.steps_gone_on_from()
    assert step > 0
    assert_as_undisturbed(runs, "node_lost")


def test_a_job_that_runs_out_of_time_saves_its_state_and_comes_back(slurm_cluster, runs):
    run = runs["out_of_time"]
    slurm_cluster.wait_until((run.folder / "final_model.ckpt").exists, "the run ends", seconds=240)
    slurm_cluster.wait_for(run.job_id, "COMPLETED")
    assert "this job is timed-out" in run.log
    assert run.log.count("Requeued job") == len(accounted(run.job_id, format="JobID")) - 1 >= 1
    assert_as_undisturbed(runs, "out_of_time")


def test_a_job_that_may_not_be_requeued_again_fails_with_one_line_and_everything_saved(slurm_cluster, runs):
    run = runs["out_of_time_for_good"]
    slurm_cluster.wait_for(run.job_id, "FAILED")
    code, said = command("sweep", run.folder)
    assert code == 1
    assert "error: the job reached its time limit more often than hydra.launcher.max_num_timeout allows" in said
    assert "Traceback" not in run.log
    step = re.search(r"stopped by SIGUSR2 after step (\d+), everything is saved", run.log)
    assert step and int(step[1]) // 4 == len(rows_of(run.folder))
