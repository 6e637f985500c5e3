"""Ground in the viewer: columns where the cells are, and clicks that meet them."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from parc.studio.ground import THICKNESS, columns_of, ground_colours, near_the_motion, place_on_ray
from parc.terrain.heightfield import Heightfield
from synthetic_clips import random_clip

HEIGHTS = Heightfield(torch.tensor([[0.0, 1.0, 0.2], [0.4, -0.6, 2.0]]), torch.tensor([3.0, -2.0]), 0.4)
SEEDS = st.integers(0, 10_000)


def test_columns_reach_from_below_the_lowest_cell_up_to_each_cells_height():
    centres, half_sides = columns_of(HEIGHTS)
    np.testing.assert_allclose(centres[:, 2] + half_sides[:, 2], HEIGHTS.heights.flatten(), atol=1e-6)
    np.testing.assert_allclose(centres[:, 2] - half_sides[:, 2], -0.6 - THICKNESS, atol=1e-6)
    np.testing.assert_allclose(centres[4, :2], [3.4, -1.6], atol=1e-6)  # row 1, column 1


def test_higher_ground_is_lighter():
    colours = ground_colours(HEIGHTS).astype(int).sum(1)
    assert list(np.argsort(colours)) == list(np.argsort(HEIGHTS.heights.flatten().numpy()))


@given(SEEDS)
def test_a_ray_from_above_meets_the_ground_where_a_march_along_it_does(seed):
    random = np.random.default_rng(seed)
    terrain = Heightfield(
        torch.from_numpy(random.uniform(-1, 1, (5, 6)).round(1)).float(), torch.tensor([1.0, 2.0]), 0.4
    )
    origin = np.append(random.uniform(0, 4, 2), 4.0)
    direction = np.append(random.normal(0, 0.4, 2), -1.0)
    place = place_on_ray(terrain, origin, direction)
    along = np.arange(0, 8, 0.002)[:, None]
    points = torch.from_numpy(origin + along * direction).float()
    low, size = terrain.min_point - 0.2, 0.4 * torch.tensor(terrain.heights.shape)
    over = ((points[:, :2] >= low) & (points[:, :2] <= low + size)).all(1)
    inside = (
        over & (points[:, 2] <= terrain.heights_at(points[:, :2])) & (points[:, 2] > terrain.heights.min() - THICKNESS)
    )
    if not inside.any():
        assert place is None or not over.any() or inside.sum() < 3
        return
    first = points[int(inside.to(torch.uint8).argmax())].numpy()
    if place is not None:
        # Rays may slip between two columns, which are a hair apart, and meet the next one.
        assert np.linalg.norm(place - first) < 0.02 or np.linalg.norm(place - origin) > np.linalg.norm(first - origin)


def test_a_ray_that_goes_past_meets_nothing():
    assert place_on_ray(HEIGHTS, np.array([0.0, 0.0, 3.0]), np.array([0.0, 0.0, -1.0])) is None
    assert place_on_ray(HEIGHTS, np.array([3.0, -2.0, 3.0]), np.array([0.0, 0.0, 1.0])) is None


def test_a_ray_straight_down_meets_the_cell_below():
    place = place_on_ray(HEIGHTS, np.array([3.05, -1.62, 5.0]), np.array([0.0, 0.0, -2.0]))
    assert place is not None
    np.testing.assert_allclose(place, [3.05, -1.62, 1.0], atol=1e-6)


def test_near_a_motion_all_ground_under_it_is_left(humanoid):
    clip = random_clip(humanoid)
    near = near_the_motion(clip, 0.8)
    assert near.heights.numel() < clip.terrain.heights.numel()
    places = clip.root_pos[:, :2]
    torch.testing.assert_close(near.heights_at(places), clip.terrain.heights_at(places))
