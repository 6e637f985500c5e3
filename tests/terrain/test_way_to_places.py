"""Ways to where somebody points: exactly there, over the terrain as it is, round what is too high, or straight all the same."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from terrain_pieces import RANDOM_TERRAINS, piece

from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_graph import EdgeCosts, Moves, path_graph
from parc.terrain.path_planner import NoPathError, subdivided
from parc.terrain.shortest_path import cheapest_path
from parc.terrain.way_to_places import way_to_places
from parc.terrain.waypoints import straight_way

PLANNER = piece("path/shortest")
EXACT = EdgeCosts(distance=1.0, rise=0.15, random=0.0, bumpiness=0.0, max_bumpiness=0.2, bumpiness_cells=4)
CORNER = torch.tensor([3.0, -2.0])


def way(terrain, *places, moves=PLANNER.moves, costs=PLANNER.costs, seed=0):
    return way_to_places(terrain, torch.tensor(places), moves, costs, np.random.default_rng(seed))


def level(rows: int = 16, columns: int = 16) -> Heightfield:
    return Heightfield(torch.zeros(rows, columns), CORNER, 0.4)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(RANDOM_TERRAINS),
    seed=st.integers(0, 2**31),
    places=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4),
)
def test_it_begins_turns_and_ends_at_the_places_over_the_terrain_as_it_is(kind, seed, places):
    terrain = piece(f"terrain/{kind}").generate(np.random.default_rng(seed))
    before = terrain.heights.clone()
    span = torch.tensor(terrain.heights.shape) * 0.4
    points = terrain.min_point - 0.2 + torch.tensor(places) * span * 0.999 + 1e-3
    try:
        planned = way_to_places(terrain, points, PLANNER.moves, PLANNER.costs, np.random.default_rng(seed))
    except NoPathError:
        return
    assert planned.terrain is terrain and torch.equal(terrain.heights, before)
    nodes, legs = planned.nodes, planned.nodes[:, :2].diff(dim=0).norm(dim=1)
    assert torch.equal(nodes[0, :2], points[0]) and torch.allclose(nodes[-1, :2], points[-1], atol=1e-5)
    assert (legs <= 0.4 * math.sqrt(2) + 1e-4).all() and (legs.numel() == 0 or legs.min() > 0)
    for point in points:
        reached = (nodes[:, :2] - point).norm(dim=1).argmin()
        expected = torch.cat([point, terrain.heights_at(point[None])])
        torch.testing.assert_close(nodes[reached], expected, atol=1e-4, rtol=0)


def test_between_cells_it_is_the_cheapest_path_of_the_same_graph():
    terrain = piece("terrain/boxes").generate(np.random.default_rng(3))
    heights = terrain.heights.double().numpy()
    graph = path_graph(heights, 0.4, PLANNER.moves, PLANNER.costs, np.random.default_rng(7))
    cells = [
        np.unravel_index(cheapest_path(graph, start, goal, math.inf)[0], heights.shape)
        for start, goal in ((1 * 16 + 2, 13 * 16 + 9), (13 * 16 + 9, 3 * 16 + 14))
    ]
    rows, columns = (np.concatenate([cells[0][axis], cells[1][axis][1:]]) for axis in (0, 1))
    centres = np.stack([rows * 0.4, columns * 0.4, heights[rows, columns]], axis=1)
    planned = way(terrain, [0.4, 0.8], [5.2, 3.6], [1.2, 5.6], seed=7)
    np.testing.assert_allclose(planned.nodes.numpy(), subdivided(centres, 0.4), atol=1e-5)


def test_the_way_is_a_function_of_the_generator():
    first, again, other = (way(level(), [3.1, -1.9], [8.5, 3.0], seed=seed).nodes for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_it_goes_round_a_wall_through_the_gap_and_says_where_there_is_none():
    terrain = level()
    terrain.heights[8, :14] = 4.0
    planned = way(terrain, [4.0, 0.0], [8.0, 0.0], costs=EXACT)
    assert planned.nodes[:, 2].max() == 0 and planned.nodes[:, 1].max() > -2 + 13.4 * 0.4
    terrain.heights[8] = 4.0
    with pytest.raises(NoPathError, match=r"^there is no way from \[4.00, 0.00\] to \[8.00, 0.00\] over this terrain"):
        way(terrain, [3.5, 0.0], [4.0, 0.0], [8.0, 0.0])
    straight = straight_way(terrain, torch.tensor([[4.0, 0.0], [8.0, 0.0]]))
    assert straight.nodes[:, 2].max() == 4.0 and straight.length == pytest.approx(4.0, abs=1e-5)


def test_it_jumps_over_a_gap_that_is_not_too_wide():
    terrain = level()
    terrain.heights[7:10] = -5.0
    planned = way(terrain, [4.0, 0.0], [8.0, 0.0], costs=EXACT)
    assert planned.nodes[:, 2].min() == 0
    short = Moves(max_climb=2.1, max_jump=1.0, max_jump_down=1.0, max_jump_up=0.5)
    with pytest.raises(NoPathError, match=r"climbs of up to 2.1 m and jumps of up to 1 m"):
        way(terrain, [4.0, 0.0], [8.0, 0.0], moves=short)


def test_where_it_is_already_there_is_one_node_and_short_ways_stay_in_their_cell():
    assert way(level(), [4.0, 0.0], [4.0, 0.0]).nodes.tolist() == [[4.0, 0.0, 0.0]]
    assert straight_way(level(), torch.tensor([[4.0, 0.0], [4.0, 0.0]])).nodes.tolist() == [[4.0, 0.0, 0.0]]
    torch.testing.assert_close(
        way(level(), [4.15, 0.05], [4.25, -0.05]).nodes, torch.tensor([[4.15, 0.05, 0.0], [4.25, -0.05, 0.0]])
    )


@pytest.mark.parametrize("plan", [way, lambda terrain, *places: straight_way(terrain, torch.tensor(places))])
def test_a_place_beside_the_terrain_is_one_line_that_says_how_far_it_reaches(plan):
    with pytest.raises(UserError, match=r"^\[20.0, 0.0\] lies beside .* x from 2.8 to 9.2 and y from -2.2 to 4.2, in"):
        plan(level(), [4.0, 0.0], [20.0, 0.0])
    with pytest.raises(UserError, match="lies beside"):
        plan(level(), [math.nan, 0.0], [4.0, 0.0])
