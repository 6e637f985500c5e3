"""Rollouts of a model whose behaviour is known: where it goes, what it is asked, where it ends."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from parc.anim.clip_files import write_clip
from parc.anim.rotations import heading, rotate_xy
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.trusted import trust
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_generator.ground_guidance import GroundGuidance
from parc.motion_generator.local_heightmap import local_heightmaps
from parc.motion_synthesis.candidates import paths_of
from parc.motion_synthesis.quality import quality_of
from parc.motion_synthesis.starts import StartHeading
from parc.terrain.path_planner import as_path
from straight_walks import ROLLOUT, START, generators, straight_path
from synthetic_clips import random_clip
from walker import FPS, ROOT_HEIGHT, SPEED, walker

trust(["walker"])


def roll_out(humanoid, planned, path, rollout=ROLLOUT, style=RelativeZStyle.RELATIVE_TO_ROOT, model=None):
    model = model or walker(humanoid, style)
    path = torch.tensor(path)
    return rollout.roll_out(model, paths_of(planned), path, generators(len(path)))


@pytest.mark.parametrize("turn", [0.0, 0.7, -2.5, math.pi])
@pytest.mark.parametrize("style", list(RelativeZStyle))
def test_a_walk_goes_straight_along_its_path_and_ends_where_it_does(humanoid, turn, style):
    planned = straight_path(4.0, turn, height=0.3)
    motions = roll_out(humanoid, [planned], [0], style=style)
    assert motions.finished.tolist() == [True]
    number = int(motions.num_frames)
    frames = motions.frames.part(0, number)
    way = SPEED * (torch.arange(number) - 1) / FPS  # the first window begins a frame before the first node
    expected = torch.stack([way * math.cos(turn), way * math.sin(turn)], dim=-1)
    torch.testing.assert_close(frames.root_pos[0, :, :2], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(frames.root_pos[0, :, 2], torch.full((number,), 0.3 + ROOT_HEIGHT), atol=1e-4, rtol=0)
    # Windows of 7 new frames after 9 of the first; it ends with the first of them that ends near the last node.
    assert (number - 9) % 7 == 0
    feet = [humanoid.body_index(name) for name in ROLLOUT.feet]
    middle = humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)[0][0, :, feet].mean(1)
    distance = (middle - planned.nodes[-1]).norm(dim=-1)
    ends = distance[8::7]
    assert ends[-1] <= 0.5 and (ends[:-1] > 0.5).all()


def test_each_candidate_ends_at_its_own_end_and_others_change_nothing(humanoid):
    planned = [straight_path(6.0, 0.3), straight_path(2.0, -1.0)]
    together = roll_out(humanoid, planned, [0, 1, 0])
    assert together.finished.all() and together.path.tolist() == [0, 1, 0]
    long, short, again = together.num_frames.tolist()
    assert short < long == again
    assert together.exists.sum(1).tolist() == [long, short, again]
    alone = roll_out(humanoid, planned[1:], [0])
    torch.testing.assert_close(alone.frames.root_pos[0, :short], together.frames.root_pos[1, :short], atol=1e-5, rtol=0)


def test_a_motion_that_does_not_arrive_is_cut_at_the_limit(humanoid):
    motions = roll_out(humanoid, [straight_path(8.0)], [0], dataclasses.replace(ROLLOUT, max_seconds=2.0))
    assert motions.finished.tolist() == [False] and motions.num_frames.tolist() == [60]
    assert torch.linalg.norm(motions.frames.root_pos[0, 59, :2]) == pytest.approx(SPEED * 58 / FPS, abs=1e-3)


def test_ground_guidance_lifts_what_walks_through_a_step(humanoid):
    """The walker goes on at the height that it has; the ground rises by 10 cm two metres ahead."""
    level = straight_path(4.0)
    heights = level.terrain.heights.clone()
    heights[round((2.0 + 12.0) / 0.4) :] = 0.1
    planned = [dataclasses.replace(level, terrain=dataclasses.replace(level.terrain, heights=heights))]
    guidance = GroundGuidance(steps=6, share=0.5, smoothing=3, tolerance=0.01, sideways=2.0, reach=0.0)
    rollout = dataclasses.replace(ROLLOUT, finish_distance=0.8, max_seconds=4.0)
    guided = dataclasses.replace(rollout, ground_guidance=guidance)
    depths = {}
    for name, each in (("as it is", rollout), ("guided", guided)):
        motions = roll_out(humanoid, planned, [0], each)
        depths[name] = quality_of(motions, paths_of(planned).terrains, humanoid, surface_points(humanoid), FPS)
    assert depths["as it is"].deepest > 0.09
    # Its heightmap has a point every 20 cm: right at the edge of the step it cannot know better.
    assert depths["guided"].deepest < 0.08
    assert depths["guided"].penetration < 0.1 * depths["as it is"].penetration


def test_what_windows_are_asked_for(humanoid):
    """First: a blank, no guidance, target node 1. Then: guidance, clean previous states, a target nodes ahead."""
    model = walker(humanoid)
    planned = straight_path(4.0, 0.4)
    roll_out(humanoid, [planned], [0], model=model)
    asked = model.mdm.denoiser.asked
    first, second = asked[:5], asked[5:10]
    for conditions in first:
        assert conditions.heightmap_given.all() and conditions.target_given.all() and conditions.previous_given.all()
        assert not conditions.previous_clean.any() and len(conditions.heightmap) == 1
    for conditions in second:
        assert conditions.previous_given.tolist() == conditions.previous_clean.tolist() == [False, True]
        # Previous states: a frame before the origin of the canonical frame, and there.
        states = conditions.previous_states[1]
        torch.testing.assert_close(states[:, 0], torch.tensor([-SPEED / FPS, 0.0]), atol=1e-4, rtol=0)
        torch.testing.assert_close(states[:, 1:3], torch.zeros(2, 2), atol=1e-4, rtol=0)
        assert states[:, -1].tolist() == [1.0, 1.0]
        torch.testing.assert_close(conditions.target_direction[1], torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(first[0].target_direction[0], torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)


def test_targets_lie_nodes_ahead_of_the_nearest_and_round_corners(humanoid):
    """A path with a corner: the walker cuts it, since it goes for the node seven after the nearest."""
    model = walker(humanoid)
    terrain = straight_path(1.0).terrain
    along = np.arange(0, 4.01, 0.4)
    nodes = np.concatenate([
        np.stack([along, 0 * along, 0 * along], axis=1), np.stack([0 * along[1:] + 4.0, along[1:], 0 * along[1:]], axis=1),
    ])  # fmt: skip
    roll_out(humanoid, [as_path(terrain, nodes)], [0], model=model)
    second = model.mdm.denoiser.asked[5]
    # After 9 frames it is 0.35 m along: nearest is node 1 (0.4 m), seven later node 8 at 3.2 m, straight ahead.
    torch.testing.assert_close(second.target_direction[1], torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)
    # Later targets lie round the corner, to the left.
    assert any(conditions.target_direction[-1, 1] > 0.2 for conditions in model.mdm.denoiser.asked)


def test_targets_do_not_lie_beyond_a_corner_where_one_is_to_be_kept_to(humanoid):
    terrain = straight_path(1.0).terrain
    heights = terrain.heights.clone()
    heights[:40, 31:] = -2.0  # a pit inside the corner, which is at 4 m
    terrain = dataclasses.replace(terrain, heights=heights)
    along = np.arange(0, 4.01, 0.4)[:, None] * np.array([1.0, 0.0, 0.0])
    nodes = np.concatenate([along, along[-1] + along[1:, [1, 0, 2]]])
    for corner_height, looks_left in ((0.3, False), (None, True)):
        model = walker(humanoid)
        rollout = dataclasses.replace(ROLLOUT, max_seconds=2.0, corner_height=corner_height)
        motions = roll_out(humanoid, [as_path(terrain, nodes)], [0], rollout, model=model)
        assert 2.0 < motions.frames.root_pos[0, -1, 0] < 3.7
        asked = [conditions.target_direction[-1, 1] for conditions in model.mdm.denoiser.asked]
        assert (max(asked) > 0.05) == looks_left


def test_heightmaps_are_those_around_the_motion_and_clamped(humanoid):
    model = walker(humanoid)
    planned = straight_path(4.0)
    heights = planned.terrain.heights.clone()
    heights[36:] = 0.5  # a step 2.2 m ahead of the start
    heights[:, 34:] = -9.0  # a deep pit to the left
    planned = as_path(dataclasses.replace(planned.terrain, heights=heights), planned.nodes.double().numpy())
    roll_out(humanoid, [planned], [0], model=model)
    first = model.mdm.denoiser.asked[0].heightmap[0]
    paths = paths_of([planned])
    expected = local_heightmaps(
        paths.terrains, torch.tensor([0]), model.heightmap, torch.tensor([[0.0, 0, 0.85]]), torch.zeros(1)
    )
    torch.testing.assert_close(first, expected[0].clamp(-3, 3))
    assert first.min() == -3 and first.max() == pytest.approx(0.5 - 0.85)


def test_noise_is_a_candidates_own(humanoid):
    start = dataclasses.replace(START, min_height=0.7, max_height=0.9, heading=StartHeading.ANY)
    paths = paths_of([straight_path(2.0, 0.5)])
    position, rotation = start.poses(paths, torch.zeros(200, dtype=torch.long), generators(200))
    assert 0.7 <= position[:, 2].min() < 0.72 and 0.88 < position[:, 2].max() <= 0.9
    alone, _ = start.poses(paths, torch.zeros(1, dtype=torch.long), generators(3)[2:])
    assert torch.equal(alone[0], position[2])
    headings = heading(rotation)
    assert headings.min() < -2.8 and headings.max() > 2.8
    _, along = START.poses(paths, torch.zeros(1, dtype=torch.long), generators(1))
    assert float(heading(along)) == pytest.approx(0.5)


def clip_to_start_from(humanoid, tmp_path):
    """Write a clip of random poses that ends 1 m above its ground; return its path and the clip."""
    clip = random_clip(humanoid, 5)
    ground = clip.terrain.heights_at(clip.root_pos[-1, :2])
    clip = dataclasses.replace(
        clip, root_pos=clip.root_pos + torch.tensor([0, 0, 1.0]) * (ground + 1 - clip.root_pos[-1, 2])
    )
    write_clip(tmp_path / "start.safetensors", clip)
    return str(tmp_path / "start.safetensors"), clip


def test_a_motion_goes_on_from_the_end_of_a_clip_turned_along_its_path(humanoid, tmp_path):
    path, clip = clip_to_start_from(humanoid, tmp_path)
    planned = straight_path(4.0, 0.7, height=0.3)
    model = walker(humanoid)
    motions = roll_out(humanoid, [planned], [0], dataclasses.replace(ROLLOUT, start=path), model=model)
    frames = motions.frames.part(0, 2)
    torch.testing.assert_close(frames.joint_rot[0], clip.joint_rot[-2:])
    torch.testing.assert_close(frames.contacts[0], clip.contacts[-2:])
    torch.testing.assert_close(frames.root_pos[0, 1], torch.tensor([0.0, 0, 1.3]), atol=1e-5, rtol=0)
    assert float(heading(frames.root_rot[0, 1])) == pytest.approx(0.7, abs=1e-5)
    for end, values in ((clip.root_pos[-2:], clip.root_rot[-2:]), (frames.root_pos[0], frames.root_rot[0])):
        # As seen from the last frame, the one before is where it was.
        seen = rotate_xy((end[:1] - end[1:])[:, :2], -heading(values[1:]))
        torch.testing.assert_close(
            seen, rotate_xy((clip.root_pos[-2:-1] - clip.root_pos[-1:])[:, :2], -heading(clip.root_rot[-1:]))
        )
    assert motions.finished.tolist() == [True] and (int(motions.num_frames) - 2) % 7 == 0
    assert model.mdm.denoiser.asked[0].previous_clean.any(), "the first window is given the clip's end"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"fps": 60.0}, "has 60 frames a second, expected the 30 of the model"), ({}, "there is no such clip file")],
)
def test_a_clip_that_no_motion_can_go_on_from_is_refused(humanoid, tmp_path, change, said):
    path, clip = clip_to_start_from(humanoid, tmp_path)
    if change:
        write_clip(Path(path), dataclasses.replace(clip, **change))
    else:
        path = "nowhere.safetensors"
    with pytest.raises(UserError, match=rf"rollout\.start .*{said}"):
        dataclasses.replace(ROLLOUT, start=path).check_with_model(walker(humanoid))


def test_settings_that_no_model_can_serve_are_one_line(humanoid):
    model = walker(humanoid)
    with pytest.raises(UserError, match=r"rollout.feet: .* has no body 'left_hoof'; did you mean 'left_foot'"):
        dataclasses.replace(ROLLOUT, feet=["left_hoof"]).check_with_model(model)
    for changes, said in (({"new_frames": 14}, "at most the 13"), ({"new_frames": 1}, "at least the 2")):
        with pytest.raises(UserError, match=rf"rollout\.new_frames is .*{said}"):
            dataclasses.replace(ROLLOUT, **changes).check_with_model(model)
    for changes in (
        {"candidates": 0},
        {"denoising_steps": 1},
        {"guidance_scale": 1.5},
        {"max_seconds": math.inf},
        {"corner_height": -0.1},
        {"feet": []},
    ):
        with pytest.raises(UserError, match=rf"rollout\.{next(iter(changes))} is"):
            dataclasses.replace(ROLLOUT, **changes)
