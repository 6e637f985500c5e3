"""The whole stage with a walker for a model: what it makes, that it goes on, and what it refuses."""

import json
import os
import signal

import pytest
import torch
from generating_runs import QUICK, contents

from parc.anim.clip_files import read_clip
from parc.anim.dataset import ClipDataset
from parc.anim.mirror import mirror_clip
from parc.motion_synthesis import synthesis
from parc.motion_synthesis.generated import read_generated
from parc.motion_synthesis.selection import Selection
from parc.stages.progress import read_progress
from walker import write_walker


@pytest.fixture
def generate(shell, humanoid, caplog):
    """Run `python -m parc.generate` in an empty folder that holds the checkpoint of a walker that sways."""
    caplog.set_level("INFO", "parc")
    write_walker(shell.folder / "walker.ckpt", humanoid, sway=1e-3)
    return lambda *arguments: shell.run("generate", "model_path=walker.ckpt", *QUICK, *arguments)


@pytest.fixture
def folder(shell):
    return shell.folder / "data/iter1/p2_kin_gen"


def test_it_makes_clips_with_their_mirror_images_paths_and_provenance(generate, folder, humanoid, caplog):
    answer = generate("num_motions=6", "seed=3")
    assert answer.code == 0, answer.err
    names = [f"iter1_flat_seed3_{number:06d}" for number in range(6)]
    files = [*names, *(f"{name}_mirrored" for name in names)]
    assert sorted(path.stem for path in (folder / "flat").iterdir()) == sorted(files)
    entries = ClipDataset(str(folder), 15, 1001, 1001, []).entries()
    assert {entry.motion_class for entry in entries} == {"flat"} and len(entries) == 12
    for number, name in enumerate(names):
        clip = read_clip(folder / f"flat/{name}.safetensors", humanoid)
        assert clip.made and clip.path_nodes is not None and clip.unrefined is None
        assert (clip.made.number, clip.made.seed, clip.made.guidance_scale) == (number, 3, 0.0)
        assert set(clip.made.losses) == {"penetration", "contact", "total"}
        # It went where it was asked to, from the beginning of its path to within reach of its end.
        assert torch.linalg.norm(clip.root_pos[0, :2] - clip.path_nodes[0, :2]) < 0.2
        assert torch.linalg.norm(clip.root_pos[-1, :2] - clip.path_nodes[-1, :2]) < 0.6
        mirrored = read_clip(folder / f"flat/{name}_mirrored.safetensors", humanoid)
        assert mirrored.made and mirrored.made.mirrored and mirrored.made.number == number
        torch.testing.assert_close(mirrored.root_pos, mirror_clip(clip, humanoid).root_pos)
    progress = read_progress(folder)
    assert progress and (progress.done, progress.total, progress.unit, progress.finished) == (6, 6, "motions", True)
    assert progress.figures["accepted (%)"] == 100
    assert "100% of" in caplog.text and "generated: 6 motions" in caplog.text


def test_clips_keep_what_their_motions_were_before_refinement(generate, shell, humanoid):
    """The same motions, refined and not: what one run saves is what the other keeps beside what it saves."""
    whole = ("num_motions=2", "tidying=whole_terrain", "tidying.hesitation=null")
    assert generate(*whole, "output_dir=raw").code == 0
    assert generate(*whole, "output_dir=refined", "refinement=least_squares", "refinement.max_steps=2").code == 0
    for name in contents(shell.folder / "raw"):
        raw, refined = (read_clip(shell.folder / run / "flat" / name, humanoid) for run in ("raw", "refined"))
        assert raw.unrefined is None and refined.unrefined is not None
        for field, values in vars(raw.frames).items():
            torch.testing.assert_close(getattr(refined.unrefined, field), values, atol=1e-6, rtol=0)
        assert not torch.allclose(refined.root_pos, raw.root_pos, atol=1e-3)
    assert len(contents(shell.folder / "raw")) == 4


def test_no_two_motions_are_the_same_and_other_seeds_make_others(generate, folder, humanoid):
    assert generate("num_motions=4").code == 0
    assert generate("num_motions=4", "seed=1", "output_dir=other").code == 0
    runs = (folder, folder.parents[2] / "other")
    clips = [
        read_clip(path, humanoid) for run in runs for path in run.rglob("*.safetensors") if "mirrored" not in path.name
    ]
    # A walker's joints are noise and nothing else, wherever it goes.
    assert len({clip.joint_rot[:8].numpy().tobytes() for clip in clips}) == len(clips) == 8


def test_the_same_command_makes_what_is_missing_as_it_was(generate, folder, caplog):
    assert generate("num_motions=6").code == 0
    before = contents(folder)
    (folder / "flat/iter1_flat_seed0_000001.safetensors").unlink()
    (folder / "flat/iter1_flat_seed0_000005_mirrored.safetensors").unlink()
    answer = generate("num_motions=6")
    assert answer.code == 0 and contents(folder) == before
    again = generate("num_motions=6")
    assert again.code == 0 and "nothing left to do" in caplog.text


@pytest.mark.slow
def test_more_motions_are_added_to_those_that_are_there(generate, folder):
    assert generate("num_motions=3").code == 0  # ends in the middle of a group
    assert generate("num_motions=5").code == 0
    grown = contents(folder)
    assert generate("num_motions=5", "output_dir=at_once").code == 0
    assert grown == contents(folder.parents[2] / "at_once") and len(grown) == 10


def test_shards_make_together_what_one_run_makes(generate, folder):
    assert generate("num_motions=6").code == 0
    parts = folder.parents[2] / "parts"
    for shard in range(2):
        assert generate("num_motions=6", "num_shards=2", f"shard={shard}", f"output_dir=parts/{shard}").code == 0
    assert contents(parts) == contents(folder)
    assert {entry.motion_class for entry in ClipDataset(str(parts), 15, 1001, 1001, []).entries()} == {"flat"}


def test_a_signal_keeps_what_is_done_and_the_same_command_makes_the_rest(generate, folder, monkeypatch):
    assert generate("num_motions=8", "output_dir=undisturbed").code == 0
    choose, calls = synthesis.Synthesis._choose, []

    def signalled(self, group):
        calls.append(group)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return choose(self, group)

    with monkeypatch.context() as patch:
        patch.setattr(synthesis.Synthesis, "_choose", signalled)
        answer = generate("num_motions=8")
    assert answer.code != 0 and "stopped by SIGTERM with 4 motions done" in answer.err
    assert len(contents(folder)) == 8
    assert generate("num_motions=8").code == 0
    assert contents(folder) == contents(folder.parents[2] / "undisturbed")


@pytest.mark.slow
def test_paths_without_an_accepted_candidate_are_given_up_and_said(generate, folder, monkeypatch, caplog):
    choose = Selection.choose

    def only_the_first_path(self, motions, quality):
        chosen, refused = choose(self, motions, quality)
        return [place for place in chosen if place < 3][:1], refused

    monkeypatch.setattr(Selection, "choose", only_the_first_path)
    answer = generate("num_motions=4", "max_rollouts=2")
    assert answer.code == 0 and "2 motions were given up: too few candidates were accepted in 2 rollouts" in caplog.text
    assert sorted(contents(folder)) == [
        f"iter1_flat_seed0_{number:06d}{mirrored}.safetensors" for number in (0, 1) for mirrored in ("", "_mirrored")
    ]
    assert read_generated(folder).groups[0].given_up == [2, 3]
    (folder / "flat/iter1_flat_seed0_000000.safetensors").unlink()
    of_another_machine = folder / "flat/iter1_flat_seed0_000002.safetensors"
    of_another_machine.write_bytes(b"made where more was accepted")
    assert generate("num_motions=4", "max_rollouts=2").code == 0 and not of_another_machine.exists()
    caplog.clear()
    assert generate("num_motions=4", "max_rollouts=2").code == 0 and "nothing left to do" in caplog.text


def test_where_nothing_is_accepted_it_says_why_and_saves_nothing(generate, folder):
    answer = generate("num_motions=4", "rollout.max_seconds=0.5")
    assert answer.code != 0 and "0% of 24 candidates accepted (not finished 100%)" in answer.err
    assert "terrain=flat is the easiest" in answer.err and answer.err.count("\n") == 1
    assert not contents(folder)
    assert generate("num_motions=4", "rollout.max_seconds=0.5").err == answer.err, "the same command says the same"
    assert generate("num_motions=2", "overwrite=true").code == 0, "and what it advises can be done"


@pytest.mark.slow
def test_a_group_without_any_motion_is_given_up_and_others_are_made(generate, folder, monkeypatch):
    planned = synthesis.Synthesis._planned
    monkeypatch.setattr(
        synthesis.Synthesis, "_planned", lambda self, path, attempt: planned(self, path, attempt) if path > 1 else None
    )
    assert generate("num_motions=8").code == 0
    assert len(contents(folder)) == 8
    first = read_generated(folder).groups[0]
    assert first.given_up == [0, 1, 2, 3] and first.refused == {"no path": 24}
    parts = folder.parents[2] / "parts"
    for shard, code in ((0, 1), (1, 0)):  # the first has nothing to show, and says so
        assert generate("num_motions=8", "num_shards=2", f"shard={shard}", f"output_dir=parts/{shard}").code == code
    assert contents(parts) == contents(folder)


def test_a_shard_without_motions_is_finished_at_once(generate, folder, caplog):
    shard = ("num_motions=4", "num_shards=2", "shard=1")
    assert generate(*shard).code == 0
    caplog.clear()
    assert generate(*shard).code == 0 and "nothing left to do" in caplog.text


def test_motions_go_on_from_the_end_of_a_clip(generate, shell, folder, humanoid):
    assert generate("num_motions=1").code == 0
    first = folder / "flat/iter1_flat_seed0_000000.safetensors"
    assert generate("num_motions=1", f"rollout.start={first}", "output_dir=next", "seed=1").code == 0
    before = read_clip(first, humanoid)
    after = read_clip(shell.folder / "next/flat/iter1_flat_seed1_000000.safetensors", humanoid)
    torch.testing.assert_close(after.joint_rot[:2], before.joint_rot[-2:], atol=1e-5, rtol=0)
    torch.testing.assert_close(after.root_pos[:2, 2], before.root_pos[-2:, 2], atol=1e-5, rtol=0)
    steps = [(clip.root_pos[-1] - clip.root_pos[-2]).norm() for clip in (before,)]
    assert (after.root_pos[1] - after.root_pos[0]).norm() == pytest.approx(float(steps[0]), abs=1e-5)
    assert after.path_nodes is not None
    assert torch.linalg.norm(after.root_pos[1, :2] - after.path_nodes[0, :2]) < 1e-4


def test_overwriting_deletes_what_it_made_and_nothing_else(generate, folder, caplog):
    assert generate("num_motions=6").code == 0
    mine = folder / "flat/mine.safetensors"
    mine.write_bytes(b"mine")
    answer = generate("num_motions=2", "seed=1", "overwrite=true")
    assert answer.code == 0, answer.err
    assert mine.read_bytes() == b"mine" and "left what such a run does not write: flat/mine.safetensors" in caplog.text
    assert len(contents(folder)) == 1 + 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model_path=nowhere"], "/nowhere: there is no such run or checkpoint"),
        (["num_motions=0"], "is 0, expected at least 1"),
        (["num_shards=2", "shard=2"], "is 2, expected 0 to 1"),
        (["selection.keep=4"], "is 4, expected at most the 3 of rollout.candidates"),
        (["device=tpu"], "is 'tpu', expected auto, cpu, cuda or cuda:N"),
        (["rollout.start=nowhere.safetensors"], "rollout.start"),
        (["rollout.feet=[left_hoof]"], "has no body 'left_hoof'; did you mean 'left_foot'?"),
        (
            ["rollout.denoising_steps=1"],
            "rollout.denoising_steps (override rollout.denoising_steps=1) is 1, expected at least 2",
        ),
        (["model_packages=[]"], "model_packages=[PACKAGE]"),
        (["terrain=nope"], "terrain=nope: there is no such option"),
        (["num_motion=3"], "num_motions"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(generate, shell, arguments, message):
    before = shell.files()
    answer = generate(*arguments)
    assert answer.code != 0 and message in answer.err, answer.err
    assert answer.err.strip().count("\n") == 0 and "Traceback" not in answer.err
    assert shell.files() == before


def test_a_model_that_has_changed_is_refused(generate, folder, shell, humanoid):
    assert generate("num_motions=2").code == 0
    before = contents(folder)
    write_walker(shell.folder / "walker.ckpt", humanoid, sway=2e-3)
    for number in (2, 4):  # all that is wanted is there, or more is
        answer = generate(f"num_motions={number}")
        assert answer.code != 0 and "is not the model that made the motions" in answer.err
    assert contents(folder) == before
    (shell.folder / "walker.ckpt").unlink()
    assert generate("num_motions=2").code == 0, "what is finished needs no model"


def test_a_broken_record_is_named(generate, folder):
    assert generate("num_motions=2").code == 0
    (folder / "generated.json").write_text(json.dumps({"model": "x"}))
    answer = generate("num_motions=2")
    assert answer.code != 0 and "generated.json: broken" in answer.err and answer.err.count("\n") == 1
