"""The edges of the path graph are those that the limits allow, all of them and no others, and cost what they should."""

import math

import numpy as np
import pytest

from parc.terrain.path_graph import (
    EdgeCosts,
    Edges,
    Moves,
    bumpiness,
    climbs_of,
    edge_cells,
    edge_costs,
    jumps_of,
    path_graph,
)

PAPER = Moves(max_climb=2.1, max_jump=3.0, max_jump_down=1.0, max_jump_up=0.5)
COSTS = EdgeCosts(distance=1.0, rise=0.15, random=0.5, bumpiness=0.0, max_bumpiness=0.2, bumpiness_cells=4)


def random_heights(seed, shape=(8, 9)):
    """Return a terrain of few heights, so that many differences are at a limit: -1, 0.5, 2.1, and a hair beside it."""
    random = np.random.default_rng(seed)
    levels = [(0.0, 0.5, 1.0), (0.0, 2.1, -1.0), (0.0, 0.1, 0.6, 1.1, 1.6), (0.0, 0.5005, 0.502, -1.001), (0.3,)][
        seed % 5
    ]
    heights = random.choice(levels, size=shape)
    if seed % 3 == 0:
        heights = heights.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]
    return heights.astype(np.float32).astype(np.float64)


def pairs(edges: Edges, shape) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    both = [list(zip(*np.divmod(cells, shape[1]), strict=True)) for cells in (edges.starts, edges.ends)]
    found = {((int(a), int(b)), (int(c), int(d))) for (a, b), (c, d) in zip(*both, strict=True)}
    assert len(found) == len(edges.starts), "no edge comes twice"
    return found


def plain_line(start, end):
    """Return the cells of Bresenham's line, by its error term, as it is written everywhere."""
    (x, y), (x1, y1) = start, end
    dx, dy = abs(x1 - x), -abs(y1 - y)
    step_x, step_y = (1 if x1 > x else -1), (1 if y1 > y else -1)
    error, cells = dx + dy, [(x, y)]
    while (x, y) != (x1, y1):
        twice = 2 * error
        if twice >= dy:
            error += dy
            x += step_x
        if twice <= dx:
            error += dx
            y += step_y
        cells.append((x, y))
    return cells


def plain_edge_cell(heights, cell):
    x, y = cell
    if x in (0, heights.shape[0] - 1) or y in (0, heights.shape[1] - 1):
        return False
    around = (heights[x - 1, y], heights[x + 1, y], heights[x, y - 1], heights[x, y + 1])
    return any(heights[cell] - other > 1e-3 for other in around)


def plain_edges(heights, cell_size=0.4):
    """Return climbs and jumps between all pairs of cells, from the words of the method."""
    climbs, jumps = set(), set()
    cells = list(np.ndindex(*heights.shape))
    at_edge = {cell for cell in cells if plain_edge_cell(heights, cell)}
    hair = 1e-5  # of single precision
    for start in cells:
        for end in cells:
            rise, away = heights[end] - heights[start], math.dist(start, end)
            if max(abs(start[0] - end[0]), abs(start[1] - end[1])) == 1:
                if abs(rise) <= 2.1 + hair:
                    climbs.add((start, end))
            elif start != end and start in at_edge and end in at_edge and away * cell_size <= 3.0 + hair:
                highest = max(heights[cell] for cell in plain_line(start, end))
                if -1.0 - hair <= rise <= 0.5 + hair and highest <= heights[start] + 0.5 + 1e-3:
                    jumps.add((start, end))
    return climbs, jumps


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_the_edges_are_those_of_the_words_of_the_method_all_of_them(first):
    for seed in range(first, first + 10):
        heights = random_heights(seed)
        climbs, jumps = plain_edges(heights)
        assert pairs(climbs_of(heights, PAPER), heights.shape) == climbs
        assert pairs(jumps_of(heights, 0.4, PAPER), heights.shape) == jumps


def test_no_edge_of_thousands_of_random_terrains_passes_a_limit():
    jumped = 0
    for seed in range(2000):
        random = np.random.default_rng(seed)
        shape = tuple(random.integers(1, 13, 2))
        heights = random_heights(seed, shape) if seed % 2 else np.cumsum(random.normal(0, 0.6, shape), axis=0)
        flat = heights.ravel()
        climbs, jumps = climbs_of(heights, PAPER), jumps_of(heights, 0.4, PAPER)
        for edges in (climbs, jumps):
            assert (
                edges.starts.min(initial=0) >= 0
                and max(edges.starts.max(initial=0), edges.ends.max(initial=0)) < flat.size
            )
        start, end = (np.stack(np.divmod(cells, shape[1]), axis=-1) for cells in (climbs.starts, climbs.ends))
        assert (np.abs(end - start).max(axis=1, initial=0) == 1).all()
        assert np.abs(flat[climbs.ends] - flat[climbs.starts]).max(initial=0) <= 2.1 + 1e-5
        start, end = (np.stack(np.divmod(cells, shape[1]), axis=-1) for cells in (jumps.starts, jumps.ends))
        assert np.linalg.norm(end - start, axis=1).max(initial=0) <= 7.5
        rises = flat[jumps.ends] - flat[jumps.starts]
        assert rises.max(initial=0) <= 0.5 + 1e-5 and rises.min(initial=0) >= -1 - 1e-5
        assert edge_cells(heights).ravel()[np.concatenate([jumps.starts, jumps.ends])].all()
        jumped += len(jumps.starts)
    assert jumped > 50_000


@pytest.mark.parametrize(
    ("gap", "rise", "possible"),
    [(6, 0.0, True), (7, 0.0, False), (6, 0.5, True), (6, 0.5011, False), (6, -1.0, True), (6, -1.0011, False)],
)
def test_a_gap_is_jumped_up_to_three_metres_and_within_half_a_metre_up_and_one_down(gap, rise, possible):
    heights = np.full((4 + gap, 5), -5.0)
    heights[:2], heights[2 + gap :] = 0.0, rise
    landing = (2 + gap, 2)
    found = pairs(jumps_of(heights, 0.4, PAPER), heights.shape)
    assert (((1, 2), landing) in found) is possible


@pytest.mark.parametrize(("wall", "possible"), [(0.0, True), (0.5, True), (0.5009, True), (0.502, False), (3.0, False)])
def test_nothing_below_a_jump_rises_above_its_start_by_more_than_half_a_metre(wall, possible):
    heights = np.full((9, 5), -3.0)
    heights[:3], heights[6:] = 0.0, 0.0
    heights[4] = wall
    assert (((2, 2), (6, 2)) in pairs(jumps_of(heights, 0.4, PAPER), heights.shape)) is possible


def test_level_ground_and_the_border_have_no_edges_to_jump_from():
    assert not edge_cells(np.zeros((9, 9))).any()
    assert not len(jumps_of(np.zeros((9, 9)), 0.4, PAPER).starts)
    assert not edge_cells(np.random.default_rng(0).normal(size=(2, 9))).any()
    hair = np.zeros((5, 5))
    hair[2, 2] = 0.0009
    assert not edge_cells(hair).any()


def test_other_limits_and_finer_cells_are_heeded():
    heights = random_heights(1)
    assert not len(jumps_of(heights, 0.4, Moves(2.1, 0.5, 1.0, 0.5)).starts), "neighbours are not jumped to"
    assert not len(climbs_of(np.eye(4) * 3, Moves(0.0, 3.0, 1.0, 0.5)).starts) > 12 * 8
    fine = pairs(jumps_of(heights, 1.0, PAPER), heights.shape)
    assert max(math.dist(a, b) for a, b in fine) == 3.0


def test_large_terrain_of_fine_cells_is_looked_at_in_parts_that_give_the_same_jumps(monkeypatch):
    heights = random_heights(3, (14, 13))
    whole = pairs(jumps_of(heights, 0.4, PAPER), heights.shape)
    monkeypatch.setattr("parc.terrain.path_graph._NUMBERS_A_CHUNK", 20_000)
    assert pairs(jumps_of(heights, 0.4, PAPER), heights.shape) == whole


def test_an_edge_costs_its_distance_its_rise_and_a_random_part_of_its_own():
    heights = random_heights(2, (12, 12))
    graph = path_graph(heights, 0.4, PAPER, COSTS, np.random.default_rng(0)).tocoo()
    start, end = (np.stack(np.divmod(cells, 12), axis=-1) for cells in graph.coords)
    squared = ((start - end) ** 2).sum(1) * 0.16
    extra = graph.data - squared - 0.15 * (heights[tuple(end.T)] - heights[tuple(start.T)]) ** 2
    assert extra.min() >= -1e-6 and extra.max() <= 0.5 + 1e-6
    assert np.mean(extra) == pytest.approx(0.25, abs=0.02) and len(np.unique(extra)) > 0.99 * len(extra)
    again = path_graph(heights, 0.4, PAPER, COSTS, np.random.default_rng(0)).tocoo()
    assert np.array_equal(graph.data, again.data)
    assert not np.array_equal(graph.data, path_graph(heights, 0.4, PAPER, COSTS, np.random.default_rng(1)).tocoo().data)


def test_bumpy_ground_costs_more_up_to_a_limit_by_the_cell_that_an_edge_leads_to():
    heights = random_heights(4, (11, 10)) + np.random.default_rng(0).normal(0, 0.1, (11, 10)) * (np.arange(10) > 4)
    plain = np.empty_like(heights)
    for x, y in np.ndindex(*heights.shape):
        around = [heights[min(max(x + i, 0), 10), min(max(y + j, 0), 9)] for i in range(-4, 5) for j in range(-4, 5)]
        plain[x, y] = np.mean(np.abs(np.array(around) - heights[x, y]))
    np.testing.assert_allclose(bumpiness(heights, 4), plain, atol=1e-12)
    edges = climbs_of(heights, PAPER)
    limited = EdgeCosts(distance=1.0, rise=0.15, random=0.0, bumpiness=3.0, max_bumpiness=0.05, bumpiness_cells=4)
    without = EdgeCosts(distance=1.0, rise=0.15, random=0.0, bumpiness=0.0, max_bumpiness=0.05, bumpiness_cells=4)
    costs = [edge_costs(edges, heights, 0.4, each, np.random.default_rng(0)) for each in (limited, without)]
    assert plain.min() < 0.05 < plain.max()
    np.testing.assert_allclose(costs[0] - costs[1], 3 * np.minimum(0.05, plain.ravel()[edges.ends]), atol=1e-9)
