"""The figures of a set's ground, against clips made by hand of which they are known."""

import math

import numpy as np
import pytest
import torch

from parc.anim.ground_statistics import GroundStatistics, windows_of
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.terrain.heightfield import Heightfield

FRAMES = 60
SPEED = 1.17  # metres a second


def gliding_clip(humanoid, heights, *, name="clip", fps=30.0, turn=0.0):
    """Glide along x, or turned, 0.9 m over the ground, over cells of 0.4 m of some heights; the pose never changes."""
    frames = round((FRAMES - 1) / 30 * fps) + 1
    along = torch.arange(frames) / fps * SPEED
    xy = torch.stack([along * math.cos(turn), along * math.sin(turn)], dim=-1)
    rows = torch.tensor(heights).float()[:, None].expand(-1, 8)
    terrain = Heightfield(rows if turn == 0 else rows.T, torch.tensor([-0.4, -0.4]), 0.4)
    upright = torch.tensor([0.0, 0.0, math.sin(turn / 2), math.cos(turn / 2)])
    return MotionClip(
        name=name,
        root_pos=torch.cat([xy, terrain.heights_at(xy)[:, None] + 0.9], dim=1),
        root_rot=upright.expand(frames, 4),
        joint_rot=torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(frames, humanoid.num_joints, 4),
        contacts=torch.zeros(frames, humanoid.num_bodies),
        fps=fps,
        loop_mode=LoopMode.CLAMP,
        terrain=terrain,
    )


def statistics_of(*clips):
    statistics = GroundStatistics()
    for clip in clips:
        statistics.add(clip, "gliding")
    return statistics


@pytest.mark.parametrize(("step", "expected"), [(0.09, 0), (0.11, 1), (-0.11, 1)])
def test_ground_changes_from_10_cm_on_up_or_down(humanoid, step, expected):
    heights = [0.0, 0.0, *([step, 0.0] * 4)]
    assert statistics_of(gliding_clip(humanoid, heights)).share_changing() == expected


@pytest.mark.parametrize("turn", [0.0, math.pi / 2])
def test_a_step_changes_the_windows_that_reach_it_or_come_within_40_cm_of_it(humanoid, turn):
    clip = gliding_clip(humanoid, [0.0] * 4 + [0.3] * 10, turn=turn)  # the edge is 1.0 m from the start
    windows = windows_of(clip)
    assert windows is not None
    starts = torch.arange(FRAMES - 14) / 30
    reached = (starts + 14 / 30) * SPEED + 0.4 > 1.0
    left_behind = starts * SPEED > 1.0
    assert torch.equal(windows.changes, reached & ~left_behind)
    rise = torch.where(((starts + 14 / 30) * SPEED > 1.0) & ((starts + 1 / 30) * SPEED < 1.0), 0.3, 0.0)
    torch.testing.assert_close(windows.rise, rise)


def test_clips_of_another_rate_have_the_same_figures(humanoid):
    heights = [0.0] * 4 + [0.3] * 10
    usual, fine = (windows_of(gliding_clip(humanoid, heights, fps=fps)) for fps in (30.0, 120.0))
    assert usual is not None
    assert fine is not None
    assert usual.pose.shape == fine.pose.shape
    assert (usual.changes == fine.changes).float().mean() > 0.95


def test_a_clip_shorter_than_a_window_counts_for_nothing(humanoid):
    clip = gliding_clip(humanoid, [0.0, 0.0, 0.5])
    short = MotionClip(
        **{**vars(clip), **{n: getattr(clip, n)[:14] for n in ("root_pos", "root_rot", "joint_rot", "contacts")}}
    )
    assert windows_of(short) is None
    assert math.isnan(statistics_of(short).share_changing())
    assert math.isnan(statistics_of(short).rise_explained(with_ground=True))


def test_shares_are_told_of_each_class(humanoid):
    statistics = GroundStatistics()
    statistics.add(gliding_clip(humanoid, [0.0] * 10), "level")
    statistics.add(gliding_clip(humanoid, [0.0, 0.0, *([0.2, 0.0] * 4)]), "rough")
    assert [statistics.share_changing(name) for name in ("level", "rough", None)] == [0, 1, 0.5]
    assert math.isnan(statistics.share_changing("nobody"))


def test_steps_that_no_pose_announces_are_explained_by_the_ground_ahead_alone(humanoid):
    random = np.random.default_rng(0)
    clips = [gliding_clip(humanoid, random.uniform(-1, 1, 10), name=f"clip_{number}") for number in range(20)]
    statistics = statistics_of(*clips)
    assert abs(statistics.rise_explained(with_ground=False)) < 0.1
    assert statistics.rise_explained(with_ground=True) > 0.8


def test_a_rise_that_the_pose_announces_needs_no_ground(humanoid):
    clips = []
    for number in range(20):
        clip = gliding_clip(humanoid, [0.0] * 10, name=f"clip_{number}")
        slope = 0.02 * (number - 10)  # metres a frame: the two previous frames show it
        climbing = clip.root_pos + torch.arange(FRAMES)[:, None] * torch.tensor([0.0, 0.0, slope])
        clips.append(MotionClip(**{**vars(clip), "root_pos": climbing}))
    assert statistics_of(*clips).rise_explained(with_ground=False) > 0.99


def test_a_clip_and_its_mirror_image_never_explain_each_other(humanoid):
    clips = [gliding_clip(humanoid, np.zeros(10), name=name) for name in ("walk", "walk_mirrored")]
    assert math.isnan(statistics_of(*clips).rise_explained(with_ground=True))
