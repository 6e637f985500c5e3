"""What a denoiser is told of the ground below a motion's bodies is what is there."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parc.motion_generator.features import FeatureStatistics, Motion, MotionFeatures, RotationType
from parc.motion_generator.ground_below import AROUND, FARTHEST, GroundBelow, points_below
from parc.motion_generator.local_heightmap import HeightmapGrid

GRID = HeightmapGrid(min_x=-1.0, max_x=3.0, min_y=-2.0, max_y=2.0, spacing=0.25)
FRAMES, BATCH = 4, 3


def looks(humanoid, rotation_type=RotationType.DEFAULT) -> tuple[GroundBelow, MotionFeatures, FeatureStatistics]:
    features = MotionFeatures(humanoid, rotation_type)
    generator = torch.Generator().manual_seed(1)
    size = (FRAMES, features.num_features)
    statistics = FeatureStatistics(torch.randn(size, generator=generator), 0.5 + torch.rand(size, generator=generator))
    return GroundBelow(features, statistics, GRID), features, statistics


def motion_at(humanoid, positions):
    """Return a motion whose bodies are where they are said to be, whatever the character."""
    bodies = positions.shape[2]
    still = torch.tensor([0.0, 0, 0, 1]).expand(BATCH, FRAMES, bodies, 4)
    contacts = torch.zeros(BATCH, FRAMES, bodies)
    return Motion(positions[:, :, 0], still[:, :, 0], positions[:, :, 1:], still[:, :, 1:], contacts)


def test_ends_of_limbs_have_a_ring_of_points_and_other_bodies_one(humanoid):
    bodies, offsets = points_below(humanoid.parents)
    counts = {name: int((bodies == humanoid.body_index(name)).sum()) for name in humanoid.body_names}
    ends = {"head", "left_hand", "right_hand", "left_foot", "right_foot"}
    assert counts == {name: 9 if name in ends else 1 for name in humanoid.body_names}
    foot = offsets[bodies == humanoid.body_index("left_foot")]
    ring = [[x, y] for x in (-AROUND, 0, AROUND) for y in (-AROUND, 0, AROUND)]
    torch.testing.assert_close(foot, torch.tensor(ring))


@pytest.mark.parametrize("rotation_type", RotationType)
@given(slope_x=st.floats(-0.3, 0.3), slope_y=st.floats(-0.3, 0.3), height=st.floats(-0.5, 0.5))
def test_it_is_the_height_of_the_ground_over_that_of_the_body(humanoid, rotation_type, slope_x, slope_y, height):
    look, features, statistics = looks(humanoid, rotation_type)
    generator = torch.Generator().manual_seed(0)
    positions = torch.rand(BATCH, FRAMES, humanoid.num_bodies, 3, generator=generator) * 0.8 - 0.4
    slopes = torch.tensor([slope_x, slope_y])
    # Every item has a plane of its own: that of the next is steeper.
    steepness = torch.arange(1.0, BATCH + 1)
    heightmap = height + steepness[:, None, None] * (GRID.points() @ slopes)
    found = look(statistics.standardise(features.encode(motion_at(humanoid, positions))), heightmap)
    bodies, offsets = points_below(humanoid.parents)
    places = positions[:, :, bodies]
    ground = height + steepness[:, None, None] * ((places[..., :2] + offsets) @ slopes)
    torch.testing.assert_close(found, (ground - places[..., 2]).clamp(-FARTHEST, FARTHEST), atol=2e-5, rtol=0)


def test_a_step_is_seen_by_the_points_that_are_over_it(humanoid):
    look, features, statistics = looks(humanoid)
    positions = torch.zeros(BATCH, FRAMES, humanoid.num_bodies, 3)
    positions[..., 2] = 0.1
    heightmap = 0.3 * (GRID.points()[..., 1] > 0.1).float().expand(BATCH, *GRID.shape)
    found = look(statistics.standardise(features.encode(motion_at(humanoid, positions))), heightmap)
    _, offsets = points_below(humanoid.parents)
    # Between y = 0 and y = 0.25 the ground rises: at 0.15 m it is 0.18 m high.
    expected = torch.where(offsets[:, 1] > 0.1, 0.3 * AROUND / GRID.spacing, 0.0) - 0.1
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-5, rtol=0)


def test_what_is_far_away_or_beside_the_map_has_its_limits(humanoid):
    look, features, statistics = looks(humanoid)
    positions = torch.full((BATCH, FRAMES, humanoid.num_bodies, 3), 50.0)
    positions[..., 2] = torch.tensor([-7.0, 0.25, 7.0])[:, None, None]
    heightmap = torch.zeros(BATCH, *GRID.shape)
    heightmap[:, -1, -1] = 0.5  # the corner nearest to all of them
    found = look(statistics.standardise(features.encode(motion_at(humanoid, positions))), heightmap)
    expected = torch.tensor([FARTHEST, 0.25, -FARTHEST])[:, None, None]
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-4, rtol=0)
