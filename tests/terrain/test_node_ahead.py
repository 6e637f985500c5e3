"""Where whoever follows a path is to look."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parc.terrain.heightfield import Heightfield, laid_end_to_end
from parc.terrain.node_ahead import node_ahead

CELL = 0.4
BEND = [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3)]  # cells: along x, then to the left


def looked_at(heights, cells, place, ahead=4, corner_height=0.3, last=None):
    """The node that is looked at from a place in cells, of a path whose nodes are at 0 m, wherever the ground is."""
    terrain = Heightfield(torch.as_tensor(heights, dtype=torch.float32), torch.zeros(2), CELL)
    xy = CELL * torch.tensor(cells, dtype=torch.float32)
    nodes = torch.cat([xy, torch.zeros(len(cells), 1)], dim=1)[None]
    return int(
        node_ahead(
            laid_end_to_end([terrain]), torch.zeros(1, dtype=torch.long), nodes,
            torch.tensor([len(cells) - 1 if last is None else last]), CELL * torch.tensor([place], dtype=torch.float32),
            ahead, corner_height,
        )
    )  # fmt: skip


def level():
    return np.zeros((8, 8))


def test_over_level_ground_it_is_as_many_nodes_ahead_as_asked_for_round_corners_too():
    assert [looked_at(level(), BEND, (x, 0), ahead=3) for x in (0, 1, 2)] == [3, 4, 5]
    assert looked_at(level(), BEND, (3, 2)) == len(BEND) - 1
    assert looked_at(level(), BEND, (0, 0), ahead=6, last=2) == 2


@pytest.mark.parametrize("height", [-1.0, 1.0])
def test_a_wall_or_a_pit_inside_a_corner_is_not_looked_across(height):
    heights = level()
    heights[:3, 1:] = height  # on the left of the way, up to the corner
    assert looked_at(heights, BEND, (0, 0)) == 3  # the corner
    assert looked_at(heights, BEND, (0, 0), corner_height=None) == 4
    assert looked_at(heights, BEND, (2.9, 0)) == 6  # round it
    assert looked_at(0.2 * heights, BEND, (0, 0)) == 4  # 20 cm: no corner


def test_steps_and_gaps_of_the_path_itself_are_looked_across():
    way = [(x, 0) for x in range(7)]
    heights = level()
    heights[2:] = 0.4
    heights[4:] = 0.8
    assert looked_at(heights, way, (0, 0)) == 4
    assert looked_at(-heights, way, (0, 0)) == 4
    heights = level()
    heights[2:4] = -1.5  # a gap, with nodes in the air above it
    assert looked_at(heights, way, (0, 0)) == 4


def test_who_is_about_to_leap_looks_across_the_gap_though_the_nearest_node_is_over_it():
    askew = [(0, 0), (1, 0), (1.75, 1), (2.5, 2), (3.25, 3), (4, 4), (5, 4)]
    heights = level()
    heights[2:4] = -1.5
    assert looked_at(heights, askew, (1.0, 0.9)) == 6


def test_several_paths_over_several_terrains_are_looked_along_each_for_itself():
    terrains, nodes, last, places = [], [], [], []
    for walled, length, place in ((True, 7, (0, 0)), (False, 5, (1, 0)), (True, 4, (2, 0))):
        heights = level()
        heights[:3, 1:] = walled
        terrains.append(Heightfield(torch.as_tensor(heights, dtype=torch.float32), torch.zeros(2), CELL))
        padded = BEND[:length] + [BEND[length - 1]] * (7 - length)
        nodes.append(torch.tensor([(CELL * x, CELL * y, 0.0) for x, y in padded]))
        last.append(length - 1)
        places.append([CELL * value for value in place])
    found = node_ahead(
        laid_end_to_end(terrains), torch.arange(3), torch.stack(nodes), torch.tensor(last), torch.tensor(places), 4, 0.3
    )
    assert found.tolist() == [3, 4, 3]


def test_what_lies_behind_a_corner_is_not_looked_at_though_it_can_be_seen():
    heights = level()
    heights[1, 1] = 1.0
    assert looked_at(heights, [(0, 0), (2, 0), (2, 2), (3, 0)], (0, 0)) == 1


def test_who_has_strayed_off_the_path_still_looks_at_the_next_node():
    heights = level()
    heights[:, 1:] = -1.0
    assert looked_at(heights, [(x, 0) for x in range(6)], (1, 2)) == 2


@given(
    st.lists(st.floats(-1, 1), min_size=64, max_size=64),
    st.tuples(st.floats(-1, 8), st.floats(-1, 8)),
    st.integers(1, 8),
    st.floats(0, 1),
)
def test_it_is_never_behind_nor_farther_than_without_regard_to_corners(heights, place, ahead, corner_height):
    grid = np.reshape(heights, (8, 8))
    farthest = looked_at(grid, BEND, place, ahead, None)
    nearest = looked_at(grid, BEND, place, 0, None)
    found = looked_at(grid, BEND, place, ahead, corner_height)
    assert min(nearest + 1, len(BEND) - 1) <= found <= farthest
    assert looked_at(grid, BEND, place, ahead, 10.0) == farthest
