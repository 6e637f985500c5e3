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
        return torch.stack(self._rows_and_columns(points), dim=-1)

    def _rows_and_columns(self, points: Float[Tensor, "*batch 2"]) -> list[Int[Tensor, "*batch"]]:
        return [
            nearest_cell(points[..., axis], self.min_point[axis], self.cell_size, count)
            for axis, count in enumerate(self.heights.shape)
        ]

    def heights_at(self, points: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
        """Return the height of the terrain (metres) at each x, y (world, metres)."""
        rows, columns = self._rows_and_columns(points)
        return self.heights[rows, columns]


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
        return torch.stack(self._rows_and_columns(which, points), dim=-1)

    def _rows_and_columns(
        self, which: Int[Tensor, " batch"], points: Float[Tensor, "batch points 2"]
    ) -> list[Int[Tensor, "batch points"]]:
        # One axis after the other: on a CPU, broadcasting over a last axis of two takes five times as long.
        low, shape, size = self.min_point[which], self.shape[which], self.cell_size[which][:, None]
        return [nearest_cell(points[..., axis], low[:, axis, None], size, shape[:, axis, None]) for axis in (0, 1)]

    def places_of(
        self, which: Int[Tensor, " batch"], cells: Int[Tensor, "batch points 2"]
    ) -> Int[Tensor, "batch points"]:
        """Return where cells of the terrains lie in `heights`."""
        return self._places(which, *cells.unbind(-1))

    def _places(
        self, which: Int[Tensor, " batch"], rows: Int[Tensor, "batch points"], columns: Int[Tensor, "batch points"]
    ) -> Int[Tensor, "batch points"]:
        return self.first_cell[which][:, None] + rows * self.shape[which, 1][:, None] + columns

    def heights_at(
        self, which: Int[Tensor, " batch"], points: Float[Tensor, "batch points 2"]
    ) -> Float[Tensor, "batch points"]:
        """Return the height of the terrain (metres) at each x, y (metres)."""
        return self.heights[self._places(which, *self._rows_and_columns(which, points))]

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


def nearest_cell(
    places: Float[Tensor, "*batch"],
    least: Float[Tensor, "*#batch"],
    cell_size: float | Float[Tensor, "*#batch"],
    count: int | Int[Tensor, "*#batch"],
) -> Int[Tensor, "*batch"]:
    """Return the nearest cell of each place along one axis, for one heightfield or for one heightfield a place.

    Args:
        places: x or y, metres.
        least: centre of the first cell, metres.
        cell_size: side of a cell, metres.
        count: number of cells; places beside the map are clamped to its border cells.
    """
    # Large numbers are cut down as floats, of which there may be more than integers tell; what is no number goes to cell 0.
    return torch.round((places - least) / cell_size).clamp(max=count - 1).long().clamp(min=0)
