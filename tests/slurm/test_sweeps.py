"""Sweeps as job arrays: sent whole or not at all, followed to their end, told about as they went."""

import os
import shutil
import signal

import pytest
from cluster_runs import (
    NO_WAIT,
    ON_SLURM,
    SLOW_STEPS,
    TINY,
    accounted,
    begun,
    command,
    ended,
    jobs_ever_sent,
    jobs_of,
    rows_of,
    table_of,
    write_clips,
)

from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT


@pytest.fixture(scope="module")
def place(slurm_cluster, humanoid, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps")
    write_clips(folder / "clips", humanoid, 3)
    return folder


@pytest.fixture(scope="module")
def common(place):
    return ["-m", *TINY, *ON_SLURM, f"dataset.motion_lib_file={place}/clips"]


@pytest.fixture(scope="module")
def sent(place, common):
    """Commands that take their time, all given at once."""
    four = ",".join(str(place / "clips" / f"clip_{number}.safetensors") for number in (0, 1, 7, 2))
    processes = {
        "four": begun("train", *common, f"dataset.motion_lib_file={four}", f"output_dir={place}/four"),
        "twelve": begun(
            "train", *common, f"seed={','.join(map(str, range(12)))}", "trainer.epochs=1",
            "hydra.launcher.array_parallelism=3", f"output_dir={place}/twelve",
        ),
        "one": begun("train", *common, f"output_dir={place}/one"),
        "not_waited_for": begun("train", *common, "seed=1,2", NO_WAIT, f"output_dir={place}/not_waited_for"),
    }  # fmt: skip
    yield processes
    for process in processes.values():
        process.kill()


def test_sends_and_returns_when_it_is_not_to_wait(sent, place):
    code, said = ended(sent["not_waited_for"])
    assert code == 0, said
    jobs = jobs_of(place / "not_waited_for")
    for job in jobs:
        for word in (job["job_id"], job["overrides"][0], job["folder"], job["log"]):
            assert word in said
    assert f"later: python -m parc.sweep {place}/not_waited_for" in said
    assert not (place / "not_waited_for" / "sweep.csv").exists()


def test_a_job_that_fails_leaves_the_others_and_is_told_about(slurm_cluster, sent, place):
    code, said = ended(sent["four"])
    assert code == 1
    table = table_of(place / "four")
    assert [row["state"] for row in table] == ["finished", "finished", "failed", "finished"]
    assert [bool(row["training loss"]) for row in table] == [True, True, False, True]
    states = slurm_cluster.states(jobs_of(place / "four")[0]["job_id"].partition("_")[0])
    assert sorted(states.values()) == ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED"]
    failed = jobs_of(place / "four")[2]
    assert states[failed["job_id"]] == "FAILED"
    _, shown = said.split(f"failed: {failed['folder']}, the end of {failed['log']}:\n")
    assert f"    error: dataset.motion_lib_file {place}/clips/clip_7.safetensors: there is no such" in shown
    assert said.count("the end of ") == 1
    for job in jobs_of(place / "four"):
        assert job["job_id"] in said and job["folder"] in said


def test_twelve_jobs_three_at_a_time(sent, place):
    code, said = ended(sent["twelve"])
    assert code == 0, said
    jobs, table = jobs_of(place / "twelve"), table_of(place / "twelve")
    assert [job["job_id"].partition("_")[2] for job in jobs] == [str(number) for number in range(12)]
    assert len({job["job_id"].partition("_")[0] for job in jobs}) == 1  # one array
    assert [row["overrides"] for row in table] == [f"seed={number}" for number in range(12)]
    assert {(row["state"], row["done"], row["total"]) for row in table} == {("finished", "1", "1")}
    for job, row in zip(jobs, table, strict=True):
        assert (row["job"], row["folder"]) == (job["job_id"], job["folder"])
        assert float(row["training loss"]) == rows_of(place / row["folder"])[-1]["train/loss"]
    assert len({row["training loss"] for row in table}) == 12
    times = [row[1:] for row in accounted(*[job["job_id"] for job in jobs], format="JobID,Start,End")]
    assert len(times) == 12
    together = [sum(start <= at < end for start, end in times) for at, _ in times]
    assert max(together) == 3


def test_one_job_goes_the_same_way(slurm_cluster, sent, place):
    code, said = ended(sent["one"])
    assert code == 0, said
    (job,), (row,) = jobs_of(place / "one"), table_of(place / "one")
    assert job["folder"] == row["folder"] == str(place / "one")
    assert row["state"] == "finished"
    assert (place / "one" / FINAL_CHECKPOINT).is_file()
    assert slurm_cluster.states(job["job_id"]) == {job["job_id"]: "COMPLETED"}


def test_the_table_can_be_looked_at_later(sent, place):
    sweep = place / "not_waited_for"
    code, said = command("sweep", sweep, "--wait")
    assert code == 0, said
    assert [row["state"] for row in table_of(sweep)] == ["finished", "finished"]
    shutil.rmtree(sweep / "submitit")  # results come from the runs' folders, never from a job's pickle
    (sweep / "sweep.csv").unlink()
    code, said = command("sweep", sweep)
    assert code == 0, said
    assert said.count("finished") == 2
    for row in table_of(sweep):
        assert float(row["training loss"]) == rows_of(sweep / row["folder"])[-1]["train/loss"]


def test_ctrl_c_leaves_the_jobs_running(slurm_cluster, place, common):
    sweep = place / "left"
    arguments = [*common, SLOW_STEPS, "trainer.epochs=1000", f"output_dir={sweep}"]
    process = begun("train", *arguments)
    slurm_cluster.wait_until(lambda: len(rows_of(sweep)) > 0, "the job trains")
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    (job,) = jobs_of(sweep)
    assert code == 0, said
    assert f"to come back: python -m parc.sweep {sweep}" in said
    assert f"to cancel them: scancel {job['job_id']}" in said

    # Accounting may still have it waiting, which the table must not.
    code, said = command("sweep", sweep)
    assert (code, table_of(sweep)[0]["state"]) == (0, "running"), said
    assert int(table_of(sweep)[0]["done"]) > 0
    slurm_cluster.wait_for(job["job_id"], "RUNNING")

    code, said = command("train", *arguments)
    assert code == 1
    assert said.startswith(f"error: {sweep}: jobs of this sweep are still on the cluster ({job['job_id']})"), said
    assert said.count("\n") == 1
    assert jobs_of(sweep) == [job]

    assert os.spawnlp(os.P_WAIT, "scancel", "scancel", job["job_id"]) == 0
    code, said = command("sweep", sweep, "--wait")
    assert (code, table_of(sweep)[0]["state"]) == (1, "stopped"), said
    assert (sweep / "checkpoints" / "latest.ckpt").exists()  # it saved what it had


def test_an_array_that_is_cancelled_while_it_waits_has_stopped(place, common):
    sweep = place / "cancelled"
    later = "hydra.launcher.additional_parameters={begin: now+1hour}"
    code, said = command("train", *common, NO_WAIT, later, "seed=1,2,3", f"output_dir={sweep}")
    assert code == 0, said
    array = jobs_of(sweep)[0]["job_id"].partition("_")[0]
    assert os.spawnlp(os.P_WAIT, "scancel", "scancel", array) == 0
    code, said = command("sweep", sweep, "--wait")
    assert (code, [row["state"] for row in table_of(sweep)]) == (1, ["stopped"] * 3), said


def test_without_accounting_the_queue_and_the_runs_say_what_became_of_jobs(
    slurm_cluster, sent, place, common, tmp_path
):
    ended(sent["not_waited_for"])
    assert command("sweep", place / "not_waited_for", "--wait")[0] == 0
    later = "hydra.launcher.additional_parameters={begin: now+1hour}"
    code, said = command("train", *common, NO_WAIT, later, f"output_dir={place}/later")
    assert code == 0, said
    disabled = tmp_path / "slurm.conf"
    lines = (slurm_cluster.state_dir / "slurm.conf").read_text().splitlines()
    disabled.write_text("\n".join(line for line in lines if not line.startswith("Accounting")))
    for name, expected in (("not_waited_for", (0, ["finished", "finished"])), ("later", (0, ["waiting"]))):
        code, said = command("sweep", place / name, SLURM_CONF=str(disabled))
        assert (code, [row["state"] for row in table_of(place / name)]) == expected, said
        assert said.count("sacct does not answer (Slurm accounting storage is disabled)") == 1
    assert os.spawnlp(os.P_WAIT, "scancel", "scancel", jobs_of(place / "later")[0]["job_id"]) == 0
    code, said = command("sweep", place / "later", "--wait", SLURM_CONF=str(disabled))
    assert (code, table_of(place / "later")[0]["state"]) == (1, "stopped"), said


WRONG = {
    "a misspelled key": ("model.denoiser.d_modl=64,128", "did you mean 'model.denoiser.d_model'?"),
    "a misspelled setting": ("hydra.launcher.timeout_mn=5", "did you mean 'hydra.launcher.timeout_min'?"),
    "a wrong type": ("hydra.launcher.timeout_min=soon", "is 'soon', expected a whole number"),
    "an uneven batch": ("hydra.launcher.tasks_per_node=3", "trainer.batch_size is 4, which"),
    "a signal at the start": ("hydra.launcher.signal_delay_s=3600", "hydra.launcher.timeout_min = 60 minutes"),
    "an unknown partition": ("hydra.launcher.partition=nowhere", "invalid partition specified: nowhere"),
    "a form that one job lacks": ("trainer.epochs=1,0", "trainer.epochs"),
}


@pytest.fixture(scope="module")
def refused(place, common):
    """What each wrong command says, and what it left behind. They are given two at a time, to save waiting."""
    before, results, names = jobs_ever_sent(), {}, list(WRONG)
    for pair in (names[start : start + 2] for start in range(0, len(names), 2)):
        folders = {name: place / f"wrong_{names.index(name)}" for name in pair}
        processes = {name: begun("train", *common, WRONG[name][0], f"output_dir={folders[name]}") for name in pair}
        results |= {name: (*ended(process), folders[name]) for name, process in processes.items()}
    return results, before, jobs_ever_sent()


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_sent(sent, refused, name):
    code, said, folder = refused[0][name]
    assert code == 1
    assert said.startswith("error: ") and said.count("\n") == 1, said
    assert WRONG[name][1] in said
    assert not folder.exists()


def test_nothing_was_sent_by_any_of_them(refused):
    _, before, after = refused
    assert before == after


def test_without_slurm_it_says_so_in_one_line(place, common, tmp_path):
    code, said = command("train", *common, f"output_dir={place}/nowhere", PATH=str(tmp_path))
    assert code == 1
    assert said.startswith("error: hydra/launcher=slurm: there is no srun on this machine") and said.count("\n") == 1, (
        said
    )
    assert not (place / "nowhere").exists()


def test_a_folder_of_no_sweep_is_refused_in_one_line(place):
    code, said = command("sweep", place)
    assert (code, said.count("\n")) == (1, 1)
    assert f"{place}: there is no sweep.json" in said
