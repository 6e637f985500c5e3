"""Terrain made simpler, so that there are large steps to plan over and level places to start and end on."""

import numpy as np
from jaxtyping import Float

BLOCK = 2  # cells: the side of the blocks that simplified terrain is made of, the first ones at cell 0


def simplified(heights: Float[np.ndarray, "X Y"]) -> Float[np.ndarray, "X Y"]:
    """Return terrain whose aligned blocks of 2 x 2 cells are as high as their highest cell was.

    Where a side is odd, the last blocks are cut off by the border.
    """
    rows, columns = heights.shape
    padded = np.pad(heights, [(0, -rows % BLOCK), (0, -columns % BLOCK)], constant_values=-np.inf)
    blocks = padded.reshape(padded.shape[0] // BLOCK, BLOCK, padded.shape[1] // BLOCK, BLOCK).max(axis=(1, 3))
    return blocks.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[:rows, :columns]


def with_flat_pad(heights: Float[np.ndarray, "X Y"], cell: tuple[int, int], pad_cells: int) -> Float[np.ndarray, "X Y"]:
    """Return terrain that is level around a cell, as high as that.

    The pad begins at even indices, so it is made of whole blocks of simplified terrain, and the cell is in the middle 2 x 2
    cells of it. What lies beside the map is cut off.

    Args:
        heights: metres.
        cell: row and column.
        pad_cells: side of the pad, an even number of cells; 0 for none.
    """
    levelled = heights.copy()
    first = [BLOCK * ((index - pad_cells // 2 + 1) // BLOCK) for index in cell]
    rows, columns = (slice(max(0, start), max(0, start + pad_cells)) for start in first)
    levelled[rows, columns] = heights[cell]
    return levelled
