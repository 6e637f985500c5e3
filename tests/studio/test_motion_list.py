"""The list of what can be viewed: found at once, read when chosen, versions of one motion together."""

import dataclasses
import shutil

import pytest

from parc.anim.clip_files import write_clip
from parc.configuration.errors import UserError
from parc.studio.motion_list import CORRECTED, UNREFINED, motions_in
from synthetic_clips import random_clip


def write(folder, humanoid, name, seed=0, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    clip = dataclasses.replace(random_clip(humanoid, seed, name=name, frames=12), **changes)
    write_clip(folder / f"{name}.safetensors", clip)
    return clip


def test_a_folder_is_listed_without_reading_it(tmp_path):
    (tmp_path / "walks").mkdir()
    for number in range(3):
        (tmp_path / "walks" / f"walk_{number}.safetensors").write_bytes(b"not a clip")
    listed = motions_in([tmp_path])
    assert [(motion.name, motion.motion_class) for motion in listed] == [(f"walk_{n}", "walks") for n in range(3)]


def test_clips_of_one_name_in_two_folders_are_versions_of_one_motion(tmp_path, humanoid):
    write(tmp_path / "raw", humanoid, "walk", 1)
    write(tmp_path / "raw", humanoid, "run", 2)
    write(tmp_path / "mended", humanoid, "walk", 3)
    listed = {motion.name: motion for motion in motions_in([tmp_path / "raw", tmp_path / "mended"])}
    versions = listed["walk"].read(humanoid)
    assert [version.label for version in versions] == ["raw", "mended"]
    assert len({version.colour for version in versions}) == 2
    assert [version.label for version in listed["run"].read(humanoid)] == ["raw"]


def test_corrected_clips_beside_generated_ones_are_found(tmp_path, humanoid):
    write(tmp_path / "p2_kin_gen" / "flat", humanoid, "walk", 1)
    write(tmp_path / "p4_phys_record" / "flat", humanoid, "walk", 2)
    (motion,) = motions_in([tmp_path / "p2_kin_gen"])
    assert list(motion.files) == ["refined", CORRECTED]


def test_a_clip_shows_what_it_was_before_refinement(tmp_path, humanoid):
    before = random_clip(humanoid, 5, frames=12).frames
    write(tmp_path, humanoid, "walk", 1, unrefined=before)
    raw, refined = motions_in([tmp_path])[0].read(humanoid)
    assert (raw.label, refined.label) == (UNREFINED, "refined")
    assert raw.clip.frames.same_as(before)
    assert raw.clip.unrefined is None


def test_several_clips_are_several_motions(tmp_path, humanoid):
    for name in ("walk", "run"):
        write(tmp_path, humanoid, name)
    listed = motions_in([tmp_path / "walk.safetensors", tmp_path / "run.safetensors"])
    assert [motion.name for motion in listed] == ["walk", "run"]
    assert [version.label for version in listed[0].read(humanoid)] == [""]


def test_what_cannot_be_listed_is_named(tmp_path, humanoid):
    with pytest.raises(UserError, match="no such file or folder; expected a clip, a folder of clips"):
        motions_in([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="the folder holds no clips"):
        motions_in([tmp_path])
    write(tmp_path / "a", humanoid, "walk")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UserError, match="two clips are called 'walk'"):
        motions_in([tmp_path])


def test_a_broken_clip_is_named_when_it_is_chosen(tmp_path, humanoid):
    (tmp_path / "walk.safetensors").write_bytes(b"not a clip")
    (motion,) = motions_in([tmp_path])
    with pytest.raises(UserError, match=r"walk\.safetensors: not a whole safetensors file"):
        motion.read(humanoid)
