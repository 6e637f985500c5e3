"""A job of several processes, on one node or two, trains like one process."""

from pathlib import Path

import pytest
import torch
from cluster_runs import ON_SLURM, TINY, begun, ended, jobs_of, rows_of, table_of, weights, write_clips

SHAPES = {"one_node": ["tasks_per_node=2"], "two_nodes": ["nodes=2"]}


@pytest.fixture(scope="module")
def runs(slurm_cluster, humanoid, tmp_path_factory):
    """Exit code, output and folder of each run; all train at the same time."""
    folder = tmp_path_factory.mktemp("processes")
    common = [*TINY, f"dataset.motion_lib_file={write_clips(folder / 'clips', humanoid)}"]
    processes = {"one_process": begun("train", *common, f"output_dir={folder}/one_process")}
    for name, shape in SHAPES.items():
        shape = [f"hydra.launcher.{each}" for each in shape]
        processes[name] = begun("train", "-m", *common, *ON_SLURM, *shape, f"output_dir={folder / name}")
    processes["fails"] = begun(
        "train", "-m", *common, *ON_SLURM, "hydra.launcher.nodes=2", f"output_dir={folder}/fails",
        "trainer._target_=slow_trainer.FailsOnRankOne",
    )  # fmt: skip
    return {name: (*ended(process), folder / name) for name, process in processes.items()}


@pytest.mark.parametrize("name", SHAPES)
def test_trains_like_one_process(runs, name):
    (code, said, run), one = runs[name], runs["one_process"][2]
    assert code == 0, said
    assert "2 x cpu" in (run / "train.log").read_text()
    losses = [[row["train/loss"] for row in rows_of(folder)] for folder in (run, one)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    expected, found = weights(one), weights(run)
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", SHAPES)
def test_is_one_folder_and_one_row_of_the_table(runs, name):
    _, _, run = runs[name]
    (row,), (job,) = table_of(run), jobs_of(run)
    assert (row["state"], row["done"], row["folder"]) == ("finished", "2", str(run))
    assert [each["epoch"] for each in rows_of(run)] == [1, 2]
    assert len(list(Path(job["log"]).parent.glob(f"{job['job_id']}_*_log.out"))) == 2  # each process has a log


def test_a_process_that_fails_takes_the_others_with_it(runs):
    """The first process waits for the others for as long as it takes, so somebody has to end it."""
    code, said, run = runs["fails"]
    assert code == 1
    (job,) = jobs_of(run)
    assert f"the end of {job['log']}:" in said
    assert f"{Path(job['log']).parent}/{job['job_id']}_1_log.out: error: rank 1 is meant to fail" in said
