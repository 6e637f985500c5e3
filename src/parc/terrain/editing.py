"""Editing terrain: raising, boxes, stairs, levelling, more ground around. Each returns another terrain where the first one was.

No cell is moved to more than `MOST_RISE` above the highest ground, or below the lowest, that there was.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield
from parc.terrain.terrain_file import MOST_CELLS

MOST_RISE = 100.0  # metres


def raised(terrain: Heightfield, place: Float[Tensor, "2"], radius: float, rise: float) -> Heightfield:
    """Return a terrain whose cells around a place are higher.

    Args:
        terrain: stays as it is.
        place: x, y (world, metres).
        radius: of a circle in which the centres of the cells lie, metres; the cell at the place is always one of them.
        rise: by how much, metres; below 0 they are lower.
    """
    return _set(terrain, _around(terrain, place, radius), terrain.heights + rise)


def levelled(terrain: Heightfield, place: Float[Tensor, "2"], radius: float) -> Heightfield:
    """Return a terrain whose cells around a place (see `raised`) are as high as the ground at the place."""
    ground = terrain.heights_at(place.to(terrain.min_point))
    return _set(terrain, _around(terrain, place, radius), ground.expand_as(terrain.heights))


def with_box(
    terrain: Heightfield,
    corner: Float[Tensor, "2"],
    opposite: Float[Tensor, "2"],
    height: float,
    *,
    relative: bool = False,
) -> Heightfield:
    """Return a terrain with a box on it, or a pit: the cells from the one at a corner to the one at the opposite corner.

    Args:
        terrain: stays as it is.
        corner: x, y (world, metres).
        opposite: of the corner across from it.
        height: of its top, metres.
        relative: whether `height` is added to that of each cell, instead of being the height itself.
    """
    cells = _unbounded_cells(terrain, torch.stack([corner, opposite]))
    low, high = cells.amin(0), cells.amax(0)
    rows, columns = (torch.arange(count, device=terrain.heights.device) for count in terrain.heights.shape)
    inside = ((rows >= low[0]) & (rows <= high[0]))[:, None] & (columns >= low[1]) & (columns <= high[1])
    return _set(terrain, inside, terrain.heights + height if relative else torch.full_like(terrain.heights, height))


def with_stairs(
    terrain: Heightfield,
    place: Float[Tensor, "2"],
    direction: float,
    *,
    steps: int,
    step_height: float,
    step_depth: float,
    width: float,
) -> Heightfield:
    """Return a terrain with a flight of stairs on it: step k (1, 2, ...) lies k step heights above the ground at a place.

    A step has the cells whose centres lie in its rectangle. Steps that are less deep than a cell have cells only here and there,
    so that some of them are skipped.

    Args:
        terrain: stays as it is.
        place: x, y (world, metres) of the middle of the edge in front of the first step.
        direction: in which the stairs lead, radians from x towards y.
        steps: how many.
        step_height: of each above the one before, metres; below 0 they lead down.
        step_depth: of each along the direction, metres.
        width: across it, metres.

    Raises:
        UserError: there are no steps, or they have no size.
    """
    if steps < 1 or step_depth <= 0 or width <= 0:
        raise UserError(
            f"stairs have {steps} steps, {step_depth:g} m deep and {width:g} m wide; expected one or more, larger than 0 m"
        )
    away = _centres(terrain) - place.to(terrain.min_point)
    along = away[..., 0] * math.cos(direction) + away[..., 1] * math.sin(direction)
    across = away[..., 1] * math.cos(direction) - away[..., 0] * math.sin(direction)
    number = torch.floor(along / step_depth) + 1
    inside = (number >= 1) & (number <= steps) & (across.abs() <= width / 2)
    return _set(terrain, inside, terrain.heights_at(place.to(terrain.min_point)) + number * step_height)


def enlarged(terrain: Heightfield, margin: float, height: float | None = None) -> Heightfield:
    """Return a terrain with level ground around it; what was there is where it was.

    Args:
        terrain: stays as it is.
        margin: how far the new ground reaches beyond each side, metres; whole cells, so it may be up to one more.
        height: of the new ground, metres; None where it goes on as the border cells are, as whoever reads beside a map is told.

    Raises:
        UserError: the margin is no length, or there would be too many cells.
    """
    if not 0 <= margin < math.inf:
        raise UserError(f"the ground around the terrain is {margin} m wide, expected metres, 0 or more")
    cells = math.ceil(margin / terrain.cell_size - 1e-6)
    rows, columns = (count + 2 * cells for count in terrain.heights.shape)
    if rows * columns > MOST_CELLS:
        raise UserError(
            f"{margin:g} m more around the terrain makes {rows} x {columns} cells, expected up to {MOST_CELLS}"
        )
    old = terrain.heights.cpu().numpy()
    heights = np.pad(old, cells, mode="edge") if height is None else np.pad(old, cells, constant_values=height)
    return replace(
        terrain,
        heights=torch.from_numpy(heights).to(terrain.heights),
        min_point=terrain.min_point - cells * terrain.cell_size,
    )


def _set(terrain: Heightfield, cells: Bool[Tensor, "X Y"], heights: Float[Tensor, "X Y"]) -> Heightfield:
    """Return a terrain that has other heights (metres) at some cells, within the limits."""
    lowest, highest = terrain.heights.aminmax()
    within = heights.clamp(lowest - MOST_RISE, highest + MOST_RISE)
    return replace(terrain, heights=torch.where(cells, within, terrain.heights))


def _around(terrain: Heightfield, place: Float[Tensor, "2"], radius: float) -> Bool[Tensor, "X Y"]:
    """Return which cells have their centre in a circle, and the cell at its middle."""
    near = (_centres(terrain) - place.to(terrain.min_point)).norm(dim=-1) <= radius
    row, column = _unbounded_cells(terrain, place[None])[0].tolist()
    if 0 <= row < near.shape[0] and 0 <= column < near.shape[1]:
        near[row, column] = True
    return near


def _centres(terrain: Heightfield) -> Float[Tensor, "X Y 2"]:
    """Return x, y (world, metres) of the centre of each cell."""
    rows, columns = (torch.arange(count, device=terrain.heights.device) for count in terrain.heights.shape)
    return terrain.min_point + terrain.cell_size * torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


def _unbounded_cells(terrain: Heightfield, points: Float[Tensor, "points 2"]) -> Int[Tensor, "points 2"]:
    """Return the nearest cells of x, y (world, metres), as if the grid went on beside the map."""
    return torch.round((points.to(terrain.min_point) - terrain.min_point) / terrain.cell_size).long()
