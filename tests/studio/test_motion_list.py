"""The list of what can be viewed: found at once, read when chosen, versions of one motion together."""

import dataclasses
import shutil

import pytest

from parc.anim.clip_files import write_clip
from parc.configuration.errors import UserError
from parc.studio.motion_list import CORRECTED, REFINED, UNCORRECTED, UNREFINED, motions_in, titles_of
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
    before, part = (random_clip(humanoid, 5, frames=count).frames for count in (12, 9))
    simulated = random_clip(humanoid, 6, frames=9).frames
    for name in ("walk", "walk_mirrored", "walk_failed_twice", "run"):
        write(tmp_path / "p2_kin_gen" / "flat", humanoid, name, 1, unrefined=before)
    for name in ("walk_physical", "walk_physical_mirrored"):
        write(tmp_path / "p4_phys_record" / "flat", humanoid, name, 2, **vars(simulated), unrefined=part)
    write(tmp_path / "p4_phys_record" / "ignore", humanoid, "run_failed", 3)
    listed = {motion.name: motion for motion in motions_in([tmp_path / "p2_kin_gen"])}
    assert sorted(listed) == ["run", "walk", "walk_failed_twice", "walk_mirrored"]
    assert listed["walk_mirrored"].files[CORRECTED].stem == "walk_physical_mirrored"
    assert list(listed["run"].files) == [REFINED]
    versions = listed["walk"].read(humanoid)
    assert [version.label for version in versions] == [UNREFINED, REFINED, CORRECTED] == titles_of(versions)
    assert [version.clip.num_frames for version in versions] == [12, 12, 9]
    assert len({version.colour for version in versions}) == 3


def test_a_correction_that_has_made_nothing_yet_keeps_nobody_from_looking_at_what_was_generated(tmp_path, humanoid):
    write(tmp_path / "p2_kin_gen", humanoid, "walk")
    write(tmp_path / "p4_phys_record" / "ignore", humanoid, "walk_failed")
    (motion,) = motions_in([tmp_path / "p2_kin_gen"])
    assert [version.label for version in motion.read(humanoid)] == [""]


@pytest.mark.parametrize("order", [1, -1])
def test_corrected_clips_and_what_they_were_made_of_are_versions_of_one_motion_wherever_they_are(
    tmp_path, humanoid, order
):
    write(tmp_path / "made", humanoid, "walk", 1)
    write(tmp_path / "mended", humanoid, "walk_physical", 2)
    (motion,) = motions_in([tmp_path / "made", tmp_path / "mended"][::order])
    assert motion.name == "walk" and list(motion.files) == ["made", "mended"]


def test_clips_of_one_folder_are_motions_of_their_own_whatever_they_are_called(tmp_path, humanoid):
    for name in ("walk", "walk_physical", "walk_assisted"):
        write(tmp_path / "mixed", humanoid, name)
    write(tmp_path / "more", humanoid, "walk")
    listed = motions_in([tmp_path / "mixed", tmp_path / "more"])
    assert sorted(motion.name for motion in listed) == ["walk", "walk_assisted", "walk_physical"]


def test_a_failure_shows_what_it_was_to_do(tmp_path, humanoid):
    wanted = random_clip(humanoid, 5, frames=12).frames
    write(tmp_path / "ignore", humanoid, "walk_failed", 1, unrefined=wanted)
    (motion,) = motions_in([tmp_path / "ignore" / "walk_failed.safetensors"])
    versions = motion.read(humanoid)
    assert [version.label for version in versions] == [UNCORRECTED, CORRECTED]
    assert versions[0].clip.frames.same_as(wanted)


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
