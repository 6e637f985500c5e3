"""A stage of one's own on the real cluster, without a line of `parc.cluster` knowing of it: swept, requeued, chained."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_runs import NO_WAIT, ON_SLURM, TINY, accounted, jobs_of, table_of, write_clips

STAGES = Path(__file__).parents[1] / "stages"
OPTIONS = ["--config-dir", str(STAGES / "own_options")]
COUNT = [sys.executable, "-c", "from parc.stages.command import run_verb; run_verb('count')", *OPTIONS]
CHAIN = [sys.executable, "-m", "parc.pipeline", *OPTIONS]

pytestmark = pytest.mark.slow


def said(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(STAGES)}
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def numbers(run: Path) -> list[int]:
    return [int(line) for line in (run / "numbers").read_text().split()] if (run / "numbers").exists() else []


def test_it_is_swept_as_an_array_with_its_own_progress_in_the_table(slurm_cluster, tmp_path):
    table = said([*COUNT, "-m", "last=3,4", "output_dir=swept", *ON_SLURM], tmp_path)
    assert "3/3 numbers" in table and "4/4 numbers" in table
    rows = table_of(tmp_path / "swept")
    assert [(row["state"], row["done"], float(row["square"])) for row in rows] == [
        ("finished", "3", 9),
        ("finished", "4", 16),
    ]
    arrays = {job["job_id"].partition("_")[0] for job in jobs_of(tmp_path / "swept")}
    assert len(arrays) == 1


def test_a_job_that_is_warned_is_requeued_and_counts_on(slurm_cluster, tmp_path):
    said([*COUNT, "-m", "last=150", "seconds=0.1", "output_dir=warned", *ON_SLURM, NO_WAIT], tmp_path)
    run = tmp_path / "warned"
    (job,) = jobs_of(run)
    slurm_cluster.wait_until(lambda: numbers(run), "counting has begun")
    subprocess.run(["scancel", "--signal=USR2", job["job_id"]], check=True, timeout=60)
    slurm_cluster.wait_for(job["job_id"], "COMPLETED")
    assert numbers(run) == list(range(1, 151)), "each once, whatever came between"
    assert "Requeued job" in Path(job["log"]).read_text()


def test_it_is_chained_after_training_each_with_resources_of_its_own(slurm_cluster, humanoid, tmp_path):
    write_clips(tmp_path / "clips", humanoid)
    own = ["+stages.count={timeout_min: 7}", "~stages.generate", "~stages.correct", "last=4"]
    table = said(
        [*CHAIN, "iterations=[iter1,iter2]", *own, *TINY, "dataset.motion_lib_file=clips", *ON_SLURM], tmp_path
    )
    assert table.count("2/2 epochs") >= 2 and table.count("4/4 numbers") >= 2
    for iteration in ("iter1", "iter2"):
        assert numbers(tmp_path / "data" / iteration / "counted") == [1, 2, 3, 4]
    jobs = jobs_of(tmp_path / "data" / "chains" / "iter1-iter2")
    assert [job["overrides"][1] for job in jobs] == ["stage=train", "stage=count"] * 2
    limits = accounted(*(job["job_id"] for job in jobs), format="TimelimitRaw")
    assert [row[0] for row in limits] == ["60", "7", "60", "7"]
