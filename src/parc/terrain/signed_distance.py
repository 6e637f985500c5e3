"""How deep points are inside blocky ground: the distance to the nearest column of air.

A column of air stands on every cell of a heightmap, reaching up without end. Everything else is ground, also beside the map.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.terrain.heightfield import nearest_cells

POINTS_A_CHUNK = 8192  # keeps memory below 200 MB however deep points are


def signed_distance_below_ground(
    points: Float[Tensor, "batch points 3"],
    heights: Float[Tensor, "batch rows columns"],
    min_point: Float[Tensor, "2"],
    cell_size: float,
) -> Float[Tensor, "batch points"]:
    """Return minus the distance (metres) to the nearest air for points inside the ground, and 0 for points in air.

    Differentiable in the points: the gradient leads to the nearest point of the nearest air column. Only the cells within
    reach of a point's depth are looked at, ring after ring around its own, so memory and time go with how deep points are.

    Args:
        points: x, y, z in the frame of the heightmaps, metres.
        heights: one heightmap for each item of the batch, metres.
        min_point: x, y of the centre of cell (0, 0), metres.
        cell_size: side of a cell, metres.
    """
    flat_points = points.flatten(0, 1)
    maps = torch.arange(len(points), device=points.device).repeat_interleave(points.shape[1])
    cells = torch.cat(
        [
            _nearest_air(some_points, some_maps, heights, min_point, cell_size)
            for some_points, some_maps in zip(
                flat_points.detach().split(POINTS_A_CHUNK), maps.split(POINTS_A_CHUNK), strict=True
            )
        ]
    )
    squared = _squared_distance(flat_points, heights[maps, cells[:, 0], cells[:, 1]], cells, min_point, cell_size)
    # The square root is taken of a number above 0, in air and on the border of a column too: its gradient at 0 is infinite.
    return -torch.where(squared > 0, squared.clamp(min=1e-12).sqrt(), 0.0).unflatten(0, points.shape[:2])


def _nearest_air(
    points: Float[Tensor, "points 3"],
    maps: Int[Tensor, " points"],
    heights: Float[Tensor, "batch rows columns"],
    min_point: Float[Tensor, "2"],
    cell_size: float,
) -> Int[Tensor, "points 2"]:
    """Return the cell whose column of air is nearest to each point; `maps` says which heightmap it belongs to."""
    rows, columns = heights.shape[1:]
    own = nearest_cells(points[:, :2], min_point, cell_size, torch.tensor([rows, columns], device=points.device))
    nearest = own.clone()
    squared = _squared_distance(points, heights[maps, own[:, 0], own[:, 1]], own, min_point, cell_size)
    deep = squared.nonzero()[:, 0]
    best = squared[deep]
    for ring in range(1, max(rows, columns)):
        # A cell of this ring is at least so far away sideways, wherever in (or beside) its own cell the point is.
        in_reach = best > ((ring - 1) * cell_size) ** 2
        deep, best = deep[in_reach], best[in_reach]
        if len(deep) == 0:
            break
        cells = own[deep, None] + _ring_offsets(ring, points.device)
        row, column = cells[..., 0].clamp(0, rows - 1), cells[..., 1].clamp(0, columns - 1)
        found = heights[maps[deep, None], row, column]
        distances = _squared_distance(points[deep, None], found, cells, min_point, cell_size)
        distances = torch.where(_inside(cells, rows, columns), distances, torch.inf)
        candidate, place = distances.min(dim=1)
        nearer = candidate < best
        best = torch.where(nearer, candidate, best)
        chosen = cells.gather(1, place[:, None, None].expand(-1, 1, 2))[:, 0]
        nearest[deep] = torch.where(nearer[:, None], chosen, nearest[deep])
    return nearest


def _squared_distance(
    points: Float[Tensor, "*#batch 3"],
    heights: Float[Tensor, "*batch"],
    cells: Int[Tensor, "*batch 2"],
    min_point: Float[Tensor, "2"],
    cell_size: float,
) -> Float[Tensor, "*batch"]:
    """Return the squared distance from points to the air above cells: sideways to the square, upwards to its height."""
    sideways = ((points[..., :2] - (min_point + cells * cell_size)).abs() - cell_size / 2).clamp(min=0)
    upwards = (heights - points[..., 2]).clamp(min=0)
    return sideways.square().sum(-1) + upwards.square()


def _ring_offsets(ring: int, device: torch.device) -> Int[Tensor, "1 cells 2"]:
    """Return the offsets of the cells whose larger offset along either axis is `ring`."""
    along = torch.arange(-ring, ring + 1, device=device)
    square = torch.cartesian_prod(along, along)
    return square[square.abs().amax(-1) == ring][None]


def _inside(cells: Int[Tensor, "*batch 2"], rows: int, columns: int) -> Bool[Tensor, "*batch"]:
    row, column = cells.unbind(-1)
    return (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
