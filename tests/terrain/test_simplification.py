import numpy as np
import pytest

from parc.terrain.simplification import simplified, with_flat_pad


@pytest.mark.parametrize("shape", [(16, 16), (7, 10), (8, 5), (1, 1), (3, 1)])
def test_blocks_of_two_by_two_are_as_high_as_their_highest_cell(shape):
    heights = np.random.default_rng(0).normal(size=shape)
    result = simplified(heights)
    assert result.shape == shape
    for row, column in np.ndindex(*shape):
        top, left = row // 2 * 2, column // 2 * 2
        assert result[row, column] == heights[top : top + 2, left : left + 2].max()


@pytest.mark.parametrize("shape", [(16, 16), (9, 12), (5, 5)])
def test_every_cell_gets_a_pad_of_whole_blocks_with_itself_in_the_middle_also_at_the_border(shape):
    heights = np.random.default_rng(0).normal(size=shape)
    for cell in np.ndindex(*shape):
        padded = with_flat_pad(heights, cell, 4)
        level = np.zeros(shape, dtype=bool)
        # The only even start from which the cell is the second or third of four.
        (top,), (left,) = ([s for s in (index - 2, index - 1) if s % 2 == 0] for index in cell)
        level[max(0, top) : top + 4, max(0, left) : left + 4] = True
        assert np.array_equal(padded, np.where(level, heights[cell], heights))
        assert level[cell] and level.sum() >= 4


def test_no_pad_leaves_terrain_as_it_is_and_no_pad_changes_what_it_was_given():
    heights = np.random.default_rng(0).normal(size=(6, 6))
    before = heights.copy()
    assert np.array_equal(with_flat_pad(heights, (2, 3), 0), before)
    with_flat_pad(heights, (0, 5), 4)
    assert np.array_equal(heights, before)
