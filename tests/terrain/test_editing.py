"""Edits of terrain: only the cells that are meant change, the opposite takes an edit back, and the map stays where it is."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.configuration.errors import UserError
from parc.terrain.editing import MOST_RISE, enlarged, levelled, raised, with_box, with_stairs
from parc.terrain.heightfield import Heightfield

SIZES = st.sampled_from([0.1, 0.25, 0.4, 1.0])
SHARES = st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))  # of the map's sides: beside it too
EDIT = settings(max_examples=60, deadline=None)


def terrain_of(seed: int, cell_size: float = 0.4, corner: tuple[float, float] = (3.0, -2.0)) -> Heightfield:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randint(1, 14, (2,), generator=generator).tolist()
    return Heightfield(torch.rand(rows, columns, generator=generator) * 3 - 1, torch.tensor(corner), cell_size)


def place_on(terrain: Heightfield, shares: tuple[float, float]) -> torch.Tensor:
    return terrain.min_point + torch.tensor(shares) * torch.tensor(terrain.heights.shape) * terrain.cell_size


def cells_and_centres(terrain: Heightfield):
    """Yield row, column and centre of every cell, as plain numbers."""
    x, y = terrain.min_point.tolist()
    for row in range(terrain.heights.shape[0]):
        for column in range(terrain.heights.shape[1]):
            yield row, column, x + row * terrain.cell_size, y + column * terrain.cell_size


def changed(before: Heightfield, after: Heightfield) -> set[tuple[int, int]]:
    """Return the cells that differ, after a look at what may not."""
    assert after.cell_size == before.cell_size and torch.equal(after.min_point, before.min_point)
    assert after.heights.shape == before.heights.shape and after.heights.dtype == before.heights.dtype
    return {(row, column) for row, column in (after.heights != before.heights).nonzero().tolist()}


@EDIT
@given(st.integers(0, 2**31), SIZES, SHARES, st.floats(0, 3), st.floats(0.01, 50), st.booleans())
def test_raising_changes_the_cells_around_a_place_and_lowering_takes_it_back(seed, size, shares, radius, rise, down):
    terrain = terrain_of(seed, size)
    place, rise = place_on(terrain, shares), -rise if down else rise
    before = terrain.heights.clone()
    after = raised(terrain, place, radius, rise)
    assert torch.equal(terrain.heights, before), "the terrain that is given stays as it is"
    distances = {(row, column): math.dist(place.tolist(), at) for row, column, *at in cells_and_centres(terrain)}
    found = changed(terrain, after)
    own = {cell for cell, away in distances.items() if away <= size / 2 - 1e-4}
    assert {cell for cell, away in distances.items() if away < radius - 1e-4} | own <= found
    reach = max(radius, size * math.sqrt(0.5)) + 1e-4
    assert all(distances[cell] <= reach for cell in found)
    if radius < size / 2:
        assert len(found) <= 1
    for cell in found:
        assert float(after.heights[cell] - terrain.heights[cell]) == pytest.approx(rise, abs=1e-4)
    torch.testing.assert_close(raised(after, place, radius, -rise).heights, before, atol=1e-4, rtol=0)


@EDIT
@given(st.integers(0, 2**31), SIZES, SHARES, SHARES, st.floats(-50, 50))
def test_a_box_has_the_cells_between_two_corners_whichever_they_are(seed, size, one, other, height):
    terrain = terrain_of(seed, size)
    corner, opposite = place_on(terrain, one), place_on(terrain, other)
    low, high = torch.minimum(corner, opposite).tolist(), torch.maximum(corner, opposite).tolist()
    wide = size / 2 + 1e-4  # a cell is meant where the rectangle reaches into it

    def within(x: float, y: float, reach: float) -> bool:
        return low[0] - reach <= x <= high[0] + reach and low[1] - reach <= y <= high[1] + reach

    after = with_box(terrain, corner, opposite, height)
    for row, column, x, y in cells_and_centres(terrain):
        if within(x, y, -1e-4 + size / 2 - 1e-3):
            assert float(after.heights[row, column]) == pytest.approx(height, abs=1e-5)
        elif not within(x, y, wide):
            assert after.heights[row, column] == terrain.heights[row, column]
    changed(terrain, after)
    assert torch.equal(after.heights, with_box(terrain, opposite, corner, height).heights)
    there = with_box(terrain, corner, opposite, height, relative=True)
    back = with_box(there, corner, opposite, -height, relative=True)
    torch.testing.assert_close(back.heights, terrain.heights, atol=1e-4, rtol=0)
    meant = {cell for cell in changed(terrain, there) if abs(height) > 1e-3}
    for cell in meant:
        assert float(there.heights[cell] - terrain.heights[cell]) == pytest.approx(height, abs=1e-4)
        assert float(after.heights[cell]) == pytest.approx(height, abs=1e-5)


@EDIT
@given(
    st.integers(0, 2**31), SIZES, SHARES, st.floats(-7, 7), st.integers(1, 6), st.floats(-0.5, 0.5), st.floats(0.1, 1),
    st.floats(0.1, 4),
)  # fmt: skip
def test_stairs_rise_step_by_step_in_their_direction(seed, size, shares, direction, steps, step_height, depth, width):
    terrain = terrain_of(seed, size)
    place = place_on(terrain, shares)
    after = with_stairs(terrain, place, direction, steps=steps, step_height=step_height, step_depth=depth, width=width)
    changed(terrain, after)
    base = float(terrain.heights_at(place))
    for row, column, x, y in cells_and_centres(terrain):
        away = complex(x - float(place[0]), y - float(place[1])) * complex(math.cos(direction), -math.sin(direction))
        step = away.real / depth
        if abs(step - round(step)) * depth < 1e-3 or abs(abs(away.imag) - width / 2) < 1e-3:
            continue  # on an edge, where rounding decides
        if 0 < step < steps and abs(away.imag) < width / 2:
            expected = base + (math.floor(step) + 1) * step_height
        else:
            expected = float(terrain.heights[row, column])
        assert float(after.heights[row, column]) == pytest.approx(expected, abs=1e-4)


def test_stairs_along_y_begin_behind_their_place():
    terrain = Heightfield(torch.zeros(5, 8), torch.zeros(2), 0.5)
    after = with_stairs(
        terrain, torch.tensor([1.0, 0.75]), math.pi / 2, steps=3, step_height=0.2, step_depth=1.0, width=1.2
    )
    expected = torch.zeros(5, 8)
    expected[1:4, 2:] = torch.tensor([0.2, 0.2, 0.4, 0.4, 0.6, 0.6])
    torch.testing.assert_close(after.heights, expected)


@EDIT
@given(st.integers(0, 2**31), SIZES, SHARES, st.floats(0, 3))
def test_levelled_ground_is_as_high_as_the_place_and_levelling_again_changes_nothing(seed, size, shares, radius):
    terrain = terrain_of(seed, size)
    place = place_on(terrain, shares)
    after = levelled(terrain, place, radius)
    height = terrain.heights_at(place)
    found = changed(terrain, after)
    assert found <= changed(terrain, raised(terrain, place, radius, 1.0)), "the same cells as those that are raised"
    meant = raised(terrain, place, radius, 1.0).heights != terrain.heights
    assert (after.heights[meant] == height).all()
    assert torch.equal(levelled(after, place, radius).heights, after.heights)


@EDIT
@given(st.integers(0, 2**31), SIZES, st.floats(0, 5), st.none() | st.floats(-3, 3))
def test_an_enlarged_terrain_is_the_same_where_it_was_with_level_ground_around(seed, size, margin, height):
    terrain = terrain_of(seed, size)
    after = enlarged(terrain, margin, height)
    cells = (after.heights.shape[0] - terrain.heights.shape[0]) // 2
    assert margin - 1e-3 <= cells * size < margin + size
    inside = after.heights[cells : after.heights.shape[0] - cells, cells : after.heights.shape[1] - cells]
    assert torch.equal(inside, terrain.heights) and after.cell_size == size
    for row, column, x, y in cells_and_centres(terrain):
        assert float(after.heights_at(torch.tensor([x, y]))) == float(terrain.heights[row, column])
    points = place_on(terrain, (-0.5, -0.5)) + torch.rand(200, 2) * 2 * torch.tensor(terrain.heights.shape) * size
    if height is None:  # what was read beside the map is what is there now
        off_edges = (((points - terrain.min_point) / size + 0.5).remainder(1) - 0.5).abs().amax(1) < 0.49
        points = points[off_edges]
        assert torch.equal(after.heights_at(points), terrain.heights_at(points))
    else:
        ring = torch.ones_like(after.heights, dtype=torch.bool)
        ring[cells : ring.shape[0] - cells, cells : ring.shape[1] - cells] = False
        assert (after.heights[ring] == height).all()


def test_no_cell_is_moved_further_than_a_hundred_metres_beyond_what_there_was():
    terrain = Heightfield(torch.tensor([[1000.0, 1010.0], [1003.0, 1002.0]]), torch.zeros(2), 0.4)
    place = torch.tensor([0.0, 0.0])
    assert raised(terrain, place, 0.1, 1e6).heights[0].tolist() == [1010.0 + MOST_RISE, 1010.0]
    assert with_box(terrain, place, place, -5.0).heights[0].tolist() == [1000.0 - MOST_RISE, 1010.0]
    assert raised(terrain, place, 0.1, 90.0).heights[0, 0] == 1090.0


def test_edits_beside_the_map_change_nothing():
    terrain, far = terrain_of(4), torch.tensor([90.0, 90.0])
    for after in (
        raised(terrain, far, 2.0, 1.0), levelled(terrain, far, 2.0), with_box(terrain, far, far + 1, 5.0),
        with_stairs(terrain, far, 0.3, steps=4, step_height=0.2, step_depth=0.4, width=2.0),
    ):  # fmt: skip
        assert not changed(terrain, after)


def test_edits_without_a_size_are_one_line():
    terrain, place = terrain_of(5), torch.zeros(2)
    good = {"steps": 3, "step_height": 0.2, "step_depth": 0.4, "width": 1.0}
    for change in ({"steps": 0}, {"step_depth": 0.0}, {"width": -1.0}):
        with pytest.raises(UserError, match=r"^stairs have .* expected one or more"):
            with_stairs(terrain, place, 0.0, **{**good, **change})
    for margin, said in ((-1.0, "expected metres"), (math.nan, "expected metres"), (1e6, "cells, expected up to")):
        with pytest.raises(UserError, match=said):
            enlarged(dataclasses.replace(terrain), margin)
