"""Windows do not depend on where in the world a clip is, and know which cells its frames touch."""

import dataclasses
import math

import pytest
import roma
import torch

from golden_arrays import rotation_distance
from paper_settings import GRID, paper_sampler
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.anim.motion_library import library_of
from parc.anim.rotations import rotate_xy, turn_about_z
from parc.configuration.errors import UserError
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_generator.local_heightmap import HeightmapGrid, local_heightmaps_with_bounds
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import direction_to
from parc.terrain.heightfield import Heightfield
from synthetic_clips import preprocessed, random_clip


def moved_and_turned(clip: MotionClip, quarter_turns: int, move: torch.Tensor) -> MotionClip:
    """Return the clip with its terrain, turned about the world's origin by quarter turns, then moved."""
    angle = torch.tensor(quarter_turns * math.pi / 2)
    heights, corner = clip.terrain.heights, clip.terrain.min_point
    span = (torch.tensor(heights.shape) - 1) * clip.terrain.cell_size
    corners = rotate_xy(torch.stack([corner, corner + span]), angle)
    turn = turn_about_z(angle).expand_as(clip.root_rot)
    root_xy = rotate_xy(clip.root_pos[:, :2], angle)
    return dataclasses.replace(
        clip,
        root_pos=torch.cat([root_xy, clip.root_pos[:, 2:]], 1) + move,
        root_rot=roma.quat_product(turn, clip.root_rot),
        terrain=Heightfield(
            # Turning x towards y turns a map's rows into its columns, the other way round than rot90 does.
            torch.rot90(heights, quarter_turns, (0, 1)) + move[2],
            corners.amin(0) + move[:2],
            clip.terrain.cell_size,
        ),
    )


@pytest.mark.parametrize("style", list(RelativeZStyle))
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_window_is_the_same_wherever_its_clip_is_in_the_world(humanoid, style, quarter_turns, seed):
    clip = random_clip(humanoid, seed, frames=60, cells=(19, 23))
    move = torch.randn(3, generator=torch.Generator().manual_seed(seed)) * torch.tensor([3.0, 3.0, 2.0])
    here = library_of(preprocessed(humanoid, [clip]), [1.0])
    there = library_of(preprocessed(humanoid, [moved_and_turned(clip, quarter_turns, move)]), [1.0])
    draws = paper_sampler(here, style=style).draw(torch.Generator().manual_seed(seed), 30)
    draws = dataclasses.replace(draws, target_noise=torch.zeros(30, 3))  # which is drawn in the world
    first, second = (paper_sampler(library, style=style).windows(draws) for library in (here, there))
    torch.testing.assert_close(first.frames.root_pos, second.frames.root_pos, atol=1e-5, rtol=0)
    assert rotation_distance(first.frames.root_rot, second.frames.root_rot).max() < 2e-6
    assert torch.equal(first.frames.joint_rot, second.frames.joint_rot)
    torch.testing.assert_close(first.target_direction, second.target_direction, atol=2e-4, rtol=0)
    # Points that rounding puts on the other side of a cell's border are left out.
    same = (first.heightmap - second.heightmap).abs() < 1e-5
    assert same.float().mean() > 0.999
    # So are the bounds: what is touched is touched there, too.
    bounds = [bounds_of(library, draws, style) for library in (here, there)]
    same = ((bounds[0] - bounds[1]).abs() < 1e-4).all(-1)
    assert same.float().mean() > 0.995
    assert ((bounds[0][..., 0] < 6).float().mean() > 0.005).all()


def bounds_of(library, draws, style) -> torch.Tensor:
    sampler = paper_sampler(library, style=style)
    world = library.frames_at(draws.clips, draws.starts[:, None] + sampler.window_times)
    origin, turn = sampler.canonical_frames(draws.clips, world.root_pos, world.root_rot)
    ends = draws.starts + sampler.window_seconds
    return local_heightmaps_with_bounds(library, GRID, draws.clips, draws.starts, ends, origin, turn)[1]


def touched_mask(library, clip: int, start: float) -> torch.Tensor:
    """Which cells of the clip's terrain are not free in a window: asked through a heightmap of the terrain's own cells."""
    rows, columns = library.terrain_shape[clip].tolist()
    size = float(library.cell_size[clip])
    grid = HeightmapGrid(0.0, (rows - 1) * size, 0.0, (columns - 1) * size, size)
    origin = torch.cat([library.min_point[clip], torch.zeros(1)])[None]
    times = torch.tensor([start])
    _, bounds = local_heightmaps_with_bounds(
        library, grid, torch.tensor([clip]), times, times + 14 / 30, origin, torch.zeros(1)
    )
    return ~(bounds[0] == torch.tensor([6.0, -6.0])).all(-1)


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_touched_cells_are_those_of_all_frames_from_first_to_last_at_the_clips_own_rate(humanoid, fps):
    prepared = preprocessed(humanoid, [random_clip(humanoid, n, frames=int(3 * fps), fps=fps) for n in range(3)])
    library = library_of(prepared, [1.0] * 3)
    for clip in range(3):
        touched, shape = prepared[clip].touched, prepared[clip].clip.terrain.heights.shape
        for first in (0, 7, int(1.5 * fps), int(3 * fps) - 1 - round(14 * fps / 30)):
            last = first + round(14 * fps / 30)
            cells = touched.cells[touched.offsets[first] : touched.offsets[last + 1]]
            expected = torch.zeros(shape, dtype=torch.bool)
            expected[cells[:, 0], cells[:, 1]] = True
            assert torch.equal(touched_mask(library, clip, first / fps), expected)


def test_touched_cells_beyond_the_end_of_a_clip_that_wraps_are_those_of_its_first_frames_moved_by_the_loops_way(
    humanoid,
):
    clip = random_clip(humanoid, frames=31, loop_mode=LoopMode.WRAP)
    prepared = preprocessed(humanoid, [random_clip(humanoid, 5), clip, random_clip(humanoid, 6)])
    library = library_of(prepared, [1.0] * 3)
    touched = prepared[1].touched
    way = torch.round((clip.root_pos[-1] - clip.root_pos[0])[:2] / clip.terrain.cell_size).long()
    assert way[0] >= 2
    for first, runs in [(25, [(25, 30), (0, 9)]), (30, [(30, 30), (0, 14)]), (3, [(3, 17)])]:
        expected = torch.zeros(clip.terrain.heights.shape, dtype=torch.bool)
        for begin, end in runs:
            cells = touched.cells[touched.offsets[begin] : touched.offsets[end + 1]] + (way if begin == 0 else 0)
            expected[cells[:, 0], cells[:, 1]] = True
        assert torch.equal(touched_mask(library, 1, first / 30), expected), first


def test_heightmap_points_beside_the_terrain_take_its_border(humanoid):
    clip = random_clip(humanoid, frames=20, cells=(3, 3))
    library = library_of(preprocessed(humanoid, [clip]), [1.0])
    windows = paper_sampler(library).windows(paper_sampler(library).draw(torch.Generator().manual_seed(0), 20))
    allowed = clip.terrain.heights.flatten()
    root_height = library.frames_at(windows.clips, windows.starts[:, None] + 1 / 30).root_pos[:, 0, 2]
    heights = windows.heightmap + root_height[:, None, None]
    assert ((heights[..., None] - allowed).abs().min(-1).values < 1e-5).all()
    assert len(((heights[..., None] - allowed).abs().argmin(-1)).unique()) > 5


@pytest.mark.parametrize(
    ("position", "heading", "expected"),
    [
        ((3.0, 4.0), 2.0, (0.6, 0.8)),
        ((-0.2, 0.0), 0.0, (-1.0, 0.0)),
        ((0.05, 0.0), 0.6, (math.cos(0.6), math.sin(0.6))),
        ((0.05, 0.0), -0.6, (math.cos(0.6), -math.sin(0.6))),  # turning right counts as turning
        ((0.05, 0.0), 0.4, (0.0, 0.0)),
        ((0.0, 0.0), -0.4, (0.0, 0.0)),
        ((0.0, 0.0), -3.0, (math.cos(3), -math.sin(3))),
    ],
)
def test_the_target_is_a_direction_or_where_standing_still_a_heading(position, heading, expected):
    ours = direction_to(torch.tensor([position]), torch.tensor([heading]), 0.1, 0.5)
    assert ours[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_target_is_never_after_the_end_of_a_clip_but_goes_on_where_it_wraps(humanoid):
    clamp, wrap = (random_clip(humanoid, 1, frames=31, loop_mode=mode) for mode in LoopMode)
    library = library_of(preprocessed(humanoid, [clamp, wrap]), [1.0, 1.0])
    sampler = paper_sampler(library)
    clips, starts, share = torch.tensor([0, 1]), torch.tensor([0.5, 0.5]), torch.tensor([1.0, 1.0])
    # Clamped: at its end, 1 s. Wrapping: no limit to the 1.1 s ahead, 2.0 s.
    assert sampler.target_times(clips, starts, share).tolist() == pytest.approx([1.0, 2.0])


def test_the_target_direction_leads_to_where_the_clip_will_be(humanoid):
    library = library_of(preprocessed(humanoid, [random_clip(humanoid, 1, frames=90)]), [1.0])
    sampler = paper_sampler(library)
    draws = sampler.draw(torch.Generator().manual_seed(0), 20)
    windows = sampler.windows(dataclasses.replace(draws, target_noise=torch.zeros(20, 3)))
    times = sampler.target_times(draws.clips, draws.starts, draws.target_share)
    there = library.frames_at(draws.clips, times[:, None]).root_pos[:, 0, :2]
    here = library.frames_at(draws.clips, draws.starts[:, None] + sampler.window_times)
    origin, turn = sampler.canonical_frames(draws.clips, here.root_pos, here.root_rot)
    way = rotate_xy(windows.target_direction, turn)
    far = (there - origin[:, :2]).norm(dim=1) > 0.1
    assert far.any()
    expected = (there - origin[:, :2]) / (there - origin[:, :2]).norm(dim=1, keepdim=True)
    torch.testing.assert_close(way[far], expected[far], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "grid", [(0.0, 1.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 1.0, 0.3), (1.0, 0.0, 0.0, 1.0, 0.1), (0.0, 1.0, 2.0, 2.0, 0.1)]
)
def test_grids_that_are_none_are_refused(grid):
    with pytest.raises(UserError, match=r"sampler\.heightmap"):
        HeightmapGrid(*grid)
