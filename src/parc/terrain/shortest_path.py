"""Paths between random cells near the border of a terrain, at the least cost."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_graph import EdgeCosts, Moves, path_graph
from parc.terrain.path_planner import PlannedPath, as_path, subdivided
from parc.terrain.simplification import BLOCK, simplified, with_flat_pad


@dataclass(frozen=True)
class ShortestPath:
    """Plans the cheapest path between two random cells near the border of a terrain that is made simpler for it.

    Attributes:
        simplify: whether blocks of 2 x 2 cells first become as high as their highest cell.
        pad_cells: side of the level pads at start and end, an even number of cells; 0 for none.
        min_border_cells: fewest cells between start, or end, and some border of the map.
        max_border_cells: most such cells.
        min_distance: of start and end as seen from above, metres.
        draws: of a start and an end on a terrain, until there is a path between them.
        max_cost: paths that cost more are none.
        moves: what a character can do.
        costs: what that costs.
    """

    simplify: bool
    pad_cells: int
    min_border_cells: int
    max_border_cells: int
    min_distance: float
    draws: int
    max_cost: float
    moves: Moves
    costs: EdgeCosts

    def __post_init__(self) -> None:
        if self.pad_cells < 0 or self.pad_cells % BLOCK:
            raise UserError(f"path.pad_cells is {self.pad_cells}, expected an even number of cells, or 0")
        for name, least in (("min_border_cells", 0), ("min_distance", 0), ("draws", 1), ("max_cost", 0)):
            if getattr(self, name) < least:
                raise UserError(f"path.{name} is {getattr(self, name)}, expected at least {least}")
        if self.max_border_cells < self.min_border_cells:
            raise UserError(
                f"path.max_border_cells is {self.max_border_cells}, expected at least min_border_cells ({self.min_border_cells})"
            )

    def plan(self, terrain: Heightfield, random: np.random.Generator) -> PlannedPath | None:
        """Return a path over a terrain made simpler, with level pads; None where no draw of start and end has one.

        Raises:
            UserError: the terrain is too small for start and end to be so far apart.
        """
        heights = terrain.heights.double().numpy()
        rim = self._rim(heights.shape, terrain.cell_size)
        if self.simplify:
            heights = simplified(heights)
        for _ in range(self.draws):
            ends = draw_ends(rim, terrain.cell_size, self.min_distance, random)
            if ends is None:
                continue
            padded = heights
            for end in ends:
                padded = with_flat_pad(padded, end, self.pad_cells)
            graph = path_graph(padded, terrain.cell_size, self.moves, self.costs, random)
            start, goal = (int(np.ravel_multi_index(end, heights.shape)) for end in ends)
            cells, cost = cheapest_path(graph, start, goal, self.max_cost)
            if cost <= self.max_cost:
                ready = Heightfield(
                    torch.from_numpy(padded).to(terrain.heights.dtype), terrain.min_point, terrain.cell_size
                )
                return _over(ready, padded, np.stack(np.unravel_index(cells, heights.shape), axis=-1))
        return None

    def _rim(self, shape: tuple[int, ...], cell_size: float) -> Int[np.ndarray, "cells 2"]:
        """Return the cells that paths may start and end at: those of rows and columns that are so far from the border."""
        rows, columns = (
            np.isin(np.minimum(index := np.arange(count), count - 1 - index), self._distances_from_border)
            for count in shape
        )
        rim = np.argwhere(rows[:, None] | columns)
        span = float(np.linalg.norm(np.ptp(rim, axis=0))) * cell_size if len(rim) else 0.0
        if len(rim) < 2 or span < self.min_distance:
            raise UserError(
                f"path.min_distance is {self.min_distance} m, expected less than a terrain of {shape[0]} x {shape[1]} cells of "
                f"{cell_size} m has room for; make it larger (terrain.cells_x, terrain.cells_y)"
            )
        return rim

    @property
    def _distances_from_border(self) -> Int[np.ndarray, " distances"]:
        return np.arange(self.min_border_cells, self.max_border_cells + 1)


def draw_ends(
    rim: Int[np.ndarray, "cells 2"], cell_size: float, min_distance: float, random: np.random.Generator
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Draw a start among some cells and an end among those far enough from it; None where there are none.

    Args:
        rim: rows and columns to draw from.
        cell_size: metres.
        min_distance: of the two as seen from above, metres.
        random: where both come from.
    """
    start = rim[random.integers(len(rim))]
    distances = np.linalg.norm(rim - start, axis=1) * cell_size
    far = rim[(np.round(distances, 5) >= min_distance) & (distances > 0)]
    if not len(far):
        return None
    end = far[random.integers(len(far))]
    return (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))


def cheapest_path(graph: csr_array, start: int, goal: int, max_cost: float) -> tuple[Int[np.ndarray, " cells"], float]:
    """Return the cells of the path of the least cost from start to goal, and that cost; infinity where there is no path.

    Args:
        graph: costs of edges (see `path_graph`).
        start: number of the first cell.
        goal: number of the last cell.
        max_cost: paths that cost more are not looked for.
    """
    costs, before = dijkstra(graph, indices=start, return_predecessors=True, limit=max_cost)
    cells = [goal]
    while cells[-1] != start and before[cells[-1]] >= 0:
        cells.append(int(before[cells[-1]]))
    return np.array(cells[::-1]), float(costs[goal])


def _over(terrain: Heightfield, heights: Float[np.ndarray, "X Y"], cells: Int[np.ndarray, "cells 2"]) -> PlannedPath:
    """Return the path over the centres of some cells, with nodes in between where they are far apart."""
    corner = terrain.min_point.double().numpy()
    centres = np.concatenate([corner + cells * terrain.cell_size, heights[tuple(cells.T)][:, None]], axis=1)
    return as_path(terrain, subdivided(centres, terrain.cell_size))
