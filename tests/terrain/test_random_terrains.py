"""Random terrains have the statistics of the paper's, and are functions of the generator that they are drawn from."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from terrain_pieces import RANDOM_TERRAINS, piece

from parc.terrain.random_terrains import random_walk


def terrains(option, count, **changes):
    generator = piece(f"terrain/{option}", **changes)
    return np.stack([generator.generate(np.random.default_rng(seed)).heights.double().numpy() for seed in range(count)])


def is_uniform(values, low, high):
    """Say whether values look drawn from U(low, high)."""
    assert low - 1e-6 <= np.min(values) and np.max(values) <= high + 1e-6
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", RANDOM_TERRAINS)
def test_a_terrain_is_a_function_of_the_generator_bit_for_bit(kind):
    generator = piece(f"terrain/{kind}")
    first = [generator.generate(np.random.default_rng(seed)) for seed in range(8)]
    # Others in between, in another order, by another object: nothing is kept.
    other = piece(f"terrain/{kind}")
    for seed in (5, 0, 7, 3):
        again = other.generate(np.random.default_rng(seed))
        assert torch.equal(again.heights, first[seed].heights)
    assert not torch.equal(first[0].heights, first[1].heights)


@pytest.mark.parametrize("kind", [*RANDOM_TERRAINS, "flat"])
@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (3, 40)])
def test_a_terrain_has_the_shape_and_place_that_are_asked_for(kind, shape):
    terrain = piece(f"terrain/{kind}", cells_x=shape[0], cells_y=shape[1]).generate(np.random.default_rng(0))
    assert terrain.heights.shape == shape and terrain.heights.dtype == torch.float32
    assert terrain.min_point.tolist() == [0.0, 0.0] and terrain.cell_size == 0.4
    assert torch.isfinite(terrain.heights).all()


def test_level_ground_is_level():
    assert (terrains("flat", 2, height=0.25) == 0.25).all()


def test_boxes_have_uniform_heights_and_cover_what_boxes_of_that_size_cover():
    alone = terrains("boxes", 1000, boxes=1)
    heights = [terrain[terrain != 0][0] for terrain in alone if terrain.any()]
    assert is_uniform(heights, -2.0, 2.0)
    # The mean share of a map of n cells that is within half a side of U(5, 10) of a centre in U(0, n), squared for two axes.
    random, n, cells = np.random.default_rng(1), 16, np.arange(16)
    centre, side = random.uniform(0, n, 200_000), random.uniform(5, 10, 200_000)
    one_axis = (np.abs(cells - centre[:, None]) < side[:, None] / 2).mean()
    assert (alone != 0).mean() == pytest.approx(one_axis**2, abs=0.015)
    # Ten of them leave a floor at 0 in few places.
    assert (terrains("boxes", 300) == 0).mean() == pytest.approx((1 - one_axis**2) ** 10, abs=0.06)


def test_a_ridges_walk_has_steps_and_turns_of_the_papers_statistics():
    walks = [random_walk(np.random.default_rng(seed), np.zeros(2), 1000, 1 / 30, 7 / 30) for seed in range(400)]
    steps = np.diff(np.stack(walks), axis=1)
    assert steps.shape == (400, 1000, 2)
    lengths = np.linalg.norm(steps, axis=-1)
    assert np.allclose(lengths, lengths[:, :1]), "one length a walk"
    g_squared = (lengths[:, 0] * 30) ** 2 - 1
    assert stats.kstest(g_squared, stats.chi2(1).cdf).pvalue > 1e-3
    headings = np.arctan2(steps[..., 1], steps[..., 0])
    assert is_uniform(headings[:, 0], -math.pi, math.pi)
    turns = (np.diff(headings, axis=1) + math.pi) % (2 * math.pi) - math.pi
    assert stats.kstest(turns[:, ::37].ravel(), stats.norm(0, 7 / 30).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(turns[:, :-1].ravel(), turns[:, 1:].ravel())[0, 1]) < 0.01


def test_ridges_have_one_uniform_height_each_over_the_low_floor():
    alone = terrains("paths", 300, ridges=1)
    assert all(len(np.unique(terrain)) <= 2 for terrain in alone)
    heights = [terrain.max() for terrain in alone]
    assert is_uniform(np.array(heights), -1.6, 2.0)
    assert alone.min() == -2.0
    eight = terrains("paths", 100)
    assert max(len(np.unique(terrain)) for terrain in eight) <= 9 and eight.min() == -2.0
    assert all(((terrain == -2) | (terrain >= -1.6)).all() for terrain in eight)


def test_a_ridge_covers_the_cells_that_its_walk_passes_and_their_neighbours_and_no_border_that_it_only_passes_beside():
    generator = piece("terrain/paths", ridges=1)
    for seed in range(40):
        random = np.random.default_rng(seed)
        walk = random_walk(random, (random.uniform(0, 16, 2) - 0.5) * 0.4, 1000, 1 / 30, 7 / 30)
        passed = np.zeros((18, 18), dtype=bool)
        for row, column in np.round(walk / 0.4).astype(int):
            if 0 <= row < 16 and 0 <= column < 16:
                passed[row : row + 3, column : column + 3] = True
        heights = generator.generate(np.random.default_rng(seed)).heights.numpy()
        assert np.array_equal(heights > -2, passed[1:-1, 1:-1])


def test_a_higher_ridge_is_on_top_where_two_come_near_each_other():
    generator = piece("terrain/paths", ridges=2, width=3)
    narrow = piece("terrain/paths", ridges=2, width=1)
    for seed in range(40):
        wide, thin = (each.generate(np.random.default_rng(seed)).heights.numpy() for each in (generator, narrow))
        padded = np.pad(thin, 1, constant_values=-9)
        assert np.array_equal(wide, np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).max((2, 3)))


def one_flight(seed):
    """Return a flight of the paper's, level by level, and what was drawn for it."""
    generator = piece("terrain/stairs", flights=1, cells_x=40, cells_y=40)
    heights = generator.generate(np.random.default_rng(seed)).heights.double().numpy()
    random = np.random.default_rng(seed)
    bottom, top = (random.uniform(0, 40, (2, 2)) - 0.5) * 0.4
    return heights, bottom, top, random.uniform(2, 8), random.uniform(-3, 1), random.uniform(0.15, 0.25)


@pytest.mark.parametrize("seed", range(30))
def test_a_flight_rises_from_one_point_to_the_other_by_even_steps_of_a_cell(seed):
    heights, bottom, top, width, start, rise = one_flight(seed)
    steps = math.ceil(np.linalg.norm(top - bottom) / 0.4)
    levels = start + rise * np.arange(steps)
    for row, column in np.ndindex(40, 40):
        offset = np.array([row, column]) * 0.4 - bottom
        ahead = (top - bottom) / np.linalg.norm(top - bottom)
        along, aside = offset @ ahead, abs(offset[0] * ahead[1] - offset[1] * ahead[0])
        inside = 0 <= along < steps * 0.4 and aside < width / 2
        assert heights[row, column] == pytest.approx(levels[int(along / 0.4)] if inside else 0.0, abs=1e-5)


def test_flights_have_uniform_steps_widths_and_starts():
    drawn = [one_flight(seed) for seed in range(200)]
    heights, rises = [each[0] for each in drawn], []
    for terrain in heights:
        levels = np.unique(np.round(terrain[terrain != 0], 4))
        rises += [np.diff(levels).min()] if len(levels) > 1 else []
    assert is_uniform(np.array(rises), 0.15, 0.25)
    starts = [each[0][each[0] != 0].min() for each in drawn if (each[0] != 0).any()]
    assert -3 <= min(starts) < -2.8 and np.mean(starts) == pytest.approx(-1, abs=0.25)


def test_four_flights_leave_some_of_the_floor():
    many = terrains("stairs", 200)
    assert 0.1 < (many == 0).mean() < 0.5
    assert many.min() >= -3


def lengths_of_runs(values):
    edges = np.flatnonzero(np.diff(values))
    return np.diff(edges), values[edges[1:]]


def test_blocks_are_never_too_high_to_be_stepped_on():
    heights = terrains("blocks", 50)
    assert heights.min() == 0 and 0.3 < heights.max() <= 0.4
    assert np.abs(np.diff(heights, axis=1)).max() <= 0.4


@pytest.mark.parametrize("seed", range(20))
def test_gaps_are_trenches_along_both_axes_between_level_plateaus(seed):
    heights = terrains("gaps", seed + 1, cells_x=80, cells_y=60)[seed]
    floor = heights.min()
    assert -2.0 <= floor <= -1.0 and set(np.unique(heights)) == {floor, 0.0}
    in_trench = heights < 0
    rows, columns = in_trench.all(axis=1), in_trench.all(axis=0)
    assert np.array_equal(in_trench, rows[:, None] | columns)
    for along in (rows, columns):
        lengths, is_trench = lengths_of_runs(along)
        assert len(lengths) > 5
        assert set(lengths[is_trench]) <= {1, 2, 3} and set(lengths[~is_trench]) <= {5, 6, 7, 8}


def test_trenches_are_of_every_width_and_can_be_anywhere():
    rows = (terrains("gaps", 200) < 0).all(axis=2)
    lengths = np.concatenate([length[is_trench] for length, is_trench in map(lengths_of_runs, rows)])
    assert {1, 2, 3} == set(lengths)
    assert rows[:, 1:].any(axis=0).all()


@pytest.mark.parametrize("seed", range(20))
def test_flights_go_up_and_down_from_border_to_border_in_even_steps(seed):
    heights = terrains("flights", seed + 1, cells_x=60, cells_y=60)[seed]
    profile = heights[:, 0] if (heights == heights[:, :1]).all() else heights[0]
    assert (heights == profile[:, None]).all() or (heights == profile).all()
    rises = np.diff(profile).round(4)
    is_step = rises != 0
    assert ((np.abs(rises[is_step]) >= 0.12) & (np.abs(rises[is_step]) <= 0.25)).all()
    edges = np.flatnonzero(np.abs(np.diff(rises)) > 0.01) + 1  # a rise begins, ends, or gives way to another
    runs = [rises[start:end] for start, end in itertools.pairwise(edges)]
    assert all(3 <= len(run) <= 6 for run in runs if run[0]) and all(1 <= len(run) <= 4 for run in runs if not run[0])


def test_flights_run_along_either_axis_up_and_down():
    heights = terrains("flights", 60)
    along_x = (heights == heights[:, :, :1]).all(axis=(1, 2))
    assert 15 < along_x.sum() < 45
    assert (heights.max(axis=(1, 2)) > 0.5).any() and (heights.min(axis=(1, 2)) < -0.5).any()
