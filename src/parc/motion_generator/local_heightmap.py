"""Local heightmaps: the terrain around a character, in its own frame, and how far it may be changed there."""

from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.motion_library import MotionLibrary, runs
from parc.anim.rotations import rotate_xy
from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfields

FREE_HEIGHT = 6.0  # metres that untouched cells may be above or below the map's own zero


@dataclass(frozen=True)
class HeightmapGrid:
    """The points of a local heightmap, in the canonical frame.

    Attributes:
        min_x, max_x: first and last point along x, metres.
        min_y, max_y: first and last point along y, metres.
        spacing: between points, metres.
    """

    min_x: float
    max_x: float
    min_y: float
    max_y: float
    spacing: float

    def __post_init__(self) -> None:
        if self.spacing <= 0:
            raise UserError(f"sampler.heightmap.spacing is {self.spacing}, expected metres above 0")
        for axis, low, high in (("x", self.min_x, self.max_x), ("y", self.min_y, self.max_y)):
            steps = (high - low) / self.spacing
            if steps < 1 or abs(steps - round(steps)) > 1e-6:
                raise UserError(
                    f"sampler.heightmap: min_{axis} {low} to max_{axis} {high} are no whole number of spacings of "
                    f"{self.spacing} m; expected at least one"
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of points along x and y."""
        return (
            round((self.max_x - self.min_x) / self.spacing) + 1,
            round((self.max_y - self.min_y) / self.spacing) + 1,
        )

    def points(self) -> Float[Tensor, "rows columns 2"]:
        """Return x, y of every point, metres."""
        rows, columns = self.shape
        along_x = torch.linspace(self.min_x, self.max_x, rows)
        along_y = torch.linspace(self.min_y, self.max_y, columns)
        return torch.stack(torch.meshgrid(along_x, along_y, indexing="ij"), dim=-1)


def local_heightmaps(
    terrains: Heightfields,
    which: Int[Tensor, " batch"],
    grid: HeightmapGrid,
    origin: Float[Tensor, "batch 3"],
    turn: Float[Tensor, " batch"],
) -> Float[Tensor, "batch rows columns"]:
    """Return local heightmaps, relative to the canonical frame's z, metres (not clamped to `MAX_HEIGHT`).

    Args:
        terrains: the terrains.
        which: the terrain of each map.
        grid: the points of the maps.
        origin: of the canonical frames (world, metres).
        turn: heading of the canonical frames, radians.
    """
    return _relative_heights(terrains, which, _cells_around(terrains, which, grid, origin, turn), grid, origin)


def local_heightmaps_with_bounds(
    library: MotionLibrary,
    grid: HeightmapGrid,
    clips: Int[Tensor, " batch"],
    first_times: Float[Tensor, " batch"],
    last_times: Float[Tensor, " batch"],
    origin: Float[Tensor, "batch 3"],
    turn: Float[Tensor, " batch"],
) -> tuple[Float[Tensor, "batch rows columns"], Float[Tensor, "batch rows columns 2"]]:
    """Return the `local_heightmaps` of clips, and the bounds that augmentation has to keep, relative likewise.

    Cells touched between the first and the last time keep the clip's bounds, all others are free within `FREE_HEIGHT`.

    Args:
        library: the clips.
        grid: the points of the maps.
        clips: index of each window's clip.
        first_times: of the windows, seconds.
        last_times: of the windows, seconds.
        origin: of the canonical frames (world, metres).
        turn: heading of the canonical frames, radians.
    """
    terrains = library.terrains
    cells = _cells_around(terrains, clips, grid, origin, turn)
    heights = _relative_heights(terrains, clips, cells, grid, origin)
    # Seen from above, a turned grid reaches as far as its corners.
    corners = cells.unflatten(1, grid.shape)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    touched = _touched(library, clips, first_times, last_times, cells, corners)
    bounds = torch.tensor([FREE_HEIGHT, -FREE_HEIGHT]).expand(*touched.shape, 2).clone()
    window, point = (touched >= 0).nonzero(as_tuple=True)  # few
    places = terrains.first_cell[clips[window]] + touched[window, point]
    bounds[window, point] = library.height_bounds[places] - origin[window, 2, None]
    return heights, bounds.unflatten(1, grid.shape)


def _cells_around(
    terrains: Heightfields,
    which: Int[Tensor, " batch"],
    grid: HeightmapGrid,
    origin: Float[Tensor, "batch 3"],
    turn: Float[Tensor, " batch"],
) -> Int[Tensor, "batch points 2"]:
    """Return the cell below each point of local heightmaps."""
    points = grid.points().to(origin.device).flatten(0, 1).expand(len(turn), -1, -1)
    return terrains.cells_at(which, rotate_xy(points, turn[:, None]) + origin[:, None, :2])


def _relative_heights(
    terrains: Heightfields,
    which: Int[Tensor, " batch"],
    cells: Int[Tensor, "batch points 2"],
    grid: HeightmapGrid,
    origin: Float[Tensor, "batch 3"],
) -> Float[Tensor, "batch rows columns"]:
    heights = terrains.heights[terrains.places_of(which, cells)] - origin[:, 2, None]
    return heights.unflatten(1, grid.shape)


def _touched(
    library: MotionLibrary,
    clips: Int[Tensor, " batch"],
    first_times: Float[Tensor, " batch"],
    last_times: Float[Tensor, " batch"],
    cells: Int[Tensor, "batch points 2"],
    corners: Int[Tensor, "batch corners 2"],
) -> Int[Tensor, "batch points"]:
    """Return for each window's cells the cell of its clip whose bounds they have to keep; -1 for those that are not touched.

    Touched is what the clip touches from the first to the last time, at its own frames. It is marked in a map for each window
    that spans just the window's own cells, and read off there.
    """
    corner = corners.amin(1)
    side = int((corners.amax(1) - corner).max()) + 1
    marks = torch.full((len(clips), side * side), -1)
    # Where the way of a loop leads back onto touched cells, those keep their own bounds: they are marked last.
    for window, flat, moved_by in (
        _touched_in_the_next_loop(library, clips, last_times),
        _touched_until_the_end(library, clips, first_times, last_times),
    ):
        columns = library.terrain_shape[clips[window], 1]
        place = torch.stack([flat // columns, flat % columns], dim=-1) + moved_by[window] - corner[window]
        near = ((place >= 0) & (place < side)).all(-1)
        marks[window[near], place[near, 0] * side + place[near, 1]] = flat[near]
    own = cells - corner[:, None]
    return marks.gather(1, own[..., 0] * side + own[..., 1])


Touched: TypeAlias = tuple[Int[Tensor, " touched"], Int[Tensor, " touched"], Int[Tensor, "batch 2"]]


def _touched_until_the_end(
    library: MotionLibrary,
    clips: Int[Tensor, " batch"],
    first_times: Float[Tensor, " batch"],
    last_times: Float[Tensor, " batch"],
) -> Touched:
    """Return window and cell (row x columns + column) of all that is touched before the clip ends, moved by nothing."""
    last_frame = library.num_frames[clips] - 1
    first, last = (torch.round(times * library.fps[clips]).long() for times in (first_times, last_times))
    window, cells = _touched_between(library, clips, torch.minimum(first, last_frame), torch.minimum(last, last_frame))
    return window, cells, torch.zeros(len(clips), 2, dtype=torch.long)


def _touched_in_the_next_loop(
    library: MotionLibrary, clips: Int[Tensor, " batch"], last_times: Float[Tensor, " batch"]
) -> Touched:
    """Return window and cell of all that clips that wrap touch beyond their ends, and by how many cells each loop moves on.

    A clip that wraps goes on at its first frame, where its last one is: as far from there as its root has come.
    """
    last_frame = library.num_frames[clips] - 1
    last = torch.round(last_times * library.fps[clips]).long()
    beyond = torch.where(library.wraps[clips], last - last_frame, -1).clamp(min=-1)
    first = library.first_frame[clips]
    way = (library.root_pos[first + last_frame] - library.root_pos[first])[:, :2]
    moved_by = torch.round(way / library.cell_size[clips, None]).long()
    return *_touched_between(library, clips, torch.zeros_like(beyond), beyond), moved_by


def _touched_between(
    library: MotionLibrary,
    clips: Int[Tensor, " batch"],
    first: Int[Tensor, " batch"],
    last: Int[Tensor, " batch"],
) -> tuple[Int[Tensor, " touched"], Int[Tensor, " touched"]]:
    """Return window and cell of everything touched in a run of frames of each clip, none where the last precedes the first."""
    begin = library.touched_offsets[first + library.first_frame[clips]]
    lengths = library.touched_offsets[last + library.first_frame[clips] + 1] - begin
    lengths = torch.where(last >= first, lengths, 0)
    window = torch.arange(len(clips)).repeat_interleave(lengths)
    return window, library.touched_cells[runs(begin, lengths)].long()
