"""What is cut out of chosen clips and off their terrain, and what stays where it is."""

import math
from dataclasses import replace

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from generated_clips import making
from parc.anim.clip_files import read_clip, write_clip
from parc.anim.mirror import mirror_clip
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.hydra_help import conf_folder
from parc.configuration.pieces import make
from parc.motion_synthesis.tidying import Hesitation, Tidying
from parc.terrain.heightfield import Heightfield, cropped
from synthetic_clips import random_clip

NEAR = Tidying(Hesitation(least_frames=4, distance=0.15), margin=1.2)


@pytest.fixture(scope="module")
def surface(humanoid):
    return surface_points(humanoid)


def hesitating_frames(poses: list[list[list[float]]], least_frames: int, distance: float) -> list[bool]:
    """Say which frames hesitate, one by one and body by body."""
    near: list[bool] = []
    for frame, pose in enumerate(poses):
        earlier = [poses[other] for other in range(frame) if not near[other]]
        sums = [
            sum(
                (a - b) ** 2
                for ours, theirs in zip(pose, other, strict=True)
                for a, b in zip(ours, theirs, strict=True)
            )
            for other in earlier
        ]
        near.append(any(math.sqrt(total) <= distance for total in sums))
    dropped = [False] * len(poses)
    for start in range(len(poses)):
        if all(near[start : start + least_frames]) and start + least_frames <= len(poses):
            dropped[start : start + least_frames] = [True] * least_frames
    return dropped


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 60), st.integers(1, 6), st.floats(0.02, 0.4), st.floats(0.01, 0.3))
def test_frames_that_hesitate_are_those_of_a_plain_computation(seed, frames, least_frames, distance, stride):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(frames, 3, 3, generator=generator, dtype=torch.double) * stride
    moves = torch.rand(frames, 1, 1, generator=generator) < 0.5  # stops often, and comes back by chance
    poses = (steps * moves).cumsum(0)
    expected = hesitating_frames(poses.tolist(), least_frames, distance)
    assert Hesitation(least_frames, distance).frames_of(poses).tolist() == expected


def test_a_stop_is_cut_out_a_short_one_is_not_and_labels_go_with_their_frames(humanoid, surface):
    clip = random_clip(humanoid, seed=3, frames=40)
    times = torch.tensor([*range(10), *[10] * 5, *range(11, 20), *[20] * 4, *range(21, 30)])  # 4 repeats, then 3
    moved = clip.root_pos + torch.arange(40)[:, None] * torch.tensor([0.1, 0.0, 0.0])  # no two frames are near
    still = replace(
        clip, root_pos=moved[times], root_rot=clip.root_rot[times], joint_rot=clip.joint_rot[times],
        contacts=clip.contacts[times] * 0.5 + torch.arange(len(times))[:, None] / 1000,
    )  # fmt: skip
    tidy = Tidying(Hesitation(least_frames=4, distance=0.05), margin=None).tidy(still, humanoid, surface)
    kept = [*range(11), *range(15, len(times))]
    for name in ("root_pos", "root_rot", "joint_rot", "contacts"):
        assert torch.equal(getattr(tidy, name), getattr(still, name)[kept]), name
    everything = Tidying(None, margin=None).tidy(still, humanoid, surface)
    assert everything.num_frames == len(times)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_frames_before_refinement_stay_beside_what_became_of_them(humanoid, surface, seed):
    clip = random_clip(humanoid, seed, frames=60, cells=(30, 26))
    stops = torch.randint(0, 60, (80,), generator=torch.Generator().manual_seed(seed)).sort().values
    clip = clip.with_frames(clip.frames.each(lambda values: values[stops]))
    moved = replace(clip.frames, root_pos=clip.root_pos + torch.tensor([0.0, 0.0, 0.01]))
    tidy = NEAR.tidy(replace(clip, unrefined=moved), humanoid, surface)
    assert tidy.unrefined is not None
    torch.testing.assert_close(
        tidy.unrefined.root_pos, tidy.root_pos + torch.tensor([0.0, 0.0, 0.01]), atol=1e-6, rtol=0
    )
    assert torch.equal(tidy.unrefined.joint_rot, tidy.joint_rot)
    without = NEAR.tidy(clip, humanoid, surface)
    assert without.unrefined is None and without.frames.same_as(tidy.frames)
    assert torch.equal(without.terrain.heights, tidy.terrain.heights)


def test_a_way_there_and_back_is_cut_where_it_comes_back():
    way = torch.tensor([*range(10), *reversed(range(9))]).float()[:, None, None] * torch.tensor([[[1.0, 0.0, 0.0]]])
    assert Hesitation(4, 0.15).frames_of(way).nonzero()[:, 0].tolist() == list(range(10, 19))


def test_a_slow_walk_stays_and_a_slower_one_is_thinned_out():
    # 0.12 m a frame: frame 1 is near frame 0, frame 2 is not, however near it is to frame 1.
    steady = torch.arange(30.0)[:, None, None] * torch.tensor([[[0.12, 0.0, 0.0]]])
    assert not Hesitation(4, 0.15).frames_of(steady).any()
    crawling = torch.arange(30.0)[:, None, None] * torch.tensor([[[0.02, 0.0, 0.0]]])
    assert (~Hesitation(4, 0.15).frames_of(crawling)).nonzero()[:, 0].tolist() == [0, 8, 16, 24]


def test_a_clip_that_only_stands_stays_whole(humanoid, surface):
    clip = random_clip(humanoid, frames=12)
    still = replace(
        clip, root_pos=clip.root_pos[:1].expand(12, 3), root_rot=clip.root_rot[:1].expand(12, 4),
        joint_rot=clip.joint_rot[:1].expand(12, -1, 4),
    )  # fmt: skip
    assert NEAR.tidy(still, humanoid, surface).num_frames == 12


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    margin=st.floats(0, 3),
    cell_size=st.sampled_from([0.1, 0.25, 0.4, 1.0]),
    corner=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_the_ground_near_the_motion_stays_as_it_is_and_no_more_than_that(
    humanoid, surface, seed, margin, cell_size, corner
):
    clip = random_clip(humanoid, seed, frames=20, cells=(60, 50), cell_size=cell_size)
    corner = torch.tensor(corner)
    clip = replace(
        clip,
        root_pos=clip.root_pos + torch.cat([corner, torch.zeros(1)]),
        terrain=replace(clip.terrain, min_point=corner),
        path_nodes=clip.root_pos[::5],
    )
    tidy = Tidying(None, margin).tidy(clip, humanoid, surface)
    body_pos, body_rot = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    generator = torch.Generator().manual_seed(seed)
    around = (torch.rand(4000, 2, generator=generator) * 2 - 1) * margin  # along x and y
    below = torch.cat([body_pos[..., :2].reshape(-1, 2), surface.placed(body_pos, body_rot)[..., :2].reshape(-1, 2)])
    near = torch.cat([below, body_pos[..., :2].reshape(-1, 2).repeat(20, 1)[:4000] + around])
    # At a border between two cells rounding decides which one is meant.
    places = (near - corner) / cell_size
    near = near[((places - places.floor() - 0.5).abs() > 1e-3).all(1)]
    assert torch.equal(tidy.terrain.heights_at(near), clip.terrain.heights_at(near))
    assert tidy.terrain.cell_size == cell_size
    offset = (tidy.terrain.min_point - corner) / cell_size
    torch.testing.assert_close(offset, offset.round(), atol=1e-3, rtol=0)
    extent = torch.maximum(body_pos[..., :2].reshape(-1, 2).aminmax(dim=0).max + margin, below.amax(0)) - torch.minimum(
        body_pos[..., :2].reshape(-1, 2).amin(0) - margin, below.amin(0)
    )
    assert (torch.tensor(tidy.terrain.heights.shape) <= extent / cell_size + 2).all()
    for name in ("root_pos", "root_rot", "joint_rot", "contacts", "path_nodes"):
        assert torch.equal(getattr(tidy, name), getattr(clip, name))


def test_a_crop_is_made_of_whole_cells_from_one_corners_to_the_others():
    terrain = Heightfield(torch.arange(30.0).reshape(6, 5), torch.tensor([10.0, -2.0]), 0.5)
    part = cropped(terrain, torch.tensor([10.3, -1.3]), torch.tensor([11.7, -0.6]))
    assert torch.equal(part.heights, terrain.heights[1:4, 1:4])
    torch.testing.assert_close(part.min_point, torch.tensor([10.5, -1.5]))
    assert torch.equal(
        cropped(terrain, torch.tensor([-9.0, -9.0]), torch.tensor([99.0, 99.0])).heights, terrain.heights
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_tidied_and_mirrored_is_mirrored_and_tidied(humanoid, surface, seed):
    clip = random_clip(humanoid, seed, frames=60, cells=(30, 26))
    stops = torch.randint(0, 60, (80,), generator=torch.Generator().manual_seed(seed)).sort().values
    clip = replace(
        clip, root_pos=clip.root_pos[stops], root_rot=clip.root_rot[stops], joint_rot=clip.joint_rot[stops],
        contacts=clip.contacts[stops], path_nodes=clip.root_pos[::7], made=making(),
    )  # fmt: skip
    one = mirror_clip(NEAR.tidy(clip, humanoid, surface), humanoid)
    other = NEAR.tidy(mirror_clip(clip, humanoid), humanoid, surface)
    assert (one.name, one.made) == (other.name, other.made)
    for name in ("root_pos", "root_rot", "joint_rot", "contacts", "path_nodes"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert torch.equal(one.terrain.heights, other.terrain.heights)
    torch.testing.assert_close(one.terrain.min_point, other.terrain.min_point, atol=1e-5, rtol=0)
    # Capsules' surface points have a mirror image to a few centimetres, so a few cells are touched in one of both only.
    assert one.height_bounds is not None and other.height_bounds is not None
    assert torch.isclose(one.height_bounds, other.height_bounds, atol=1e-3).float().mean() > 0.9


@pytest.mark.parametrize("tidying", [NEAR, Tidying(None, None)], ids=["near the motion", "whole terrain"])
def test_what_the_motion_touches_is_computed_again_and_the_clip_can_be_written(humanoid, surface, tmp_path, tidying):
    clip = replace(random_clip(humanoid, seed=9, frames=50), height_bounds=torch.zeros(20, 24, 2), made=making())
    tidy = tidying.tidy(clip, humanoid, surface)
    expected = preprocess_clip(tidy, humanoid, surface).height_bounds
    assert (
        tidy.height_bounds is not None
        and torch.equal(tidy.height_bounds, expected)
        and tidy.made == clip.made
        and tidy.name == clip.name
    )
    write_clip(tmp_path / "clip.safetensors", tidy)
    read = read_clip(tmp_path / "clip.safetensors", humanoid)
    assert read.height_bounds is not None and torch.equal(read.height_bounds, expected)
    assert torch.equal(read.terrain.heights, tidy.terrain.heights)


def option(name: str, *overrides: str) -> Tidying:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("train", [f"+tidying={name}", *overrides])
    values = OmegaConf.to_container(config.tidying)
    assert isinstance(values, dict)
    return make({str(key): value for key, value in values.items()}, Tidying, "tidying")


def test_the_options_make_their_piece_with_the_papers_numbers():
    assert option("near_the_motion") == NEAR
    assert option("whole_terrain") == replace(NEAR, margin=None)
    assert option("near_the_motion", "tidying.hesitation=null") == replace(NEAR, hesitation=None)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("margin=-0.1", "tidying.margin is -0.1, expected metres from 0 to 1000, or null"),
        ("margin=1e30", "tidying.margin is 1e+30, expected metres from 0 to 1000, or null"),
        ("hesitation.least_frames=0", "tidying.hesitation.least_frames is 0, expected at least 1"),
        ("hesitation.least_frames=1.5", "tidying.hesitation.least_frames: is 1.5, expected a whole number"),
        ("hesitation.distance=-1.0", "tidying.hesitation.distance is -1.0, expected metres, 0 or more"),
        ("+hesitation.distanc=1.0", "tidying.hesitation.distanc: there is no such key; did you mean 'distance'?"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key_and_what_was_expected(override, line):
    plus = "+" if override.startswith("+") else ""
    with pytest.raises(UserError) as caught:
        option("near_the_motion", f"{plus}tidying.{override.removeprefix('+')}")
    assert str(caught.value) == line
