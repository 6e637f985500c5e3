"""Paths: the cheapest there are, from rim to rim, over terrain made ready for them, the same from the same generator."""

import heapq
import itertools
import math

import numpy as np
import pytest
import torch
from terrain_pieces import RANDOM_TERRAINS, piece

from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_graph import EdgeCosts, Moves, path_graph
from parc.terrain.path_planner import subdivided, terrain_with_path
from parc.terrain.shortest_path import cheapest_path, draw_ends
from parc.terrain.simplification import simplified

PAPER = Moves(max_climb=2.1, max_jump=3.0, max_jump_down=1.0, max_jump_up=0.5)
COSTS = EdgeCosts(distance=1.0, rise=0.15, random=0.5, bumpiness=0.0, max_bumpiness=0.2, bumpiness_cells=4)


def plain_dijkstra(graph, start):
    """Return the least cost from one cell to every other, as the textbook has it."""
    leaving = {}
    for (a, b), cost in zip(np.argwhere(graph.toarray()), graph.toarray()[graph.toarray() != 0], strict=True):
        leaving.setdefault(int(a), []).append((int(b), float(cost)))
    least, waiting = {start: 0.0}, [(0.0, start)]
    while waiting:
        so_far, cell = heapq.heappop(waiting)
        if so_far > least[cell]:
            continue
        for following, cost in leaving.get(cell, []):
            if so_far + cost < least.get(following, math.inf):
                least[following] = so_far + cost
                heapq.heappush(waiting, (so_far + cost, following))
    return least


@pytest.mark.parametrize("kind", [*RANDOM_TERRAINS, "high"])
def test_paths_cost_what_a_plain_dijkstra_says_and_are_made_of_edges_that_cost_so_much(kind):
    unreachable = 0
    for seed in range(4):
        if kind == "high":
            heights = np.random.default_rng(seed).choice([0.0, 5.0], size=(10, 12), p=[0.6, 0.4])
        else:
            terrain = piece(f"terrain/{kind}", cells_x=13, cells_y=12).generate(np.random.default_rng(seed))
            heights = simplified(terrain.heights.double().numpy())
        graph = path_graph(heights, 0.4, PAPER, COSTS, np.random.default_rng(seed))
        least = plain_dijkstra(graph, 14)
        for goal in range(heights.size):
            cells, cost = cheapest_path(graph, 14, goal, math.inf)
            unreachable += goal not in least
            assert cost == pytest.approx(least.get(goal, math.inf))
            if goal in least:
                assert (cells[0], cells[-1]) == (14, goal)
                assert sum(graph[a, b] for a, b in itertools.pairwise(cells)) == pytest.approx(cost)
    assert kind != "high" or unreachable > 0


@pytest.fixture(scope="module")
def planned():
    """Many planned paths: kind of terrain, the terrain as drawn, and the path."""
    planner, found = piece("path/shortest"), []
    for kind in RANDOM_TERRAINS:
        generator = piece(f"terrain/{kind}")
        for seed in range(200):
            terrain = generator.generate(random := np.random.default_rng(seed))
            path = planner.plan(terrain, random)
            if path is not None:
                found.append((kind, terrain, path))
    return found


def test_nearly_every_terrain_of_the_papers_has_a_path(planned):
    assert len(planned) > 590


def test_paths_lead_from_rim_to_rim_at_least_five_metres_apart(planned):
    rim = {1, 2, 13, 14}
    for _, _, path in planned:
        ends = (path.nodes[[0, -1], :2] / 0.4).numpy()
        np.testing.assert_allclose(ends, ends.round(), atol=1e-4)
        assert all(rim & set(end) for end in ends.round().astype(int).tolist())
        assert np.linalg.norm(ends[1] - ends[0]) * 0.4 >= 5 - 1e-4
    starts = np.array([path.nodes[0, :2].numpy() / 0.4 for _, _, path in planned]).round().astype(int)
    assert set(starts[:, 0]) == set(range(16)) and set(starts[:, 1]) == set(range(16)), "anywhere on the rim"


def test_start_and_end_lie_on_pads_of_a_terrain_that_is_otherwise_the_simplified_one(planned):
    for _, terrain, path in planned:
        heights = path.terrain.heights.double().numpy()
        blocks = simplified(terrain.heights.double().numpy())
        changed = np.zeros((16, 16), dtype=bool)
        for node in path.nodes[[0, -1]]:
            row, column = (node[:2] / 0.4).round().int().tolist()
            top, left = ((index - 1) // 2 * 2 for index in (row, column))
            pad = (slice(max(0, top), top + 4), slice(max(0, left), left + 4))
            assert (heights[pad] == heights[row, column]).all() and float(node[2]) == heights[row, column]
            assert heights[row, column] == blocks[row, column]
            changed[pad] = True
        assert np.array_equal(heights[~changed], blocks[~changed])
        assert path.terrain.cell_size == terrain.cell_size and torch.equal(path.terrain.min_point, terrain.min_point)


def test_every_leg_of_hundreds_of_paths_is_a_climb_or_part_of_a_jump_that_the_limits_allow(planned):
    jumps = 0
    for _, _, path in planned:
        nodes, legs = path.nodes.double(), path.nodes.double().diff(dim=0)
        lengths = legs[:, :2].norm(dim=1)
        assert lengths.max() <= 0.4 * math.sqrt(2) + 1e-4 and lengths.min() > 0.1
        # Nodes at the centre of a cell are on the ground; whatever lies between two of those that are no neighbours is a jump.
        cells = nodes[:, :2] / 0.4
        grounded = ((cells - cells.round()).norm(dim=1) < 1e-3) & (
            (nodes[:, 2] - path.terrain.heights_at(path.nodes[:, :2])).abs() < 1e-4
        )
        places = grounded.nonzero()[:, 0].tolist()
        assert places[0] == 0 and places[-1] == len(nodes) - 1
        for first, last in itertools.pairwise(places):
            rise = float(nodes[last, 2] - nodes[first, 2])
            if last == first + 1 and float((cells[last] - cells[first]).abs().max()) < 1.01:
                assert abs(rise) <= 2.1 + 1e-4
            else:
                jumps += 1
                assert -1 - 1e-4 <= rise <= 0.5 + 1e-4
                assert (nodes[last] - nodes[first])[:2].norm() <= 3 + 1e-4
    assert jumps > 20


@pytest.mark.parametrize("kind", RANDOM_TERRAINS)
def test_a_terrain_with_its_path_is_a_function_of_the_generator_whatever_was_drawn_before(kind):
    terrains, planner = piece(f"terrain/{kind}"), piece("path/shortest")
    first = [terrain_with_path(terrains, planner, np.random.default_rng(seed), 100) for seed in range(6)]
    for seed in (4, 1, 5):
        again = terrain_with_path(piece(f"terrain/{kind}"), piece("path/shortest"), np.random.default_rng(seed), 100)
        assert torch.equal(again.nodes, first[seed].nodes)
        assert torch.equal(again.terrain.heights, first[seed].terrain.heights)
    assert not torch.equal(first[0].nodes, first[1].nodes)


def test_planning_leaves_the_terrain_that_it_was_given_as_it_was():
    terrain = piece("terrain/boxes").generate(np.random.default_rng(3))
    before = terrain.heights.clone()
    assert piece("path/shortest").plan(terrain, np.random.default_rng(0)) is not None
    assert torch.equal(terrain.heights, before)


def test_a_terrain_may_stay_as_it_is():
    terrain = piece("terrain/stairs").generate(np.random.default_rng(3))
    path = piece("path/shortest", simplify=False, pad_cells=0).plan(terrain, np.random.default_rng(0))
    assert path is not None and torch.equal(path.terrain.heights, terrain.heights)


def two_halves(height):
    """Return a terrain whose halves differ too much in height to go from one to the other."""
    heights = torch.zeros(16, 16)
    heights[8:] = height
    return Heightfield(heights, torch.tensor([3.0, -2.0]), 0.4)


def test_where_one_draw_of_ends_has_no_path_others_are_tried_on_the_same_terrain():
    planner = piece("path/shortest")
    once = piece("path/shortest", draws=1)
    found, first = (
        [each.plan(two_halves(4.0), np.random.default_rng(n)) for n in range(40)] for each in (planner, once)
    )
    assert 0 < sum(path is not None for path in first) < 20 < 30 < sum(path is not None for path in found)
    for path in filter(None, found):
        assert len(path.nodes[:, 2].unique()) == 1, "none goes up or down 4 m"
        assert path.nodes[:, 0].min() >= 3.0 - 1e-4 and path.nodes[:, 1].min() >= -2.0 - 1e-4


def test_paths_that_cost_too_much_are_none_and_after_so_many_terrains_that_is_said():
    flat, dear = piece("terrain/flat"), piece("path/shortest", max_cost=1.0)
    assert dear.plan(flat.generate(np.random.default_rng(0)), np.random.default_rng(0)) is None
    with pytest.raises(UserError, match=r"^path: none of 7 terrains has a path as asked for; give other terrain"):
        terrain_with_path(flat, dear, np.random.default_rng(0), 7)


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (2, 5), (1, 12)])
def test_a_terrain_that_is_too_small_is_one_line_with_the_keys_that_make_it_larger(shape):
    terrain = piece("terrain/flat", cells_x=shape[0], cells_y=shape[1]).generate(np.random.default_rng(0))
    with pytest.raises(
        UserError, match=rf"^path.min_distance is 5.0 m, .* {shape[0]} x {shape[1]} cells of 0.4 m .*cells_x"
    ):
        piece("path/shortest").plan(terrain, np.random.default_rng(0))


def test_ends_are_drawn_evenly_from_those_that_are_far_enough():
    rim = np.array([[0, 0], [0, 3], [0, 9], [9, 9]])
    random = np.random.default_rng(0)
    drawn = [draw_ends(rim, 0.5, 3.0, random) for _ in range(4000)]
    assert set(drawn) == {
        (tuple(a), tuple(b)) for a in rim.tolist() for b in rim.tolist() if math.dist(a, b) * 0.5 >= 3
    }
    ends = [end for start, end in drawn if start == (0, 0)]
    assert ends.count((9, 9)) / len(ends) == pytest.approx(0.5, abs=0.06)
    assert draw_ends(rim, 0.1, 3.0, random) is None
    assert draw_ends(rim[:1], 0.5, 0.0, random) is None, "a path leads somewhere"


def test_long_legs_are_parted_evenly_and_short_ones_stay():
    corners = np.array([[0.0, 0.0, 1.0], [0.4, 0.4, 2.0], [1.6, 0.4, 0.5], [1.6, 2.45, 0.5]])
    nodes = subdivided(corners, 0.4)
    expected = [[0.0, 0.0, 1.0], [0.4, 0.4, 2.0], [0.8, 0.4, 1.5], [1.2, 0.4, 1.0], [1.6, 0.4, 0.5]]
    expected += [[1.6, 0.4 + 2.05 * part / 6, 0.5] for part in range(1, 7)]
    np.testing.assert_allclose(nodes, expected, atol=1e-12)


def test_waypoints_are_followed_straight_with_nodes_on_the_ground():
    heights = torch.arange(20.0)[:, None].expand(20, 10).clone()
    terrain = Heightfield(heights, torch.tensor([0.0, 0.0]), 0.5)
    path = piece("path/waypoints", points=[[1.0, 1.0], [4.0, 1.0], [4.0, 3.0]]).plan(terrain, np.random.default_rng(0))
    assert path.terrain is terrain
    assert path.nodes[:, 0].tolist() == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, *[4.0] * 5]
    assert path.nodes[:, 1].tolist() == [*[1.0] * 7, 1.5, 2.0, 2.5, 3.0]
    assert path.nodes[:, 2].tolist() == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, *[8.0] * 5]
    assert path.length == pytest.approx(5.0)


def test_a_waypoint_beside_the_terrain_is_one_line_that_says_how_far_it_reaches():
    terrain = piece("terrain/flat").generate(np.random.default_rng(0))
    for beside in ([1.0, 6.3], [-0.3, 1.0]):
        with pytest.raises(UserError) as caught:
            piece("path/waypoints", points=[[1.0, 1.0], beside]).plan(terrain, np.random.default_rng(0))
        assert str(caught.value) == (
            f"path.points: {beside} lies beside the terrain, expected x from -0.2 to 6.2 and y from -0.2 to 6.2, in metres"
        )
    at_the_border = piece("path/waypoints", points=[[-0.2, -0.2], [6.2, 6.2]])
    assert at_the_border.plan(terrain, np.random.default_rng(0)).nodes.shape[1] == 3
