"""The graph of a terrain: its nodes are cells, its edges what a character can do from one cell to another, with a cost."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import csr_array

from parc.configuration.errors import UserError

HEIGHT_TOLERANCE = 1e-3  # metres: less is no edge, and no obstacle of a jump
_ROUNDED = 5  # decimals of heights and distances that are compared with limits: single precision has no more
_NUMBERS_A_CHUNK = 2**23  # looked at together: keeps memory below 200 MB however fine the cells are
_NEIGHBOURS = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)])


@dataclass(frozen=True)
class Moves:
    """What a character can do.

    Attributes:
        max_climb: greatest difference in height of neighbouring cells, up or down, metres.
        max_jump: longest jump, from centre to centre of two cells, as seen from above, metres.
        max_jump_down: how far below its start a jump may end, metres.
        max_jump_up: how far above its start a jump may end, and what lies below it may rise, metres.
    """

    max_climb: float
    max_jump: float
    max_jump_down: float
    max_jump_up: float

    def __post_init__(self) -> None:
        for name in ("max_climb", "max_jump", "max_jump_down", "max_jump_up"):
            if getattr(self, name) < 0:
                raise UserError(f"path.moves.{name} is {getattr(self, name)}, expected metres, 0 or more")


@dataclass(frozen=True)
class EdgeCosts:
    """What an edge costs: distance x d_xy^2 + rise x dz^2 + U(0, random) + bumpiness x how bumpy the ground is at its end.

    Attributes:
        distance: of a square metre of d_xy^2.
        rise: of a square metre of dz^2.
        random: the largest extra, drawn once an edge; the two ways between two cells are two edges.
        bumpiness: of a metre of mean difference in height between the end and the cells around it.
        max_bumpiness: the largest such mean that counts, metres.
        bumpiness_cells: half the side of the square of cells around it.
    """

    distance: float
    rise: float
    random: float
    bumpiness: float
    max_bumpiness: float
    bumpiness_cells: int

    def __post_init__(self) -> None:
        # An edge without a cost would be no edge of a sparse graph.
        if self.distance <= 0:
            raise UserError(f"path.costs.distance is {self.distance}, expected a number above 0")
        for name in ("rise", "random", "bumpiness", "max_bumpiness", "bumpiness_cells"):
            if getattr(self, name) < 0:
                raise UserError(f"path.costs.{name} is {getattr(self, name)}, expected 0 or more")


@dataclass(frozen=True)
class Edges:
    """Ways from cells to cells, each in one direction. Cells are numbered row after row.

    Attributes:
        starts: the cell that each begins at.
        ends: the cell that it leads to.
    """

    starts: Int[np.ndarray, " edges"]
    ends: Int[np.ndarray, " edges"]


def path_graph(
    heights: Float[np.ndarray, "X Y"],
    cell_size: float,
    moves: Moves,
    costs: EdgeCosts,
    random: np.random.Generator,
) -> csr_array:
    """Return the costs of all edges from cells (rows of the matrix) to cells (columns) of a terrain, numbered row after row.

    Args:
        heights: metres.
        cell_size: metres.
        moves: what edges there are.
        costs: what they cost.
        random: where the random part of the costs comes from.
    """
    edges = _joined([climbs_of(heights, moves), jumps_of(heights, cell_size, moves)])
    cost = edge_costs(edges, heights, cell_size, costs, random)
    return csr_array((cost, (edges.starts, edges.ends)), shape=(heights.size, heights.size))


def climbs_of(heights: Float[np.ndarray, "X Y"], moves: Moves) -> Edges:
    """Return the edges from each cell to those of its eight neighbours whose heights (metres) differ by no more than a climb."""
    everywhere = np.ones(heights.shape, dtype=bool)
    starts, _, ends = _pairs(np.arange(heights.size), _NEIGHBOURS, everywhere)
    possible = np.abs(_rises(heights, starts, ends)) <= moves.max_climb
    return Edges(starts[possible], ends[possible])


def jumps_of(heights: Float[np.ndarray, "X Y"], cell_size: float, moves: Moves) -> Edges:
    """Return the jumps between cells at edges of the terrain.

    A jump is no longer and leads no further up or down than `moves` allows, and no cell of the Bresenham line from its start to
    its end, both included, rises further above its start than it may lead up. Neighbours are climbed, not jumped.

    Args:
        heights: metres.
        cell_size: metres.
        moves: what can be jumped.
    """
    offsets, lines = _jump_lines(round(moves.max_jump / cell_size, _ROUNDED))
    at_edge = edge_cells(heights)
    take_offs = np.flatnonzero(at_edge)
    chunks = 1 + take_offs.size * lines.size // _NUMBERS_A_CHUNK
    return _joined(
        [_jumps_from(some, at_edge, heights, offsets, lines, moves) for some in np.array_split(take_offs, chunks)]
    )


def _jumps_from(
    take_offs: Int[np.ndarray, " cells"],
    at_edge: Bool[np.ndarray, "X Y"],
    heights: Float[np.ndarray, "X Y"],
    offsets: Int[np.ndarray, "offsets 2"],
    lines: Int[np.ndarray, "offsets line 2"],
    moves: Moves,
) -> Edges:
    """Return the jumps from some cells at edges of the terrain; see `jumps_of` and `_jump_lines`."""
    starts, offset, ends = _pairs(take_offs, offsets, at_edge)
    rises = _rises(heights, starts, ends)
    possible = (-moves.max_jump_down <= rises) & (rises <= moves.max_jump_up)
    starts, ends, offset = starts[possible], ends[possible], offset[possible]
    below = starts[:, None] + (lines @ _steps_of(heights.shape))[offset]
    flat = heights.ravel()
    free = flat[below].max(axis=1) <= flat[starts] + moves.max_jump_up + HEIGHT_TOLERANCE
    return Edges(starts[free], ends[free])


def edge_cells(heights: Float[np.ndarray, "X Y"]) -> Bool[np.ndarray, "X Y"]:
    """Return which cells have a lower one among their four neighbours (metres); none of the map's border counts."""
    at_edge = np.zeros(heights.shape, dtype=bool)
    if min(heights.shape) > 2:
        neighbours = (heights[:-2, 1:-1], heights[2:, 1:-1], heights[1:-1, :-2], heights[1:-1, 2:])
        at_edge[1:-1, 1:-1] = heights[1:-1, 1:-1] - np.minimum.reduce(neighbours) > HEIGHT_TOLERANCE
    return at_edge


def edge_costs(
    edges: Edges, heights: Float[np.ndarray, "X Y"], cell_size: float, costs: EdgeCosts, random: np.random.Generator
) -> Float[np.ndarray, " edges"]:
    """Return what each edge costs, its own random part included."""
    start, end = (np.divmod(cells, heights.shape[1]) for cells in (edges.starts, edges.ends))
    squared = np.square(end[0] - start[0]) + np.square(end[1] - start[1])
    cost = costs.distance * cell_size**2 * squared
    cost += costs.rise * np.square(_rises(heights, edges.starts, edges.ends))
    cost += random.uniform(0.0, costs.random, size=len(cost))
    if costs.bumpiness > 0:
        bumpy = np.minimum(costs.max_bumpiness, bumpiness(heights, costs.bumpiness_cells))
        cost += costs.bumpiness * bumpy.ravel()[edges.ends]
    return cost


def bumpiness(heights: Float[np.ndarray, "X Y"], around: int) -> Float[np.ndarray, "X Y"]:
    """Return the mean difference in height (metres) of each cell and the cells around it, itself included.

    Beside the map the ground is taken to go on as it is at the border.

    Args:
        heights: metres.
        around: half the side of the square of cells around each; 4 for one of 9 x 9.
    """
    side = 2 * around + 1
    squares = sliding_window_view(np.pad(heights, around, mode="edge"), (side, side))
    return np.abs(squares - heights[..., None, None]).mean(axis=(2, 3))


def _joined(edges: list[Edges]) -> Edges:
    return Edges(np.concatenate([each.starts for each in edges]), np.concatenate([each.ends for each in edges]))


def _pairs(
    starts: Int[np.ndarray, " cells"], offsets: Int[np.ndarray, "offsets 2"], ends: Bool[np.ndarray, "X Y"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Return all pairs of a start and an offset (number of its row) that leads to one of `ends`, and which one that is."""
    if not len(offsets):
        return starts[:0], starts[:0], starts[:0]
    # Around the map there is a margin in which there are no ends, so that no offset leads out of the array.
    margin = int(np.abs(offsets).max())
    wider = np.pad(ends, margin)
    rows, columns = np.divmod(starts, ends.shape[1])
    places = (rows + margin) * wider.shape[1] + columns + margin
    start, offset = np.nonzero(wider.ravel()[places[:, None] + offsets @ _steps_of(wider.shape)])
    return starts[start], offset, starts[start] + (offsets @ _steps_of(ends.shape))[offset]


def _steps_of(shape: tuple[int, ...]) -> Int[np.ndarray, "2"]:
    """Return by how much the number of a cell grows from one row to the next, and from one column to the next."""
    return np.array([shape[1], 1])


def _rises(
    heights: Float[np.ndarray, "X Y"], starts: Int[np.ndarray, " edges"], ends: Int[np.ndarray, " edges"]
) -> Float[np.ndarray, " edges"]:
    """Return how far ends lie above starts, metres, so that 1.1 - 0.6 is not above a limit of 0.5."""
    flat = heights.ravel()
    return np.round(flat[ends] - flat[starts], _ROUNDED)


@cache
def _jump_lines(reach: float) -> tuple[Int[np.ndarray, "offsets 2"], Int[np.ndarray, "offsets line 2"]]:
    """Return all offsets of at most `reach` cells but those of neighbours, and the cells of the line to each.

    Lines are filled up with their last cell.
    """
    furthest = int(reach)
    along = np.arange(-furthest, furthest + 1)
    offsets = np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1).reshape(-1, 2)
    steps = np.abs(offsets).max(axis=1)
    chosen = (np.round(np.linalg.norm(offsets, axis=1), _ROUNDED) <= reach) & (steps > 1)
    return offsets[chosen], _bresenham_lines(offsets[chosen], steps[chosen], furthest)


def _bresenham_lines(
    offsets: Int[np.ndarray, "offsets 2"], steps: Int[np.ndarray, " offsets"], furthest: int
) -> Int[np.ndarray, "offsets line 2"]:
    """Return the cells of the Bresenham line from (0, 0) to each offset; a half is rounded away from 0, as that algorithm does.

    Args:
        offsets: in cells.
        steps: the larger of each offset's two parts.
        furthest: the largest number of steps.
    """
    step = np.minimum(np.arange(furthest + 1), steps[:, None])[..., None]
    whole = (2 * step * np.abs(offsets)[:, None] + steps[:, None, None]) // (2 * steps[:, None, None])
    return np.sign(offsets)[:, None] * whole
