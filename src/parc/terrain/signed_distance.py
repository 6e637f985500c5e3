"""How deep points are inside blocky ground, and how far above it: the distance to the nearest column of air, or of ground.

On every cell of a heightfield, a column of air reaches from its height upwards without end, and a column of ground downwards.
Nothing is known of what lies beside the map, so nothing there counts as air and nothing as ground: a point there is inside the
ground by its distance to the map's nearest air, and above it by its distance to the map's nearest ground. A motion that leaves
its map can gain by neither.
"""

from dataclasses import fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.terrain.heightfield import Heightfields

CELLS_A_CHUNK = 2**17  # looked at together: keeps memory below 200 MB however far away columns are


def signed_distance_below_ground(
    points: Float[Tensor, "batch points 3"], terrains: Heightfields, which: Int[Tensor, " batch"]
) -> Float[Tensor, "batch points"]:
    """Return minus the distance (metres) to the nearest air for points inside the ground, and 0 for points in air.

    Differentiable in the points: the gradient leads to the nearest point of the nearest column of air.

    Args:
        points: x, y, z in the frame of the terrains, metres.
        terrains: as many as there are; none is copied.
        which: the terrain of each item of the batch.
    """
    return -_distance_to_columns(points, terrains, which, of_air=True)


def distance_above_ground(
    points: Float[Tensor, "batch points 3"], terrains: Heightfields, which: Int[Tensor, " batch"]
) -> Float[Tensor, "batch points"]:
    """Return the distance (metres) to the nearest ground, sideways too, for points in air, and 0 for points inside the ground.

    Differentiable in the points: the gradient leads away from the nearest point of the nearest column of ground.

    Args:
        points: x, y, z in the frame of the terrains, metres.
        terrains: as many as there are; none is copied.
        which: the terrain of each item of the batch.
    """
    return _distance_to_columns(points, terrains, which, of_air=False)


def _distance_to_columns(
    points: Float[Tensor, "batch points 3"], terrains: Heightfields, which: Int[Tensor, " batch"], of_air: bool
) -> Float[Tensor, "batch points"]:
    """Return the distance to the nearest column of air, or of ground."""
    flat_points, maps = points.flatten(0, 1), which.repeat_interleave(points.shape[1])
    of_terrains = [getattr(terrains, field.name) for field in fields(terrains)]
    cells = torch.ops.parc.nearest_columns(flat_points.detach(), of_terrains, maps, of_air)
    squared = _squared_distances(flat_points, cells[:, None], terrains, maps, of_air)[:, 0]
    # The square root is taken of a number above 0, within and on the border of a column too: its gradient at 0 is infinite.
    return torch.where(squared > 0, squared.clamp(min=1e-12).sqrt(), 0.0).unflatten(0, points.shape[:2])


def _nearest_columns(
    points: Float[Tensor, "points 3"], of_terrains: list[Tensor], maps: Int[Tensor, " points"], of_air: bool
) -> Int[Tensor, "points 2"]:
    """Return the cell whose column is nearest to each point; `of_terrains` are the tensors of `Heightfields`.

    Only the cells within reach of a point's distance are looked at, ring after ring around its own, so memory and time go with
    how far away columns are.
    """
    terrains = Heightfields(*of_terrains)
    own = terrains.cells_at(maps, points[:, None, :2])[:, 0]
    nearest = own.clone()
    squared = _squared_distances(points, own[:, None], terrains, maps, of_air)[:, 0]
    searching = squared.nonzero()[:, 0]
    best = squared[searching]
    for ring in range(1, int(terrains.shape.max())):
        # A cell of this ring is at least so far away sideways, wherever in (or beside) its own cell the point is.
        in_reach = best > ((ring - 1) * terrains.cell_size[maps[searching]]) ** 2
        searching, best = searching[in_reach], best[in_reach]
        if len(searching) == 0:
            break
        offsets = _ring_offsets(ring, points.device)
        found = [
            _nearest_of(points[some], own[some, None] + offsets, terrains, maps[some], of_air)
            for some in searching.split(max(1, CELLS_A_CHUNK // offsets.shape[1]))
        ]
        candidate, chosen = (torch.cat(each) for each in zip(*found, strict=True))
        nearer = candidate < best
        best = torch.where(nearer, candidate, best)
        nearest[searching] = torch.where(nearer[:, None], chosen, nearest[searching])
    return nearest


def _nearest_of(
    points: Float[Tensor, "points 3"],
    cells: Int[Tensor, "points cells 2"],
    terrains: Heightfields,
    maps: Int[Tensor, " points"],
    of_air: bool,
) -> tuple[Float[Tensor, " points"], Int[Tensor, "points 2"]]:
    """Return squared distance and cell of the nearest of some columns for each point."""
    squared, place = _squared_distances(points, cells, terrains, maps, of_air).min(dim=1)
    return squared, cells.gather(1, place[:, None, None].expand(-1, 1, 2))[:, 0]


def _squared_distances(
    points: Float[Tensor, "points 3"],
    cells: Int[Tensor, "points cells 2"],
    terrains: Heightfields,
    maps: Int[Tensor, " points"],
    of_air: bool,
) -> Float[Tensor, "points cells"]:
    """Return the squared distance from points to the columns of some cells each; infinity for cells beside the map."""
    size = terrains.cell_size[maps][:, None, None]
    centre = terrains.min_point[maps][:, None] + cells * size
    along_x, along_y = ((points[:, None, :2] - centre).abs() - size / 2).clamp(min=0).unbind(-1)
    on_map = torch.minimum(cells.clamp(min=0), terrains.shape[maps][:, None] - 1)
    heights = terrains.heights[terrains.places_of(maps, on_map)]
    along_z = (heights - points[:, 2:] if of_air else points[:, 2:] - heights).clamp(min=0)
    squared = along_x.square() + along_y.square() + along_z.square()
    same_row, same_column = (cells == on_map).unbind(-1)
    return torch.where(same_row & same_column, squared, torch.inf)


def _ring_offsets(ring: int, device: torch.device) -> Int[Tensor, "1 cells 2"]:
    """Return the offsets of the cells whose larger offset along either axis is `ring`."""
    along = torch.arange(-ring, ring + 1, device=device)
    square = torch.cartesian_prod(along, along)
    return square[square.abs().amax(-1) == ring][None]


def _as_many(points: Tensor, of_terrains: list[Tensor], maps: Tensor, of_air: bool) -> Tensor:
    return torch.empty(len(points), 2, dtype=torch.long, device=points.device)


# How far it has to look goes with where the points are. As an operator, torch.compile calls it as it is, and does not cut what it
# compiles in two there.
_OPERATORS = torch.library.Library("parc", "FRAGMENT")
_OPERATORS.define("nearest_columns(Tensor points, Tensor[] of_terrains, Tensor maps, bool of_air) -> Tensor")
_OPERATORS.impl("nearest_columns", _nearest_columns, "CompositeExplicitAutograd")
torch.library.register_fake("parc::nearest_columns", _as_many, lib=_OPERATORS)
