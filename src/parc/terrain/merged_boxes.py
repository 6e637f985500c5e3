"""Blocky terrain as a few boxes along the axes, for programs that know no heightfields, and for those that touch boxes faster."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield

THICKNESS = 1.0  # metres of solid ground below the lowest cell
MOST_BOXES = 10_000

Rectangle = tuple[slice, slice]  # rows and columns of cells


@dataclass(frozen=True)
class MergedBoxes:
    """Boxes along the axes of the world, in double precision, so that a box's top is the height of its cells to the last bit.

    Attributes:
        centres: x, y, z, metres.
        half_sizes: half the sides along x, y, z, metres.
    """

    centres: Float[Tensor, "boxes 3"]
    half_sizes: Float[Tensor, "boxes 3"]


def merged_boxes(
    terrain: Heightfield, points: Float[Tensor, "*batch 2"], *, margin: float, reach: float
) -> MergedBoxes:
    """Return boxes that are together the ground near some points.

    No box sticks out of the ground anywhere, all end at one floor below it, and those of border cells go on beside the map, as
    `Heightfield.heights_at` does. Lower ground may go on below higher: a block that stands on a plain is one box more, where
    cutting it out of the plain would take four. So there are far fewer boxes, and fewer seams for feet to catch on.

    Args:
        terrain: the ground.
        points: x, y (world, metres).
        margin: how far from each point, along either axis, the ground is all there, metres.
        reach: how far the ground goes on beyond both the map and the points, metres.

    Raises:
        UserError: it would take more than `MOST_BOXES`.
    """
    heights = terrain.heights.double().cpu().numpy()
    rectangles, tops = _cover(heights, _cells_near(terrain, points, margin))
    edges = [_edges(terrain, points[..., axis], axis, reach) for axis in range(2)]
    floor = heights.min() - THICKNESS
    low = [[edges[0][rows.start], edges[1][columns.start], floor] for rows, columns in rectangles]
    high = [
        [edges[0][rows.stop], edges[1][columns.stop], top]
        for (rows, columns), top in zip(rectangles, tops, strict=True)
    ]
    lower, upper = (torch.tensor(corners, dtype=torch.float64).reshape(-1, 3) for corners in (low, high))
    return MergedBoxes((lower + upper) / 2, (upper - lower) / 2)


def _cells_near(terrain: Heightfield, points: Float[Tensor, "*batch 2"], margin: float) -> Bool[np.ndarray, "X Y"]:
    rows, columns = terrain.cells_at(points.reshape(-1, 2)).unbind(-1)
    below = torch.zeros(terrain.heights.shape, device=points.device)
    below[rows, columns] = 1
    # A point may be anywhere in its cell, so what is n cells away along an axis may be in any of the next ceil(n) cells.
    cells = math.ceil(min(margin / terrain.cell_size, max(terrain.heights.shape)))
    rows_near = torch.nn.functional.max_pool2d(below[None], (2 * cells + 1, 1), stride=1, padding=(cells, 0))
    near = torch.nn.functional.max_pool2d(rows_near, (1, 2 * cells + 1), stride=1, padding=(0, cells))
    return near[0].bool().cpu().numpy()


def _edges(
    terrain: Heightfield, points: Float[Tensor, "*batch"], axis: int, reach: float
) -> Float[np.ndarray, " edges"]:
    """Return where the cells of an axis begin and end (world, metres), the outermost ones beyond the map."""
    count = terrain.heights.shape[axis]
    edges = float(terrain.min_point[axis]) + (np.arange(count + 1) - 0.5) * terrain.cell_size
    edges[0] = min(edges[0], float(points.min())) - reach
    edges[-1] = max(edges[-1], float(points.max())) + reach
    return edges


def _cover(
    heights: Float[np.ndarray, "X Y"], needed: Bool[np.ndarray, "X Y"]
) -> tuple[list[Rectangle], Float[np.ndarray, " rectangles"]]:
    """Return rectangles of cells, and the height of each, such that the highest one over every needed cell is as high as it.

    Greedy: the lowest cell that still lacks a rectangle of its height gets the better of the two that grow as far as the ground
    is high enough, along one axis first and then along the other.
    """
    missing = needed.copy()
    seeds = np.argwhere(needed)
    rectangles: list[Rectangle] = []
    for row, column in seeds[np.argsort(heights[needed], kind="stable")]:
        if not missing[row, column]:
            continue
        if len(rectangles) == MOST_BOXES:
            raise UserError(
                f"the ground near the motion takes more than {MOST_BOXES} boxes, one for each change of height; level it "
                "where it is rough, or cut the clip into shorter ones"
            )
        top = heights[row, column]
        columns = _run(heights[row] >= top, column)
        rows = _run(heights[:, column] >= top, row)
        along_columns = (_run(np.all(heights[:, columns] >= top, axis=1), row), columns)
        along_rows = (rows, _run(np.all(heights[rows] >= top, axis=0), column))
        better = max(
            along_columns, along_rows, key=lambda cells: np.count_nonzero(missing[cells] & (heights[cells] == top))
        )
        missing[better] &= heights[better] != top
        rectangles.append(better)
    return _without_needless(rectangles, heights, needed)


def _run(free: Bool[np.ndarray, " cells"], start: int | np.integer) -> slice:
    """Return the longest run of true values around one of them."""
    blocked = np.flatnonzero(~free)
    following = np.searchsorted(blocked, start)
    first = blocked[following - 1] + 1 if following > 0 else 0
    return slice(int(first), int(blocked[following]) if following < len(blocked) else len(free))


def _without_needless(
    rectangles: list[Rectangle], heights: Float[np.ndarray, "X Y"], needed: Bool[np.ndarray, "X Y"]
) -> tuple[list[Rectangle], Float[np.ndarray, " rectangles"]]:
    """Leave out rectangles whose cells all have others of their height, which came later; return each one's height, too."""
    times: Int[np.ndarray, "X Y"] = np.zeros(heights.shape, dtype=np.int64)
    tops = np.array([heights[cells].min() for cells in rectangles])
    for cells, top in zip(rectangles, tops, strict=True):
        times[cells] += heights[cells] == top
    kept = []
    for number, (cells, top) in enumerate(zip(rectangles, tops, strict=True)):
        own = heights[cells] == top
        if (times[cells][own & needed[cells]] > 1).all():
            times[cells] -= own
        else:
            kept.append(number)
    return [rectangles[number] for number in kept], tops[kept]
