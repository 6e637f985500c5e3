"""Chains of iterations as dependent jobs: in order, ended by a failure, and gone on with by the same command."""

import os
import shutil
from itertools import pairwise

import pytest
from cluster_runs import (
    ON_SLURM,
    TINY,
    accounted,
    begun,
    command,
    ended,
    jobs_ever_sent,
    jobs_of,
    queue,
    rows_of,
    table_of,
    write_clips,
)

from parc.anim.clip_files import write_clip
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT
from synthetic_clips import random_clip

ITERATIONS = ["iter1", "iter2", "iter3"]


def chain(folder, clips, *more: str) -> list[str]:
    three = f"iterations=[{','.join(ITERATIONS)}]"
    return [
        three,
        "~stages.generate",
        "~stages.correct",
        *TINY,
        *ON_SLURM,
        f"dataset.motion_lib_file={clips}",
        f"data_dir={folder}",
        *more,
    ]


def finals(folder) -> dict[str, int]:
    """When the final checkpoints of a chain were written, by iteration."""
    paths = {name: folder / name / "p1_train_gen" / FINAL_CHECKPOINT for name in ITERATIONS}
    return {name: path.stat().st_mtime_ns for name, path in paths.items() if path.exists()}


@pytest.fixture(scope="module")
def whole(slurm_cluster, humanoid, tmp_path_factory):
    """A chain that runs to its end beside what the tests do; resources of its stage come from its own key."""
    folder = tmp_path_factory.mktemp("whole")
    clips = write_clips(folder / "clips", humanoid)
    write_clip(folder / "iter1" / "p4_phys_record" / "new.safetensors", random_clip(humanoid, 7, name="new"))
    process = begun(
        "pipeline", *chain(folder, clips, "stages.train.timeout_min=33", "hydra.launcher.array_parallelism=2")
    )
    yield folder, process
    process.kill()


def test_a_failed_stage_ends_the_chain_and_the_same_command_goes_on_after_mending(
    slurm_cluster, whole, humanoid, tmp_path
):
    clips, bad = tmp_path / "clips", tmp_path / "iter1" / "p4_phys_record" / "clip_0.safetensors"
    sweep = tmp_path / "chains" / "-".join(ITERATIONS)

    # The first stage fails: its clips are missing.
    code, said = command("pipeline", *chain(tmp_path, clips))
    assert code == 1
    assert f"error: dataset.motion_lib_file {clips}: there is no such file or folder" in said
    assert [row["state"] for row in table_of(sweep)] == ["failed", "stopped", "stopped"]
    first = [job["job_id"] for job in jobs_of(sweep)]
    assert not [line for line in queue() if line.split()[0] in first]
    assert [row[0].split()[0] for row in accounted(*first, format="State")] == ["FAILED", "CANCELLED", "CANCELLED"]

    # With that mended, the second does: a clip that was made since is damaged.
    write_clips(clips, humanoid)
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"no clip")
    code, said = command("pipeline", *chain(tmp_path, clips))
    assert code == 1
    assert [row["state"] for row in table_of(sweep)] == ["finished", "failed", "stopped"]
    done = finals(tmp_path)
    assert list(done) == ["iter1"]

    bad.unlink()
    write_clip(bad.with_name("new.safetensors"), random_clip(humanoid, 7, name="new"))
    code, said = command("pipeline", *chain(tmp_path, clips))
    assert code == 0, said
    assert "iteration=iter1 stage=train: finished, skipped" in said
    assert [row["overrides"].split()[0] for row in table_of(sweep)] == ["iteration=iter2", "iteration=iter3"]
    assert list(finals(tmp_path)) == ITERATIONS
    assert finals(tmp_path)["iter1"] == done["iter1"]
    assert [row["epoch"] for row in rows_of(tmp_path / "iter1" / "p1_train_gen")] == [1, 2]

    before = jobs_ever_sent()
    code, said = command("pipeline", *chain(tmp_path, clips))
    assert code == 0, said
    assert "the chain is finished" in said
    assert jobs_ever_sent() == before


def test_three_iterations_run_in_order_each_from_the_one_before(whole):
    folder, process = whole
    code, said = ended(process)
    assert code == 0, said
    jobs = jobs_of(folder / "chains" / "-".join(ITERATIONS))
    times = accounted(*[job["job_id"] for job in jobs], format="Start,End,State,Timelimit")
    assert [row[2:] for row in times] == [["COMPLETED", "00:33:00"]] * 3
    assert [row[0] for row in times] == sorted(row[0] for row in times)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(times))
    runs = [folder / name / "p1_train_gen" for name in ITERATIONS]
    for before, run in pairwise(runs):
        assert f"starting from {before / FINAL_CHECKPOINT}" in (run / "train.log").read_text()
    checkpoints = [read_checkpoint(run / FINAL_CHECKPOINT) for run in runs]
    assert [checkpoint.state["step"] for checkpoint in checkpoints] == [8] * 3
    assert [len(checkpoint.clips) for checkpoint in checkpoints] == [3, 4, 4]


def test_a_chain_that_cannot_be_sent_whole_leaves_nothing_behind(slurm_cluster, humanoid, tmp_path):
    clips = write_clips(tmp_path / "clips", humanoid)
    before = jobs_ever_sent()
    # An sbatch that takes the first stage and refuses those that depend on it.
    fake = tmp_path / "bin" / "sbatch"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\ngrep -q dependency "$1" && set -- --partition=nowhere "$@"\nexec {shutil.which("sbatch")} "$@"\n'
    )
    fake.chmod(0o755)
    path = f"{fake.parent}:{os.environ['PATH']}"
    code, said = command("pipeline", *chain(tmp_path, clips), PATH=path)
    assert code == 1
    assert "sbatch refused the jobs (invalid partition specified: nowhere" in said
    (sent,) = jobs_ever_sent() - before
    slurm_cluster.wait_for(sent, "CANCELLED")
    assert not (tmp_path / "chains" / "-".join(ITERATIONS) / "sweep.json").exists()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("stages.train.timeout_mn=5", "stages.train.timeout_mn: there is no such key; did you mean 'timeout_min'?"),
        ("stages.train.nodes=two", "is 'two', expected a whole number"),
    ],
)
def test_wrong_resources_of_a_stage_are_refused_in_one_line(slurm_cluster, tmp_path, wrong, line):
    before = jobs_ever_sent()
    code, said = command("pipeline", *chain(tmp_path, tmp_path / "clips", wrong))
    assert (code, said.count("\n")) == (1, 1), said
    assert line in said
    assert jobs_ever_sent() == before
    assert not list(tmp_path.iterdir())
