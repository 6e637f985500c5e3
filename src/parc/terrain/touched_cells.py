"""The cells a motion touches, and the heights that augmentation may give to each cell."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.terrain.heightfield import Heightfield

HEADROOM = 3.0  # metres that untouched cells may rise above the highest root position, or sink below the lowest cell
JUMP_CLEARANCE = 0.8  # metres of air above a cell from which on it counts as jumped over


@dataclass(frozen=True)
class TouchedCells:
    """The cells below any surface point, frame by frame.

    Attributes:
        cells: rows and columns; those of frame k are `cells[offsets[k]:offsets[k + 1]]`, sorted, without repeats.
        offsets: where each frame begins.
    """

    cells: Int[Tensor, "touched 2"]
    offsets: Int[Tensor, " boundaries"]


def find_touched_cells(points: Float[Tensor, "frames points 3"], heightfield: Heightfield) -> TouchedCells:
    """Return the cells below the surface points (world, metres) of each frame."""
    frames = points.shape[0]
    columns = heightfield.heights.shape[1]
    cells_per_map = heightfield.heights.numel()
    cells = heightfield.cells_at(points[..., :2])
    keys = torch.arange(frames)[:, None] * cells_per_map + cells[..., 0] * columns + cells[..., 1]
    keys = torch.unique(keys)
    counts = torch.bincount(keys // cells_per_map, minlength=frames)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    flat = keys % cells_per_map
    return TouchedCells(torch.stack([flat // columns, flat % columns], dim=-1), offsets)


def lowest_points(points: Float[Tensor, "frames points 3"], heightfield: Heightfield) -> Float[Tensor, "X Y"]:
    """Return the lowest surface point (z, metres) ever above each cell; infinity where there was none."""
    cells = heightfield.cells_at(points[..., :2])
    flat = (cells[..., 0] * heightfield.heights.shape[1] + cells[..., 1]).flatten()
    lowest = torch.full((heightfield.heights.numel(),), torch.inf)
    lowest.scatter_reduce_(0, flat, points[..., 2].flatten(), reduce="amin")
    return lowest.reshape(heightfield.heights.shape)


def height_bounds(
    points: Float[Tensor, "frames points 3"], root_pos: Float[Tensor, "frames 3"], heightfield: Heightfield
) -> Float[Tensor, "X Y 2"]:
    """Return the upper (`[..., 0]`) and lower (`[..., 1]`) height that augmentation may set each cell to.

    Untouched cells are free up to `HEADROOM` above the highest root position and below the lowest cell, touched ones are
    frozen, and those jumped over with `JUMP_CLEARANCE` may rise to that far below the lowest surface point.

    Args:
        points: surface points of the whole motion (world, metres).
        root_pos: root positions of the whole motion (world, metres).
        heightfield: the terrain of the motion.
    """
    heights = heightfield.heights
    lowest = lowest_points(points, heightfield)
    floor = heights.min() - HEADROOM
    touched = torch.isfinite(lowest)
    jumped = touched & (lowest - heights >= JUMP_CLEARANCE)
    upper = torch.where(touched, heights, root_pos[:, 2].max() + HEADROOM)
    upper = torch.where(jumped, lowest - JUMP_CLEARANCE, upper)
    lower = torch.where(touched & ~jumped, heights, floor)
    return torch.stack([upper, lower], dim=-1)
