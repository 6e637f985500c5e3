"""Blocky terrain: a grid of flat square columns; and many of them, to be read in batches."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Heightfield:
    """A terrain of square columns; heights are never interpolated.

    Attributes:
        heights: height of each cell's flat top, metres. The first axis runs along x, the second along y.
        min_point: x, y of the centre of cell (0, 0) in the world, metres.
        cell_size: side of a cell, metres.
    """

    heights: Float[Tensor, "X Y"]
    min_point: Float[Tensor, "2"]
    cell_size: float

    def cells_at(self, points: Float[Tensor, "*batch 2"]) -> Int[Tensor, "*batch 2"]:
        """Return the nearest cell of each x, y (world, metres); points beside the map belong to its border cells."""
        return nearest_cells(
            points, self.min_point, self.cell_size, torch.tensor(self.heights.shape, device=points.device)
        )

    def heights_at(self, points: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
        """Return the height of the terrain (metres) at each x, y (world, metres)."""
        cells = self.cells_at(points)
        return self.heights[cells[..., 0], cells[..., 1]]


def cropped(terrain: Heightfield, low: Float[Tensor, "2"], high: Float[Tensor, "2"]) -> Heightfield:
    """Return the cells of a terrain from the one at `low` to the one at `high`, where they are in the world.

    Args:
        terrain: stays as it is.
        low: x, y (world, metres) of the corner with the smaller numbers; corners beside the map stand for its border cells.
        high: of the opposite corner.
    """
    (first_row, first_column), (last_row, last_column) = terrain.cells_at(torch.stack([low, high])).tolist()
    first_cell = terrain.min_point.new_tensor([first_row, first_column])
    return Heightfield(
        terrain.heights[first_row : last_row + 1, first_column : last_column + 1].clone(),
        terrain.min_point + first_cell * terrain.cell_size,
        terrain.cell_size,
    )


@dataclass(frozen=True)
class Heightfields:
    """Terrains of any shapes, laid end to end.

    Whoever reads them says for each item of a batch which terrain it stands on: one, many and one for each item are the same,
    and no terrain is copied.

    Attributes:
        heights: height of every cell, row after row, terrain after terrain, metres.
        first_cell: where each terrain begins.
        shape: cells of each terrain along x and y.
        min_point: x, y of the centre of each terrain's cell (0, 0), metres.
        cell_size: side of a cell of each terrain, metres.
    """

    heights: Float[Tensor, " cells"]
    first_cell: Int[Tensor, " terrains"]
    shape: Int[Tensor, "terrains 2"]
    min_point: Float[Tensor, "terrains 2"]
    cell_size: Float[Tensor, " terrains"]

    def cells_at(
        self, which: Int[Tensor, " batch"], points: Float[Tensor, "batch points 2"]
    ) -> Int[Tensor, "batch points 2"]:
        """Return the nearest cell of each x, y (metres); points beside the map belong to its border cells."""
        return nearest_cells(
            points, self.min_point[which][:, None], self.cell_size[which][:, None, None], self.shape[which][:, None]
        )

    def places_of(
        self, which: Int[Tensor, " batch"], cells: Int[Tensor, "batch points 2"]
    ) -> Int[Tensor, "batch points"]:
        """Return where cells of the terrains lie in `heights`."""
        return self.first_cell[which][:, None] + cells[..., 0] * self.shape[which, 1][:, None] + cells[..., 1]

    def heights_at(
        self, which: Int[Tensor, " batch"], points: Float[Tensor, "batch points 2"]
    ) -> Float[Tensor, "batch points"]:
        """Return the height of the terrain (metres) at each x, y (metres)."""
        return self.heights[self.places_of(which, self.cells_at(which, points))]

    def to(self, device: torch.device) -> "Heightfields":
        """Return these terrains on `device`."""
        return Heightfields(*(getattr(self, field.name).to(device) for field in fields(self)))


def laid_end_to_end(terrains: Sequence[Heightfield]) -> Heightfields:
    """Return some terrains as one batch, in order."""
    device = terrains[0].heights.device
    shape = torch.tensor([list(terrain.heights.shape) for terrain in terrains], device=device)
    counts = shape.prod(1)
    return Heightfields(
        heights=torch.cat([terrain.heights.flatten() for terrain in terrains]),
        first_cell=counts.cumsum(0) - counts,
        shape=shape,
        min_point=torch.stack([terrain.min_point for terrain in terrains]),
        cell_size=torch.tensor(
            [terrain.cell_size for terrain in terrains], dtype=terrains[0].heights.dtype, device=device
        ),
    )


def on_one_grid(
    heights: Float[Tensor, "terrains rows columns"], min_point: Float[Tensor, "2"], cell_size: float
) -> Heightfields:
    """Return terrains that share one grid of points, such as local heightmaps, as one batch.

    Args:
        heights: of each terrain, metres.
        min_point: x, y of the centre of cell (0, 0), metres.
        cell_size: side of a cell, metres.
    """
    terrains, rows, columns = heights.shape
    return Heightfields(
        heights=heights.flatten(),
        first_cell=torch.arange(terrains, device=heights.device) * rows * columns,
        shape=torch.tensor([rows, columns], device=heights.device).expand(terrains, 2),
        min_point=min_point.expand(terrains, 2),
        cell_size=heights.new_full((terrains,), cell_size),
    )


def nearest_cells(
    points: Float[Tensor, "*batch 2"],
    min_point: Float[Tensor, "*#batch 2"],
    cell_size: float | Float[Tensor, "*#batch 1"],
    shape: Int[Tensor, "*#batch 2"],
) -> Int[Tensor, "*batch 2"]:
    """Return the nearest cell of each point, for one heightfield or for one heightfield a point.

    Args:
        points: x, y, metres.
        min_point: centre of cell (0, 0), metres.
        cell_size: side of a cell, metres.
        shape: number of cells along x and y; points beside the map are clamped to its border cells.
    """
    cells = torch.round((points - min_point) / cell_size).long()
    return torch.minimum(cells.clamp(min=0), shape - 1)
