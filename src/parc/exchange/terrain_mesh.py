"""The surface of blocky terrain as few rectangles: level tops, upright sides, and a floor that closes it below."""

import numpy as np
import trimesh
from jaxtyping import Float, Int

from parc.terrain.heightfield import Heightfield

THICKNESS = 0.3  # metres of solid ground below the lowest top


def terrain_mesh(terrain: Heightfield) -> trimesh.Trimesh:
    """Return the closed surface of a terrain's columns (world, z up, metres), whose faces look outward.

    Neighbouring tops of one height are one rectangle, and so are neighbouring sides between the same two heights. No corner is
    shared between rectangles, so that edges stay sharp under any light.
    """
    heights = terrain.heights.double().numpy()
    floor = heights.min() - THICKNESS
    rows, columns = heights.shape
    corners = [
        _tops(heights),
        # A rectangle whose corners go round the other way looks down.
        np.array([[[0, 0, floor], [0, columns, floor], [rows, columns, floor], [rows, 0, floor]]]),
        _sides_across_rows(heights, floor),
        # Sides across columns are those across rows of the terrain mirrored at its diagonal, and a mirror turns corners round.
        _sides_across_rows(heights.T, floor)[:, ::-1, [1, 0, 2]],
    ]
    vertices = np.concatenate(corners).reshape(-1, 3)
    # So far x and y count the edges of cells.
    low = terrain.min_point.double().numpy() - terrain.cell_size / 2
    vertices[:, :2] = low + vertices[:, :2] * terrain.cell_size
    first = np.arange(0, len(vertices), 4)[:, None, None]
    faces = (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return trimesh.Trimesh(vertices, faces, process=False)


def _tops(heights: Float[np.ndarray, "X Y"]) -> Float[np.ndarray, "rectangles 4 3"]:
    row, start, end = _runs(heights[:, :, None])
    height = heights[row, start]
    # A run goes on in the next row where that has one of the same columns and height. Sorted so, such rows are neighbours.
    order = np.lexsort((row, height, end, start))
    row, start, end, height = row[order], start[order], end[order], height[order]
    goes_on = (np.diff(row) == 1) & (np.diff(start) == 0) & (np.diff(end) == 0) & (np.diff(height) == 0)
    first = np.flatnonzero(np.r_[True, ~goes_on])
    last = np.r_[first[1:], len(row)] - 1
    x_low, x_high, y_low, y_high, z = row[first], row[last] + 1, start[first], end[first], height[first]
    return _rectangles((x_low, y_low, z), (x_high, y_low, z), (x_high, y_high, z), (x_low, y_high, z))


def _sides_across_rows(heights: Float[np.ndarray, "X Y"], floor: float) -> Float[np.ndarray, "rectangles 4 3"]:
    """Return the sides between cells that are neighbours along x, and those at both ends of the map."""
    below, above = (
        np.pad(heights, [(1, 0), (0, 0)], constant_values=floor),
        np.pad(heights, [(0, 1), (0, 0)], constant_values=floor),
    )
    pairs = np.stack([below, above], axis=-1)
    edge, start, end = _runs(pairs)
    before, after = pairs[edge, start].T
    is_side = before != after
    edge, start, end, before, after = (values[is_side] for values in (edge, start, end, before, after))
    # Up from the height before to the height after, it looks towards smaller x; down, towards larger ones.
    return _rectangles((edge, start, before), (edge, start, after), (edge, end, after), (edge, end, before))


def _runs(values: Float[np.ndarray, "rows columns parts"]) -> tuple[Int[np.ndarray, " runs"], ...]:
    """Return row, first column and the column past the last of each longest run of equal values along a row."""
    differs = (values[:, 1:] != values[:, :-1]).any(axis=-1)
    begins = np.pad(differs, [(0, 0), (1, 0)], constant_values=True)
    row, start = np.nonzero(begins)
    # A run ends where the next begins, or at the end of its row.
    end = np.where(np.r_[row[1:], -1] == row, np.r_[start[1:], 0], values.shape[1])
    return row, start, end


def _rectangles(*corners: tuple[np.ndarray, ...]) -> Float[np.ndarray, "rectangles 4 3"]:
    return np.stack([np.stack(np.broadcast_arrays(*corner), axis=-1).astype(float) for corner in corners], axis=1)
