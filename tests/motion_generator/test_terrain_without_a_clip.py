"""Local heightmaps and canonical frames at poses on terrains that belong to no clip: as in a rollout."""

import math

import pytest
import torch

from paper_settings import GRID, paper_sampler
from parc.anim.motion_library import library_of
from parc.anim.rotations import turn_about_z
from parc.motion_generator.canonical_frame import RelativeZStyle, canonical_frames
from parc.motion_generator.local_heightmap import HeightmapGrid, local_heightmaps
from parc.terrain.heightfield import Heightfield, Heightfields, laid_end_to_end
from synthetic_clips import preprocessed, random_clip, random_rotations

SMALL_GRID = HeightmapGrid(-0.4, 1.2, -0.6, 0.6, 0.2)


def some_terrains() -> list[Heightfield]:
    generator = torch.Generator().manual_seed(0)
    kinds = [((16, 16), 0.4), ((3, 30), 0.25), ((1, 1), 2.0), ((25, 7), 0.7)]
    return [
        Heightfield(torch.randn(shape, generator=generator), torch.randn(2, generator=generator), size)
        for shape, size in kinds
    ]


def poses(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, generator=generator) * 4, random_rotations(generator, batch)


@pytest.mark.parametrize("which", [[0, 1, 2, 3], [3, 3, 3, 3], [2, 0, 0, 1, 3, 3, 0], [1]])
def test_a_local_heightmap_holds_the_heights_around_the_character_wherever_its_terrain_lies_in_the_batch(which):
    terrains = some_terrains()
    origin, _ = poses(len(which))
    turn = torch.linspace(-3, 3, len(which))
    maps = local_heightmaps(laid_end_to_end(terrains), torch.tensor(which), SMALL_GRID, origin, turn)
    assert maps.shape == (len(which), 9, 7)
    for item, terrain in enumerate(which):
        x, y, z = origin[item].tolist()
        sin, cos = math.sin(float(turn[item])), math.cos(float(turn[item]))
        for row, column in ((0, 0), (8, 0), (3, 6), (5, 2), (8, 6)):
            ahead, left = -0.4 + 0.2 * row, -0.6 + 0.2 * column
            point = torch.tensor([x + cos * ahead - sin * left, y + sin * ahead + cos * left])
            place = (point - terrains[terrain].min_point) / terrains[terrain].cell_size
            if ((place - place.floor() - 0.5).abs() > 1e-3).all():  # not on the border of a cell
                expected = float(terrains[terrain].heights_at(point)) - z
                assert maps[item, row, column].item() == pytest.approx(expected, abs=1e-5)


def test_many_who_stand_on_one_terrain_see_what_each_would_see_on_a_copy():
    terrains = some_terrains()
    which = torch.tensor([0, 3]).repeat_interleave(16)
    origin, rotation = poses(32)
    copies = laid_end_to_end([terrains[number] for number in which.tolist()])
    shared, own = laid_end_to_end(terrains), torch.arange(32)
    for style in RelativeZStyle:
        frames = canonical_frames(style, shared, which, origin, rotation)
        for ours, theirs in zip(frames, canonical_frames(style, copies, own, origin, rotation), strict=True):
            assert torch.equal(ours, theirs)
        assert torch.equal(local_heightmaps(shared, which, GRID, *frames), local_heightmaps(copies, own, GRID, *frames))


def test_the_canonical_frame_is_at_the_root_or_on_the_floor_below_it_and_looks_where_the_character_does():
    terrains = some_terrains()
    which, (position, _) = torch.tensor([3, 0, 1]), poses(3)
    turn = torch.tensor([0.3, -2.0, 3.0])
    for style in RelativeZStyle:
        origin, heading = canonical_frames(style, laid_end_to_end(terrains), which, position, turn_about_z(turn))
        torch.testing.assert_close(heading, turn)
        assert torch.equal(origin[:, :2], position[:, :2])
        floor = torch.stack([terrains[n].heights_at(p) for n, p in zip(which, position[:, :2], strict=True)])
        expected = position[:, 2] if style is RelativeZStyle.RELATIVE_TO_ROOT else floor
        assert torch.equal(origin[:, 2], expected)


@pytest.mark.parametrize("style", list(RelativeZStyle))
def test_windows_of_clips_see_what_is_seen_at_their_poses_on_their_terrains(humanoid, style):
    clips = [random_clip(humanoid, n, frames=60, cells=(19 + n, 23)) for n in range(3)]
    library = library_of(preprocessed(humanoid, clips), [1.0] * 3)
    sampler = paper_sampler(library, style=style)
    windows = sampler.windows(sampler.draw(torch.Generator().manual_seed(0), 20))
    world = library.frames_at(windows.clips, windows.starts[:, None] + sampler.window_times)
    terrains = laid_end_to_end([clip.terrain for clip in clips])
    frames = canonical_frames(style, terrains, windows.clips, world.root_pos[:, 1], world.root_rot[:, 1])
    seen = local_heightmaps(terrains, windows.clips, GRID, *frames)
    assert torch.equal(seen.clamp(-3, 3), windows.heightmap)
    for name in vars(terrains):
        assert torch.equal(getattr(terrains, name), getattr(library.terrains, name))


def test_the_library_hands_out_its_terrains_without_copying_them(humanoid):
    library = library_of(preprocessed(humanoid, [random_clip(humanoid)]), [1.0])
    assert isinstance(library.terrains, Heightfields)
    assert library.terrains.heights.data_ptr() == library.heights.data_ptr()
