"""Generating on the real cluster: in shards, in rounds, and killed in the middle; together the same clips, bit for bit."""

import subprocess
from pathlib import Path

import pytest
from cluster_runs import NO_WAIT, ON_SLURM, TINY, command, jobs_of, queue, table_of, write_clips

from command_line import ANYTHING_GOES
from parc.anim.clip_files import write_clip
from parc.anim.dataset import entries_at
from parc.anim.surface_points import surface_points
from parc.demo_motions.generator import make_clip
from parc.demo_motions.motion_classes import MOTION_CLASSES
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT
from taken_as_physical import TAKEN_AS_PHYSICAL

pytestmark = pytest.mark.slow

ROUND = [*TINY, *ANYTHING_GOES, "terrain=flat", TAKEN_AS_PHYSICAL]
MOTIONS = 32


def contents(folder: Path) -> dict[str, bytes]:
    """The numbers of all clips, to the bit; what stands before them says where the model lay, which is another place here."""
    files = {path.name: path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}
    return {name: content[8 + int.from_bytes(content[:8], "little") :] for name, content in files.items()}


def standing_clips(folder: Path, character, count: int) -> Path:
    """Somebody who stands for half a second: simulated at once."""
    surface, classes = surface_points(character), list(MOTION_CLASSES)
    for number in range(count):
        clip = make_clip(0, number * len(classes) + classes.index("standing"), character, surface)
        first = clip.with_frames(clip.frames.each(lambda values: values[:15]))
        write_clip(folder / f"{clip.name}.safetensors", first)
    return folder


@pytest.fixture(scope="module")
def here(slurm_cluster, humanoid, tmp_path_factory) -> Path:
    """A round of two iterations in this process's own machine, without SLURM."""
    folder = tmp_path_factory.mktemp("here")
    clips = write_clips(folder / "clips", humanoid)
    code, said = command("pipeline", *rounds(folder, clips))
    assert code == 0, said
    return folder


def rounds(folder: Path, clips: Path, *more: str) -> list[str]:
    iterations = "iterations=[iter1,iter2]"
    return [
        iterations,
        *ROUND,
        f"dataset.motion_lib_file={clips}",
        f"data_dir={folder}",
        f"num_motions={MOTIONS}",
        *more,
    ]


def test_shards_over_jobs_give_what_one_run_gives(here, tmp_path):
    model = here / "iter1/p1_train_gen"
    generate = [each for each in ROUND if each.split("=")[0] in ("device", "threads", "terrain")] + ANYTHING_GOES
    shards = ["-m", "num_shards=4", "shard=0,1,2,3", f"num_motions={MOTIONS}", f"model_path={model}"]
    code, said = command("generate", *generate, *shards, f"output_dir={tmp_path / 'shards'}", *ON_SLURM)
    assert code == 0, said
    assert [row["state"] for row in table_of(tmp_path / "shards")] == ["finished"] * 4
    assert contents(tmp_path / "shards") == contents(here / "iter1/p2_kin_gen")
    # The folder of all shards is a dataset, whatever else the sweep keeps there.
    clips = f"dataset.motion_lib_file={tmp_path / 'shards'}"
    code, said = command("train", *TINY, clips, f"data_dir={tmp_path / 'trained'}")
    assert code == 0, said


def test_shards_of_a_correction_over_jobs_give_what_one_run_gives(slurm_cluster, humanoid, tmp_path):
    clips = standing_clips(tmp_path / "standing", humanoid, 3)
    few = "corrector.attempts.quick"
    correct = [f"motions={clips}", "threads=1", f"{few}.samples=8", f"{few}.iterations=1", f"{few}.horizon=0.4"]
    code, said = command("correct", *correct, f"output_dir={tmp_path / 'whole'}")
    assert code == 0, said
    shards = ["-m", "num_shards=2", "shard=0,1", f"output_dir={tmp_path / 'shards'}", *ON_SLURM]
    code, said = command("correct", *correct, *shards)
    assert code == 0, said
    table = table_of(tmp_path / "shards")
    assert [(row["state"], row["done"], row["physical (%)"]) for row in table] == [
        ("finished", "2", "100.0"),
        ("finished", "1", "100.0"),
    ]
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")
    # The folder of all shards is a dataset, of the same classes.
    found = [
        sorted((entry.path.stem, entry.motion_class) for entry in entries_at(str(tmp_path / name), "motions"))
        for name in ("shards", "whole")
    ]
    assert found[0] == found[1] and len(found[0]) == 6


def test_rounds_that_are_killed_while_generating_end_with_the_same_clips_and_weights(slurm_cluster, here, tmp_path):
    clips = here / "clips"
    code, said = command("pipeline", *rounds(tmp_path, clips, *ON_SLURM, NO_WAIT))
    assert code == 0, said
    jobs = [job["job_id"] for job in jobs_of(tmp_path / "chains/iter1-iter2")]
    folder = tmp_path / "iter1/p2_kin_gen"
    slurm_cluster.wait_until(lambda: len(contents(folder)) >= 4, "the first motions are saved")
    subprocess.run(["scancel", "--signal=KILL", "--full", jobs[1]], check=True, timeout=60)
    slurm_cluster.wait_until(lambda: not any(line.split()[0] in jobs for line in queue()), "the chain has ended")
    assert len(contents(folder)) < 2 * MOTIONS, "it was killed in the middle"

    code, said = command("pipeline", *rounds(tmp_path, clips, *ON_SLURM))
    assert code == 0, said
    for iteration in ("iter1", "iter2"):
        for made in ("p2_kin_gen", "p4_phys_record"):
            assert contents(tmp_path / iteration / made) == contents(here / iteration / made)
    ours, theirs = (
        read_checkpoint(folder / "iter2/p1_train_gen" / FINAL_CHECKPOINT).ema for folder in (tmp_path, here)
    )
    assert all((ours[name] == theirs[name]).all() for name in theirs)
