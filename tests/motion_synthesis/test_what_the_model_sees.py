"""What is drawn of what a model is told is what it is told: heights where they are, the node it is sent to, frames before."""

import dataclasses
import math

import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_settings import GRID
from parc.anim.rotations import rotate_xy
from parc.configuration.errors import UserError
from parc.configuration.trusted import trust
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_synthesis.candidates import paths_of
from parc.motion_synthesis.clips_of_motions import clip_of_motion
from parc.motion_synthesis.what_the_model_sees import default_sight, what_the_model_sees
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_planner import PlannedPath
from straight_walks import ROLLOUT, generators, straight_path
from synthetic_clips import random_clip
from walker import FPS, SPEED, walker

trust(["walker"])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 19), st.sampled_from(list(RelativeZStyle)))
def test_heights_are_those_of_the_ground_below_points_around_the_character(humanoid, seed, frame, style):
    clip = random_clip(humanoid, seed, frames=20)
    sees = what_the_model_sees(walker(humanoid, style), clip, frame, ROLLOUT)
    points = sees.heightmap.flatten(0, 1)
    # Where a point is on the edge of a cell, rounding decides which one it belongs to.
    share = ((points[:, :2] - clip.terrain.min_point) / clip.terrain.cell_size + 0.5).remainder(1)
    inside = ((share - 0.5).abs() < 0.499).all(1)
    torch.testing.assert_close(points[inside, 2], clip.terrain.heights_at(points[inside, :2]), atol=1e-5, rtol=0)
    assert sees.target is None and sees.direction.tolist() == [0, 0]
    looks = roma.quat_action(clip.root_rot[frame], torch.tensor([1.0, 0.0, 0.0]))
    ahead = sees.heightmap[-1, GRID.shape[1] // 2, :2] - sees.heightmap[0, GRID.shape[1] // 2, :2]
    torch.testing.assert_close(ahead / ahead.norm(), looks[:2] / looks[:2].norm(), atol=1e-4, rtol=0)


def test_heights_further_than_is_told_are_shown_as_they_are_told(humanoid):
    clip = random_clip(humanoid)
    deep = Heightfield(torch.full((20, 24), -50.0), clip.terrain.min_point, clip.terrain.cell_size)
    clip = clip_of_motion("deep", clip.frames, PlannedPath(deep, torch.zeros(0, 3)), FPS)
    sees = what_the_model_sees(walker(humanoid), clip, 4, ROLLOUT)
    torch.testing.assert_close(sees.heightmap[..., 2], (clip.root_pos[4, 2] - 3).expand(GRID.shape))


def test_it_is_what_the_rollout_tells_a_model_that_goes_on_from_there(humanoid):
    planned = straight_path(6.0, 0.8)
    planned.terrain.heights[30:, 34:] = 0.3
    motions = ROLLOUT.roll_out(walker(humanoid), paths_of([planned]), torch.tensor([0]), generators(1))
    clip = clip_of_motion("walk", motions.frames_of(0), planned, FPS)
    frame = 30
    sees = what_the_model_sees(walker(humanoid), clip, frame, ROLLOUT)
    model = walker(humanoid)
    start = motions.frames.part(0, frame + 1)
    ROLLOUT.roll_out(model, paths_of([planned]), torch.tensor([0]), generators(1), start)
    asked = model.mdm.denoiser.asked[0]
    torch.testing.assert_close(sees.heightmap[..., 2] - clip.root_pos[frame, 2], asked.heightmap[0])
    turn = torch.tensor(0.8)
    torch.testing.assert_close(sees.direction, rotate_xy(asked.target_direction[-1], turn), atol=1e-4, rtol=0)
    way = SPEED * (frame - 1) / FPS  # 1.45 m: nearest is node 4 (1.6 m), and seven later is node 11
    assert round(way / 0.4) == 4 and sees.target is not None
    torch.testing.assert_close(sees.target, planned.nodes[11])
    assert torch.equal(sees.previous.root_pos, clip.root_pos[29:31])


def test_near_the_end_the_target_is_the_last_node_and_the_first_frame_has_none_before(humanoid):
    planned = straight_path(2.0)
    motions = ROLLOUT.roll_out(walker(humanoid), paths_of([planned]), torch.tensor([0]), generators(1))
    clip = clip_of_motion("walk", motions.frames_of(0), planned, FPS)
    last = what_the_model_sees(walker(humanoid), clip, clip.num_frames - 1, ROLLOUT)
    assert last.target is not None and torch.equal(last.target, planned.nodes[-1])
    first = what_the_model_sees(walker(humanoid), clip, 0, dataclasses.replace(ROLLOUT, nodes_ahead=2))
    assert len(first.previous.root_pos) == 1 and first.target is not None
    assert float(first.target[0]) == pytest.approx(0.8)
    for frame in (-1, clip.num_frames):
        with pytest.raises(UserError, match="has no frame"):
            what_the_model_sees(walker(humanoid), clip, frame, ROLLOUT)


def test_without_a_model_it_is_that_of_the_default_settings(humanoid):
    sight = default_sight()
    assert (sight.heightmap, sight.num_previous) == (GRID, 2)
    sees = what_the_model_sees(sight, random_clip(humanoid), 5, ROLLOUT)
    assert sees.heightmap.shape == (*GRID.shape, 3) and math.isfinite(float(sees.heightmap.sum()))
