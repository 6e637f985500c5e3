"""Motions as clips, and one clip refined: what stays, what is kept of before, and what nothing was done to."""

from dataclasses import replace

import torch
from test_refinement import FPS, LEVEL, refiner, standing

from generated_clips import making
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.candidates import batch_of
from parc.motion_synthesis.clips_of_motions import clip_of_motion, refined_clip
from parc.motion_synthesis.refinement import NoRefinement
from parc.terrain.heightfield import laid_end_to_end
from parc.terrain.path_planner import PlannedPath
from synthetic_clips import random_clip


def sunk_clip(humanoid):
    """Return a clip that stands 5 cm below the ground, with a path."""
    frames = standing(humanoid, surface_points(humanoid), above=-0.05).each(lambda values: values[0])
    return clip_of_motion("sunk", frames, PlannedPath(LEVEL, torch.rand(5, 3)), FPS)


def test_a_motion_is_a_clip_of_its_path_and_the_same_frames_are_not_kept_twice(humanoid):
    frames, before = (random_clip(humanoid, seed).frames for seed in (1, 2))
    planned = PlannedPath(LEVEL, torch.rand(5, 3))
    clip = clip_of_motion("walk", frames, planned, 24.0, unrefined=before)
    assert clip.frames.same_as(frames) and clip.unrefined is not None and clip.unrefined.same_as(before)
    assert (clip.name, clip.fps, clip.terrain, clip.path_nodes) == ("walk", 24.0, LEVEL, planned.nodes)
    assert clip_of_motion("walk", frames, planned, 24.0).unrefined is None
    assert clip_of_motion("walk", frames, planned, 24.0, unrefined=frames.each(torch.clone)).unrefined is None


def test_a_clip_is_refined_as_its_motion_would_be_in_a_run_and_keeps_what_it_was(humanoid):
    clip = replace(sunk_clip(humanoid), made=making())
    better = refined_clip(clip, humanoid, refiner())
    surface = surface_points(humanoid)
    alone = refiner().refine(batch_of([clip.frames]), laid_end_to_end([LEVEL]), humanoid, surface, FPS)
    assert better.frames.same_as(alone.frames_of(0))
    points = surface.placed(*humanoid.forward_kinematics(better.root_pos, better.root_rot, better.joint_rot))
    assert points[..., 2].amin(-1).abs().max() < 0.005
    assert better.unrefined is not None and better.unrefined.same_as(clip.frames)
    assert better.terrain is LEVEL and better.path_nodes is clip.path_nodes and better.name == clip.name
    assert better.made == making(losses={}), "losses of another motion are not kept"
    again = refined_clip(replace(better, root_pos=better.root_pos + 0.02), humanoid, refiner())
    assert again.unrefined is not None and again.unrefined.same_as(clip.frames), "before the first refinement"


def test_a_clip_that_nothing_is_done_to_is_the_clip(humanoid):
    clip = sunk_clip(humanoid)
    assert refined_clip(clip, humanoid, NoRefinement()) is clip
