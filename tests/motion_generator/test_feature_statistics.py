"""Statistics over all windows, computed frame by frame, are those of the windows one by one, and fit the sampler's noise."""

import dataclasses
import math

import pytest
import torch

from paper_settings import paper_sampler
from parc.anim.motion_clip import LoopMode
from parc.anim.motion_library import library_of
from parc.configuration.errors import UserError
from parc.motion_generator import feature_statistics
from parc.motion_generator.canonical_frame import RelativeZStyle, frames_to_canonical
from parc.motion_generator.feature_statistics import (
    compute_statistics,
    features_of_windows,
    refuse_more_noise,
    refuse_other_windows,
    smallest_deviations,
)
from parc.motion_generator.features import SMALLEST_STD, FeatureStatistics, MotionFeatures, RotationType
from synthetic_clips import preprocessed, random_clip


@pytest.fixture(scope="module")
def library(humanoid):
    """Clips that wrap or not, of the sampler's frame rate and of others, one of them just as long as a window."""
    kinds = [
        (15, 30.0, LoopMode.CLAMP),
        (40, 30.0, LoopMode.WRAP),
        (33, 24.0, LoopMode.CLAMP),
        (70, 60.0, LoopMode.WRAP),
    ]
    clips = [
        random_clip(humanoid, seed, frames=frames, fps=fps, loop_mode=mode)
        for seed, (frames, fps, mode) in enumerate(kinds)
    ]
    return library_of(preprocessed(humanoid, clips), [1.0] * len(clips))


@pytest.mark.parametrize("rotation_type", RotationType)
@pytest.mark.parametrize("style", RelativeZStyle)
def test_features_are_those_of_the_windows_one_by_one(library, humanoid, rotation_type, style, monkeypatch):
    monkeypatch.setattr(feature_statistics, "WINDOWS_A_CHUNK", 7)
    monkeypatch.setattr(feature_statistics, "CLIPS_A_CHUNK", 3)
    sampler, features = paper_sampler(library, style=style), MotionFeatures(humanoid, rotation_type)
    clips, starts = sampler.all_starts(sampler.training_clips)
    world = library.frames_at(clips, starts[:, None] + sampler.window_times)
    origin, turn = sampler.canonical_frames(clips, world.root_pos, world.root_rot)
    expected = features.encode(features.posed(frames_to_canonical(world, origin, turn)))

    found = torch.cat(list(features_of_windows(sampler, features, sampler.training_clips)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    statistics = compute_statistics(sampler, features)
    moving = slice(0, -humanoid.num_bodies)
    torch.testing.assert_close(statistics.mean[:, moving], expected.mean(0)[:, moving], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        statistics.std[:, moving], expected.std(0)[:, moving].clamp(min=1e-5), rtol=1e-3, atol=2e-5
    )


@pytest.mark.parametrize("rotation_type", RotationType)
def test_deviations_are_the_measured_ones_but_for_floors_of_the_noises_scale(library, humanoid, rotation_type):
    features = MotionFeatures(humanoid, rotation_type)
    clean = compute_statistics(paper_sampler(library), features)
    assert (smallest_deviations(paper_sampler(), features) == SMALLEST_STD).all(), "without noise nothing is changed"
    noisy = paper_sampler(library, angle_noise=0.3, pos_noise=0.5)
    floors = smallest_deviations(noisy, features)
    statistics = compute_statistics(noisy, features)
    assert torch.equal(statistics.mean, clean.mean)
    assert torch.equal(statistics.std, clean.std.maximum(floors))
    root_pos, root_rot, joint_pos, joint_rot, contacts = floors.split(features.sizes, dim=1)
    assert (root_pos == 0.5).all() and (root_rot == 0.3).all() and (contacts == SMALLEST_STD).all()
    assert (joint_rot[:2] == 0.3).all(), "the joints of previous states are off"
    assert (joint_rot[2:] == SMALLEST_STD).all(), "those of later frames are not"
    shin = joint_pos[:, 3 * 9]  # body 10, by .421546 m below its parent
    torch.testing.assert_close(shin, torch.full((15,), math.hypot(0.5, 0.3 * 0.421546)))


@pytest.mark.parametrize("rotation_type", RotationType)
@pytest.mark.parametrize("scales", [(0.0, 0.01), (0.1, 0.0), (0.1, 0.05)], ids=["position", "angle", "both"])
def test_noise_is_a_few_deviations_even_where_nothing_moves(humanoid, rotation_type, scales):
    """A character that stands still has no spread of its own; with the deviations of clean windows, noise is thousands."""
    moving = random_clip(humanoid, 0, frames=40)
    still = {name: getattr(moving, name)[:1].repeat(40, *[1] * (getattr(moving, name).dim() - 1)) for name in _POSE}
    library = library_of(preprocessed(humanoid, [dataclasses.replace(moving, **still)]), [1.0])
    sampler = paper_sampler(library, angle_noise=scales[0], pos_noise=scales[1])
    features = MotionFeatures(humanoid, rotation_type)
    statistics = compute_statistics(sampler, features)
    windows = sampler.windows(sampler.draw(torch.Generator().manual_seed(0), 2000))

    def deviations(frames) -> torch.Tensor:
        count = frames.root_pos.shape[1]
        encoded = features.encode(features.posed(frames))[..., : -humanoid.num_bodies]
        mean, std = (each[:count, : -humanoid.num_bodies] for each in (statistics.mean, statistics.std))
        return ((encoded - mean) / std).square().mean(0).sqrt()

    for frames in (windows.frames, windows.previous):
        assert 0.5 < deviations(frames).max() < 7
    moved = windows.frames.root_pos[:, 1].std(0)
    assert scales[1] == 0 or (moved / statistics.std[1, :3]).tolist() == pytest.approx([1, 1, 1], rel=0.1)


_POSE = ("root_pos", "root_rot", "joint_rot", "contacts")


def test_more_noise_than_statistics_were_made_for_is_refused_and_as_much_or_less_is_not(library, humanoid):
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    made_for = {
        noise: compute_statistics(paper_sampler(library, angle_noise=noise[0], pos_noise=noise[1]), features)
        for noise in [(0.0, 0.0), (0.1, 0.02)]
    }

    def check(statistics: tuple[float, float], angle: float, pos: float) -> None:
        sampler = paper_sampler(library, angle_noise=angle, pos_noise=pos)
        refuse_more_noise(made_for[statistics], sampler, features, "there")

    check((0.0, 0.0), 0.0, 0.0)
    for angle, pos in [(0.1, 0.02), (0.05, 0.0), (0.0, 0.01)]:
        check((0.1, 0.02), angle, pos)
    with pytest.raises(
        UserError, match=r"pos_noise_scale is 0\.01, but the statistics in there were made for none: .* 1e\+03"
    ):
        check((0.0, 0.0), 0.0, 0.01)
    with pytest.raises(
        UserError, match=r"angle_noise_scale is 0\.1, but the statistics in there were made for 0\.00\d+ at most"
    ):
        check((0.0, 0.0), 0.1, 0.0)
    with pytest.raises(UserError, match=r"pos_noise_scale is 0\.04, but .* were made for 0\.02 at most: .* 2 of their"):
        check((0.1, 0.02), 0.1, 0.04)
    with pytest.raises(UserError, match=r"angle_noise_scale is 0\.11, but .* were made for 0\.1 at most"):
        check((0.1, 0.02), 0.11, 0.02)


@pytest.mark.parametrize("style", RelativeZStyle)
def test_statistics_of_other_windows_show_it_in_their_numbers(library, humanoid, style):
    sampler, features = paper_sampler(library, style=style), MotionFeatures(humanoid, RotationType.DEFAULT)
    statistics = compute_statistics(sampler, features)
    refuse_other_windows(statistics, sampler, "there")
    other = next(each for each in RelativeZStyle if each is not style)
    with pytest.raises(
        UserError, match=rf"^sampler\.relative_z_style is {other.value}, but .* there are of {style.value}:"
    ):
        refuse_other_windows(statistics, paper_sampler(style=other), "there")
    moved = FeatureStatistics(statistics.mean.roll(-1, 0), statistics.std)  # as with one previous state
    with pytest.raises(UserError, match=r"^sampler\.num_previous_states is 2, but .* in there have the root .* at x"):
        refuse_other_windows(moved, sampler, "there")
