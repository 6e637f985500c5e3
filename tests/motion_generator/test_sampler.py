"""What the sampler promises beyond the golden numbers."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from paper_settings import AUGMENTATION, paper_sampler
from parc.anim.clip_files import write_clip
from parc.anim.dataset import ClipEntry, ClipLimits
from parc.anim.heldout_clips import HeldoutSplit
from parc.anim.motion_clip import LoopMode
from parc.anim.motion_library import library_of
from parc.anim.rotations import angle_between, heading
from parc.configuration.errors import UserError
from parc.motion_generator.canonical_frame import RelativeZStyle, frames_to_world, to_canonical
from parc.motion_generator.heightmap_augmentation import HeightNoise
from parc.motion_generator.local_heightmap import local_heightmaps, local_heightmaps_with_bounds
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MotionWindows, with_noise
from synthetic_clips import preprocessed, random_clip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers_of(windows: MotionWindows) -> dict[str, torch.Tensor]:
    """Return every tensor of a batch by name."""
    numbers = {name: value for name, value in vars(windows).items() if isinstance(value, torch.Tensor)}
    for part in ("frames", "previous"):
        if getattr(windows, part) is not None:
            numbers |= {f"{part}.{name}": value for name, value in vars(getattr(windows, part)).items()}
    return numbers


def assert_same_windows(first: MotionWindows, second: MotionWindows) -> None:
    ours, theirs = numbers_of(first), numbers_of(second)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


@pytest.fixture(scope="module")
def library(humanoid):
    """Six clips of different lengths, rates, loop modes and terrains."""
    options = [
        {"frames": 15},
        {"frames": 200},
        {"frames": 61, "fps": 60.0},
        {"frames": 151, "fps": 120.0, "cells": (60, 50), "cell_size": 0.1},
        {"frames": 31, "loop_mode": LoopMode.WRAP},
        {"frames": 25, "fps": 24.0, "loop_mode": LoopMode.WRAP, "cells": (6, 5)},
    ]
    clips = [random_clip(humanoid, seed, **option) for seed, option in enumerate(options)]
    return library_of(preprocessed(humanoid, clips), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


@pytest.mark.parametrize("style", list(RelativeZStyle))
def test_parts_of_a_batch_are_the_same_whoever_works_them_out(library, style):
    sampler = paper_sampler(library, style=style, augmentation=AUGMENTATION, angle_noise=0.1, pos_noise=0.1)
    whole = sampler.windows(sampler.draw(generator(), 32))
    for ranks in (2, 4):
        draws = sampler.draw(generator(), 32)  # every rank draws the whole batch again
        share = 32 // ranks
        parts = [sampler.windows(draws.part(rank * share, (rank + 1) * share)) for rank in range(ranks)]
        for name, value in numbers_of(whole).items():
            together = torch.cat([numbers_of(part)[name] for part in parts])
            # Sines and cosines may round otherwise at another place in a vector: by 1e-6, and a cell in ten thousand.
            same = (value - together).abs() <= 2e-6
            assert same.float().mean() > (0.9999 if name == "heightmap" else 0.999999), name


def test_other_steps_draw_other_windows_and_the_same_step_the_same(library):
    sampler = paper_sampler(library, augmentation=AUGMENTATION)
    first, again, other = (sampler.draw(generator(seed), 64) for seed in (1, 1, 2))
    assert_same_windows(sampler.windows(first), sampler.windows(again))
    assert not torch.equal(first.starts, other.starts)


def test_shares_drawn_match_the_weights(library):
    sampler = paper_sampler(library)
    clips = sampler.draw(generator(), 20_000).clips
    expected = library.weights / library.weights.sum() * 20_000
    assert chisquare(torch.bincount(clips, minlength=6).numpy(), expected.numpy()).pvalue > 0.01


def test_starts_are_uniform_over_all_that_fit_the_last_included(library):
    sampler = paper_sampler(library)
    draws = sampler.draw(generator(), 20_000)
    lasts = [0.0, 199 / 30 - 14 / 30, 1.0 - 14 / 30, 150 / 120 - 14 / 30, 1.0, 1.0]  # any start of a clip that wraps
    for clip, last in enumerate(lasts):
        starts = draws.starts[draws.clips == clip]
        assert starts.min() >= 0
        assert starts.max() <= last + 1e-5
        if last:
            assert starts.max() > 0.995 * last
            assert kstest((starts / last).numpy(), "uniform").pvalue > 0.001


def test_the_last_window_of_a_clip_ends_at_its_last_frame(library):
    sampler = paper_sampler(library)
    clips, starts = sampler.all_starts(torch.arange(4))
    assert torch.bincount(clips).tolist() == [1, 186, 17, 24]  # n - 14 at 30 Hz; the grid is 30 Hz for others, too
    last = starts[(clips == 1).nonzero()[-1]]
    frames = library.frames_at(torch.tensor([1]), last[:, None] + sampler.window_times)
    end = library.first_frame[1] + library.num_frames[1]
    torch.testing.assert_close(frames.root_pos[0], library.root_pos[end - 15 : end], atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [10, 1000])
def test_a_batch_is_made_alike_from_ten_and_from_a_thousand_clips(humanoid, count):
    """A clip's window does not depend on the clips around it."""
    few = preprocessed(humanoid, [random_clip(humanoid, seed, frames=20 + seed, cells=(8, 9)) for seed in range(10)])
    many = library_of([few[number % 10] for number in range(count)], [1.0] * count)
    sampler, alone = paper_sampler(many, augmentation=AUGMENTATION), paper_sampler(library_of(few, [1.0] * 10))
    draws = sampler.draw(generator(), 64)
    windows = sampler.windows(draws)
    assert windows.clips.max() > 0.9 * count - 1
    unaugmented = paper_sampler(many).windows(draws)
    same = alone.windows(dataclasses.replace(draws, clips=draws.clips % 10))
    assert torch.equal(unaugmented.frames.root_pos, same.frames.root_pos)
    assert torch.equal(unaugmented.heightmap, same.heightmap)
    assert torch.equal(unaugmented.target_direction, same.target_direction)


@pytest.mark.parametrize("style", list(RelativeZStyle))
def test_windows_are_canonical_and_their_heights_within_three_metres(library, style):
    sampler = paper_sampler(library, style=style, augmentation=AUGMENTATION)
    windows = sampler.windows(sampler.draw(generator(), 300))
    axes = 3 if style is RelativeZStyle.RELATIVE_TO_ROOT else 2
    torch.testing.assert_close(windows.frames.root_pos[:, 1, :axes], torch.zeros(300, axes), atol=1e-6, rtol=0)
    torch.testing.assert_close(heading(windows.frames.root_rot[:, 1]), torch.zeros(300), atol=1e-5, rtol=0)
    assert windows.heightmap.abs().max() <= 3
    lengths = windows.target_direction.norm(dim=1)
    assert ((lengths - 1).abs() < 1e-5).float().mean() > 0.9
    assert (((lengths - 1).abs() < 1e-5) | (lengths == 0)).all()


def test_the_floor_style_is_relative_to_the_terrain_below_the_root(library):
    sampler = paper_sampler(library, style=RelativeZStyle.RELATIVE_TO_ROOT_FLOOR)
    windows = sampler.windows(sampler.draw(generator(), 100))
    # The point of the map below the root (x = 0 is row 10, y = 0 column 15) is the zero of heights.
    assert (windows.heightmap[:, 10, 15] == 0).all()
    by_root = paper_sampler(library).windows(sampler.draw(generator(), 100))
    unclamped = by_root.heightmap[:, 10, 15].abs() < 3
    height = windows.frames.root_pos[:, 1, 2]
    torch.testing.assert_close(height[unclamped], -by_root.heightmap[unclamped, 10, 15], atol=1e-5, rtol=0)


@pytest.mark.parametrize("augmentation", [AUGMENTATION, HeightNoise(3.0)], ids=["boxes", "noise"])
def test_what_the_motion_touches_is_never_augmented(humanoid, augmentation):
    clip = random_clip(humanoid, 3, frames=60)
    library = library_of(preprocessed(humanoid, [clip]), [1.0])
    plain, changed = paper_sampler(library), paper_sampler(library, augmentation=augmentation)
    draws = changed.draw(generator(), 100)
    before, after = plain.windows(draws).heightmap, changed.windows(draws).heightmap
    world = library.frames_at(draws.clips, draws.starts[:, None] + plain.window_times)
    origin, turn = plain.canonical_frames(draws.clips, world.root_pos, world.root_rot)
    ends = draws.starts + plain.window_seconds
    _, bounds = local_heightmaps_with_bounds(library, plain.grid, draws.clips, draws.starts, ends, origin, turn)
    frozen = bounds[..., 0] == bounds[..., 1]
    assert frozen.float().mean() > 0.005
    assert torch.equal(before[frozen], after[frozen])
    assert (before != after).float().mean() > 0.1


def test_noise_on_previous_states_is_on_the_condition_only(library):
    noisy = paper_sampler(library, angle_noise=0.1, pos_noise=0.2)
    draws = noisy.draw(generator(), 500)
    windows = noisy.windows(draws)
    assert paper_sampler(library).windows(dataclasses.replace(draws, previous_noise={})).previous is None
    world, origin, turn = noisy_frames(noisy, draws)
    ours = frames_to_world(windows.frames, origin, turn)
    torch.testing.assert_close(ours.root_pos, world.root_pos, atol=1e-4, rtol=0)
    assert angle_between(ours.root_rot, world.root_rot).max() < 2e-3
    assert torch.equal(ours.joint_rot, world.joint_rot)
    assert (windows.previous.root_pos - windows.frames.root_pos[:, :2]).std() == pytest.approx(0.2, rel=0.05)
    for name in ("root_rot", "joint_rot"):
        angles = angle_between(getattr(windows.previous, name), getattr(windows.frames, name)[:, :2])
        assert angles.square().mean().sqrt() == pytest.approx(0.1 * 3**0.5, rel=0.05)  # three axes
    assert torch.equal(windows.previous.contacts, windows.frames.contacts[:, :2])


@given(
    seed=st.integers(0, 10_000),
    style=st.sampled_from(RelativeZStyle),
    angle_noise=st.sampled_from([0.0, 0.05, 0.3]),
    pos_noise=st.sampled_from([0.0, 0.01, 0.5]),
)
@settings(max_examples=20, deadline=None)
def test_the_frame_of_a_window_is_that_of_its_noisy_last_previous_state(library, seed, style, angle_noise, pos_noise):
    """As at rollout, where whatever is wrong with a state is in the frame that is drawn through it."""
    sampler = paper_sampler(library, style=style, angle_noise=angle_noise, pos_noise=pos_noise)
    draws = sampler.draw(generator(seed), 30)
    windows = sampler.windows(draws)
    shown = windows.frames if windows.previous is None else windows.previous
    axes = 3 if style is RelativeZStyle.RELATIVE_TO_ROOT else 2
    torch.testing.assert_close(shown.root_pos[:, 1, :axes], torch.zeros(30, axes), atol=1e-6, rtol=0)
    torch.testing.assert_close(heading(shown.root_rot[:, 1]), torch.zeros(30), atol=1e-5, rtol=0)

    world, origin, turn = noisy_frames(sampler, draws)
    if pos_noise:
        off = (origin - world.root_pos[:, 1])[:, :2]
        torch.testing.assert_close(off, draws.previous_noise["root_pos"][:, 1, :2], atol=2e-5, rtol=0)
        assert (windows.frames.root_pos[:, 1, :2].norm(dim=1) > 0).all(), "the clean motion is off by the noise"
    maps = local_heightmaps(library.terrains, draws.clips, sampler.grid, origin, turn).clamp(-3, 3)
    assert torch.equal(windows.heightmap, maps)
    target = library.frames_at(
        draws.clips, sampler.target_times(draws.clips, draws.starts, draws.target_share)[:, None]
    )
    way = (to_canonical(target.root_pos, origin, turn)[:, 0] + draws.target_noise)[:, :2]
    far = way.norm(dim=1) > sampler.target.near
    torch.testing.assert_close(windows.target_direction[far], way[far] / way[far].norm(dim=1, keepdim=True))


def noisy_frames(sampler, draws):
    """Return the clips' frames in the world, and origin and heading of the noisy last previous states, without a sampler."""
    world = sampler.library.frames_at(draws.clips, draws.starts[:, None] + sampler.window_times)
    shown = world.part(0, sampler.num_previous)
    if draws.previous_noise:
        shown = with_noise(shown, draws.previous_noise)
    origin, turn = shown.root_pos[:, 1].clone(), heading(shown.root_rot[:, 1])
    if sampler.relative_z_style is RelativeZStyle.RELATIVE_TO_ROOT_FLOOR:
        origin[:, 2] = sampler.library.terrains.heights_at(draws.clips, origin[:, None, :2])[:, 0]
    return world, origin, turn


def test_held_out_clips_are_chosen_by_their_names_alone_and_never_drawn(humanoid, tmp_path):
    clip = random_clip(humanoid, frames=20, cells=(6, 6))
    names = [f"clip_{number}" for number in range(15, 45)]
    chosen = {"clip_20", "clip_24", "clip_28"}
    for name in names:
        write_clip(tmp_path / f"{name}.safetensors", clip)

    def prepared(some: list[str]):
        sampler = paper_sampler(save_folder=str(tmp_path / "prepared"))
        entries = [ClipEntry(tmp_path / f"{name}.safetensors", "class") for name in some]
        sampler.prepare(entries, ClipLimits(15, 99, 99), humanoid)
        return sampler

    for some in (names, sorted(names, reverse=True)[:22]):
        sampler = prepared(some)
        out = {sampler.clip_names[index] for index in sampler.heldout_clips}
        assert out == chosen & set(some)
        drawn = {sampler.clip_names[index] for index in sampler.draw(generator(), 3000).clips}
        assert drawn == set(some) - chosen
    assert len(prepared(names[:19]).heldout_clips) == 0  # below 20 clips none is


def test_a_split_says_what_is_held_out(humanoid, tmp_path):
    names = [f"clip_{number}" for number in range(15, 37)]
    for name in names:
        write_clip(tmp_path / f"{name}.safetensors", random_clip(humanoid, frames=20, cells=(6, 6)))
    sampler = paper_sampler(save_folder=str(tmp_path / "prepared"))
    entries = [ClipEntry(tmp_path / f"{name}.safetensors", "class") for name in names]
    sampler.prepare(entries, ClipLimits(15, 99, 99), humanoid, HeldoutSplit(trained=frozenset(["clip_20_mirrored"])))
    assert [sampler.clip_names[clip] for clip in sampler.heldout_clips] == ["clip_24", "clip_28"]


def test_windows_without_draws_are_the_clips_own(library):
    sampler = paper_sampler(library, augmentation=AUGMENTATION, angle_noise=0.1, pos_noise=0.1)
    clips, starts = sampler.all_starts(torch.arange(4))
    plain = paper_sampler(library)
    windows, own = (each.windows(each.draw_nothing(clips, starts)) for each in (sampler, plain))
    assert_same_windows(windows, own)
    drawn = sampler.windows(sampler._draw_around(generator(), clips, starts))
    assert not torch.equal(windows.heightmap, drawn.heightmap) and windows.previous is None
    target = sampler.library.frames_at(
        clips, sampler.target_times(clips, starts, torch.full_like(starts, 0.5))[:, None]
    )
    origin, turn = sampler.canonical_frames(clips, *_first_poses(sampler, clips, starts))
    way = to_canonical(target.root_pos, origin, turn)[:, 0, :2]
    far = way.norm(dim=1) > 0.1
    assert far.any()
    torch.testing.assert_close(windows.target_direction[far], way[far] / way[far].norm(dim=1, keepdim=True))


def _first_poses(sampler, clips, starts):
    frames = sampler.library.frames_at(clips, starts[:, None] + sampler.window_times)
    return frames.root_pos, frames.root_rot


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"angle_noise": -1.0}, "angle_noise_scale"),
        ({"pos_noise": -1.0}, "pos_noise_scale"),
    ],
)
def test_settings_out_of_range_are_refused_by_key(changes, key):
    with pytest.raises(UserError, match=rf"sampler\.{key} is"):
        paper_sampler(**changes)
