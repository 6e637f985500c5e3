import dataclasses

import pytest
import torch

from golden_arrays import golden_library, read_golden, rotation_distance
from parc.anim.motion_clip import LoopMode
from parc.anim.motion_library import library_of
from synthetic_clips import preprocessed, random_clip


@pytest.fixture(scope="module")
def library(clips_folder, golden_folder, humanoid):
    return golden_library(clips_folder, golden_folder, humanoid)


@pytest.mark.parametrize("group", ["clamp", "wrap"])
def test_frames_are_the_golden_ones_on_and_off_the_grid_and_beyond_the_ends(library, golden_folder, group):
    arrays = read_golden(golden_folder, "frames")
    golden = {key.removeprefix(f"{group}_"): value for key, value in arrays.items() if key.startswith(group)}
    library = dataclasses.replace(library, wraps=golden["loop_modes"] == 1)
    frames = library.frames_at(golden["motion_ids"].long(), golden["times"].float()[:, None])
    torch.testing.assert_close(frames.root_pos[:, 0], golden["root_pos"], rtol=1e-5, atol=5e-6)
    torch.testing.assert_close(frames.contacts[:, 0], golden["contacts"], rtol=1e-4, atol=1e-6)
    # For half angles below 0.001 the published slerp gives the midpoint of the two frames, not normalised.
    before, after = golden["frame_idx0"].long(), golden["frame_idx1"].long()
    for ours, theirs, clip in [
        (frames.root_rot[:, 0], golden["root_rot"], library.root_rot),
        (frames.joint_rot[:, 0], golden["joint_rot"], library.joint_rot),
    ]:
        distance = rotation_distance(ours, theirs)
        half_angle = torch.acos((clip[before].double() * clip[after].double()).sum(-1).abs().clamp(max=1))
        assert distance.max() < 1e-3
        # Between 0.001 and 0.1 it takes sines from a cosine near 1 in single precision.
        assert distance[half_angle >= 1e-3].max() < 1e-4
        assert distance[half_angle >= 0.1].numel() == 0 or distance[half_angle >= 0.1].max() < 1e-5


def test_lengths_and_places_of_clips_are_the_golden_ones(library, golden_folder):
    golden = read_golden(golden_folder, "frames")
    torch.testing.assert_close(library.seconds, golden["motion_lengths"].float(), rtol=1e-6, atol=0)
    assert library.num_frames.tolist() == golden["motion_num_frames"].tolist()
    assert library.first_frame.tolist() == golden["motion_start_idx"].tolist()


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0, 120.0])
@pytest.mark.parametrize("loop_mode", list(LoopMode))
def test_a_clip_read_at_its_own_frames_gives_those_frames(humanoid, fps, loop_mode):
    clip = random_clip(humanoid, frames=61, fps=fps, loop_mode=loop_mode)
    library = library_of(preprocessed(humanoid, [clip]), [1.0])
    frames = library.frames_at(torch.tensor([0]), torch.arange(60)[None] / fps)
    torch.testing.assert_close(frames.root_pos[0], clip.root_pos[:60], atol=1e-5, rtol=0)
    assert rotation_distance(frames.joint_rot[0], clip.joint_rot[:60]).max() < 1e-4
    torch.testing.assert_close(frames.contacts[0], clip.contacts[:60], atol=1e-4, rtol=0)


def test_a_clip_that_clamps_stays_at_its_ends(humanoid):
    clip = random_clip(humanoid, frames=20)
    frames = library_of(preprocessed(humanoid, [clip]), [1.0]).frames_at(
        torch.tensor([0]), torch.tensor([[-5.0, 0.0, 1.0, 400.0]])
    )
    torch.testing.assert_close(frames.root_pos[0], clip.root_pos[[0, 0, -1, -1]], atol=1e-5, rtol=0)


def test_a_clip_that_wraps_goes_on_where_it_ended_and_comes_back_to_its_height(humanoid):
    clip = random_clip(humanoid, frames=31, loop_mode=LoopMode.WRAP)
    library = library_of(preprocessed(humanoid, [clip]), [1.0])
    way = (clip.root_pos[-1] - clip.root_pos[0]) * torch.tensor([1.0, 1.0, 0.0])
    inside = torch.rand(1, 50, generator=torch.Generator().manual_seed(0)) * 0.98 + 0.01
    first = library.frames_at(torch.tensor([0]), inside)
    for loops in (-2, 1, 7):
        later = library.frames_at(torch.tensor([0]), inside + loops * 1.0)  # the clip lasts a second
        torch.testing.assert_close(later.root_pos, first.root_pos + loops * way, atol=1e-4, rtol=0)
        assert rotation_distance(later.root_rot, first.root_rot).max() < 1e-4


def test_a_library_of_many_clips_reads_each_as_if_it_were_alone(humanoid):
    clips = [random_clip(humanoid, seed, frames=20 + seed, fps=20.0 + seed) for seed in range(8)]
    prepared = preprocessed(humanoid, clips)
    together = library_of(prepared, [1.0] * 8)
    times = torch.rand(8, 5, generator=torch.Generator().manual_seed(1))
    frames = together.frames_at(torch.arange(8), times)
    for index, clip in enumerate(prepared):
        alone = library_of([clip], [1.0])
        own = alone.frames_at(torch.tensor([0]), times[index : index + 1])
        assert torch.equal(own.root_pos[0], frames.root_pos[index])
        torch.testing.assert_close(own.joint_rot[0], frames.joint_rot[index], rtol=0, atol=1e-6)
        first = together.first_frame[index]
        mine = together.touched_offsets[first : first + clip.clip.num_frames + 1]
        assert torch.equal(mine - mine[0], alone.touched_offsets)
        assert torch.equal(together.touched_cells[mine[0] : mine[-1]], alone.touched_cells)
