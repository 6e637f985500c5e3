"""Statistics over all windows, computed frame by frame, are those of the windows one by one."""

import pytest
import torch

from paper_settings import paper_sampler
from parc.anim.motion_clip import LoopMode
from parc.anim.motion_library import library_of
from parc.motion_generator import feature_statistics
from parc.motion_generator.canonical_frame import RelativeZStyle, frames_to_canonical
from parc.motion_generator.feature_statistics import compute_statistics, features_of_windows
from parc.motion_generator.features import MotionFeatures, RotationType
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
