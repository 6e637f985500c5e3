"""Blocky terrain: a grid of flat square columns."""

from dataclasses import dataclass

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
        return nearest_cells(points, self.min_point, self.cell_size, torch.tensor(self.heights.shape))

    def heights_at(self, points: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
        """Return the height of the terrain (metres) at each x, y (world, metres)."""
        cells = self.cells_at(points)
        return self.heights[cells[..., 0], cells[..., 1]]


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
