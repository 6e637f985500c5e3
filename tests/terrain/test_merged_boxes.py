"""Boxes merged from a terrain are the terrain, nowhere more than it, and few."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from terrain_pieces import RANDOM_TERRAINS, piece

from parc.configuration.errors import UserError
from parc.terrain import merged_boxes as module
from parc.terrain.heightfield import Heightfield
from parc.terrain.merged_boxes import THICKNESS, merged_boxes


def tops_at(boxes, points):
    """Return the top of the highest box at each x, y; minus infinity where there is none."""
    inside = ((points[:, None].double() - boxes.centres[:, :2]).abs() < boxes.half_sizes[:, :2]).all(-1)
    tops = boxes.centres[:, 2] + boxes.half_sizes[:, 2]
    return torch.where(inside, tops, -torch.inf).amax(-1)


def away_from_edges(terrain, points):
    """Leave out points so near the edge of a cell that rounding decides whose they are."""
    cells = (points - terrain.min_point) / terrain.cell_size
    return points[((cells - cells.floor() - 0.5).abs() > 1e-3).all(-1)]


@st.composite
def terrains(draw):
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    levels = draw(st.sampled_from([1, 2, 3, 20]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    heights = torch.randint(levels, (rows, columns), generator=generator) * 0.37 - 1.3
    return Heightfield(heights, torch.randn(2, generator=generator) * 5, draw(st.sampled_from([0.4, 0.1, 1.3])))


@settings(deadline=None, max_examples=60)
@given(terrain=terrains(), seed=st.integers(0, 2**32), margin=st.sampled_from([0.0, 0.3, 1.0, 100.0]))
def test_the_tops_of_the_boxes_are_the_heights_near_the_points_and_below_them_elsewhere(terrain, seed, margin):
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor(terrain.heights.shape) * terrain.cell_size
    # Some of the points lie beside the map.
    points = terrain.min_point + (torch.rand(3, 2, generator=generator) * 1.4 - 0.2) * size
    boxes = merged_boxes(terrain, points, margin=margin, reach=2.0)
    offsets = (torch.rand(3, 200, 2, generator=generator) * 2 - 1) * min(margin, 2.0)
    near = away_from_edges(terrain, (points[:, None] + offsets).reshape(-1, 2))
    torch.testing.assert_close(tops_at(boxes, near), terrain.heights_at(near).double(), rtol=0, atol=0)
    anywhere = terrain.min_point + (torch.rand(500, 2, generator=generator) * 3 - 1) * size
    anywhere = away_from_edges(terrain, anywhere)
    assert (tops_at(boxes, anywhere) <= terrain.heights_at(anywhere)).all()
    floors = boxes.centres[:, 2] - boxes.half_sizes[:, 2]
    assert torch.allclose(floors, terrain.heights.min().double() - THICKNESS, rtol=0, atol=1e-12)
    assert (boxes.half_sizes > 0).all()


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([[0, 0, 0], [0, 0, 0]], 1),
        ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], 2),  # a block on a plain
        ([[1, 1, 0], [1, 1, 0], [0, 0, 0]], 2),  # one that goes on beyond the corner of the map
        ([[0, 1, 2, 3]], 4),  # stairs
        ([[2, 2, 2], [2, 0, 2], [2, 2, 2]], 5),  # a pit: its walls do not fit into fewer
        ([[1, 0, 1], [0, 0, 0], [1, 0, 1]], 5),
        ([[0, 1, 1], [1, 1, 0], [1, 1, 0]], 3),  # later boxes make the first one of height 1 needless
        ([[0, 1, 0], [1, 1, 1], [0, 1, 0]], 3),  # the bars of a cross lie over each other
    ],
)
def test_there_are_as_few_boxes_as_can_be(heights, expected):
    terrain = Heightfield(torch.tensor(heights).float(), torch.zeros(2), 1.0)
    boxes = merged_boxes(terrain, torch.zeros(1, 2), margin=10.0, reach=1.0)
    turned = Heightfield(terrain.heights.T.flip(0), torch.zeros(2), 1.0)
    assert len(boxes.centres) == expected
    assert len(merged_boxes(turned, torch.zeros(1, 2), margin=10.0, reach=1.0).centres) == expected


def test_drawn_terrains_take_a_third_of_a_box_a_cell_at_most():
    for option in RANDOM_TERRAINS:
        terrain = piece(f"terrain/{option}").generate(np.random.default_rng(0))
        boxes = merged_boxes(terrain, terrain.min_point[None], margin=1000.0, reach=1.0)
        assert 0 < len(boxes.centres) < terrain.heights.numel() / 3


def test_ground_that_would_take_too_many_boxes_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "MOST_BOXES", 5)
    terrain = Heightfield(torch.arange(12.0).reshape(3, 4), torch.zeros(2), 0.4)
    with pytest.raises(UserError, match="takes more than 5 boxes") as refusal:
        merged_boxes(terrain, torch.zeros(1, 2), margin=9.0, reach=1.0)
    assert "\n" not in str(refusal.value)
