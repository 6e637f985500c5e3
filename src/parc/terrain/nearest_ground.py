"""How far groups of points are from the ground, by the nearest point of each group: exact, and quick over level ground."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from parc.terrain.heightfield import Heightfields
from parc.terrain.signed_distance import distance_above_ground

RINGS = 3  # cells around its own that tell how near ground can be to a point at least


def distance_of_groups_above_ground(
    points: Float[Tensor, "batch points 3"],
    groups: Int[Tensor, " points"],
    terrains: Heightfields,
    which: Int[Tensor, " batch"],
) -> Float[Tensor, "batch groups"]:
    """Return the distance (metres) from the nearest point of each group to the nearest ground, sideways too; 0 within it.

    A group is no further from the ground than any of its points is from the column of its own cell. The exact distance is worked
    out only for points that may be nearer than that: none over level ground, those beside walls otherwise.

    Args:
        points: x, y, z in the frame of the terrains, metres.
        groups: the group of each point, 0, 1, ...; each has a point.
        terrains: as many as there are.
        which: the terrain of each item of the batch.
    """
    batch, count = len(points), int(groups.max()) + 1
    cells = terrains.cells_at(which, points[..., :2])
    places = terrains.places_of(which, cells)
    above = (points[..., 2] - terrains.heights[places]).clamp(min=0)
    size = terrains.cell_size[which, None, None]
    beside = ((points[..., :2] - terrains.min_point[which, None] - cells * size).abs() - size / 2).clamp(min=0)
    own = torch.cat([beside, above[..., None]], dim=-1).norm(dim=-1)  # beside is 0 but for points beside the map
    group_of_point = groups.expand(batch, -1)
    nearest = own.new_full((batch, count), torch.inf).scatter_reduce(1, group_of_point, own, "amin")
    # Within so many cells no ground is higher than this, and what lies further away is at least so far away sideways.
    highest = _highest_around(terrains)[places]
    reach = (RINGS - 0.5) * terrains.cell_size[which, None]
    at_least = torch.minimum((points[..., 2] - highest).clamp(min=0), reach)
    item, point = (at_least < nearest.gather(1, group_of_point)).nonzero(as_tuple=True)
    if len(item):
        exact = distance_above_ground(points[item, point][:, None], terrains, which[item])[:, 0]
        flat = nearest.flatten().scatter_reduce(0, item * count + groups[point], exact, "amin")
        nearest = flat.unflatten(0, (batch, count))
    return nearest


def _highest_around(terrains: Heightfields) -> Float[Tensor, " cells"]:
    """Return for every cell the highest ground within `RINGS` cells of it, along both axes."""
    rows, columns = terrains.shape.max(0).values.tolist()
    counts = terrains.shape.prod(1)
    terrain = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    number = torch.arange(len(terrains.heights), device=counts.device) - terrains.first_cell[terrain]
    row, column = number // terrains.shape[terrain, 1], number % terrains.shape[terrain, 1]
    maps = terrains.heights.new_full((len(counts), rows, columns), -torch.inf)
    maps[terrain, row, column] = terrains.heights
    side = 2 * RINGS + 1
    return F.max_pool2d(maps[:, None], side, stride=1, padding=RINGS)[:, 0][terrain, row, column]
