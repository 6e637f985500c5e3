"""A frame that is drawn where it changes is the frame that is drawn as a whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from standing_clips import standing_clip

from parc.anim.clip_files import read_clip
from parc.pictures.backdrop import backdrop
from parc.pictures.motion_scene import build_scene, camera_on_motion
from parc.pictures.moving_scene import AROUND, pin_on, still_shapes
from parc.pictures.palette import MOVING_POSE, rgb
from parc.pictures.posed_bodies import body_shapes
from parc.pictures.ray_casting import joined
from parc.pictures.shading import render
from synthetic_clips import random_clip


def agree(clip, character, frames, size=(160, 100), target=None):
    """Compare the pictures of some frames, drawn both ways."""
    scene = build_scene(clip, character, *size)
    camera = camera_on_motion(scene, *size)
    still = still_shapes(scene, camera.pixels_per_metre)
    around = (scene.posed.positions.reshape(-1, 1, 3) + AROUND).reshape(-1, 3)
    ground = backdrop(still, camera, around)
    np.testing.assert_array_equal(ground.picture.shape, (size[1], size[0], 3))
    if target is not None:
        pin = pin_on(np.array(target), camera.pixels_per_metre)
        ground, still = ground.joined_by(pin), joined([still, pin])
    for frame in frames:
        bodies = body_shapes(scene.posed, character, [frame], rgb(MOVING_POSE)[None])
        quick, whole = ground.with_shapes(bodies), render(joined([still, bodies]), camera).colours
        different = np.abs(quick - whole).max(-1) > 0.01
        # The sun's pictures differ a little in their size: a few pixels at the borders of shadows do, too.
        assert different.mean() < 1e-3, f"frame {frame}"
        assert (np.abs(quick - ground.picture).max(-1) > 0.05).sum() > 20, "no body was drawn"


def test_on_level_ground(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(2.6, 4.0), end=(5.4, 4.0))
    agree(clip, humanoid, [0, 10, 23])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_over_rough_ground_that_hides_and_shades_bodies(humanoid, seed):
    agree(random_clip(humanoid, cells=(14, 14), frames=12, seed=seed), humanoid, [0, 6, 11])


def test_with_a_target_that_stands_before_and_behind_the_bodies(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(2.6, 4.0), end=(5.4, 4.0))
    for y in (3.7, 4.3):
        agree(clip, humanoid, [10, 12], target=(4.0, y, 0.0))


def test_bodies_at_the_borders_of_the_picture_and_beyond(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(0.0, 4.0), end=(8.0, 4.0))
    scene = build_scene(clip, humanoid, 480, 320)
    whole = camera_on_motion(scene, 480, 320)
    still = still_shapes(scene, whole.pixels_per_metre)
    around = (scene.posed.positions[12, :, None] + AROUND).reshape(-1, 3)
    column, row, _ = whole.project(scene.posed.positions[12, 0]).astype(int).tolist()
    for rows, columns in (
        (slice(row, row + 70), slice(column, column + 100)),
        (slice(row - 90, row + 10), slice(column - 99, column)),
    ):
        camera = whole.part(rows, columns)
        ground = backdrop(still, camera, around)
        bodies = body_shapes(scene.posed, humanoid, [12], rgb(MOVING_POSE)[None])
        picture = render(joined([still, bodies]), camera).colours
        assert (np.abs(ground.picture - picture).max(-1) > 0.1).mean() > 0.005
        # The sun's picture is coarser here: borders of shadows differ by a pixel, and nothing as wide as three.
        different = np.abs(ground.with_shapes(bodies) - picture).max(-1)
        assert ndimage.minimum_filter(different, size=3).max() < 0.01 and (different > 0.02).mean() < 0.05


def test_a_backdrop_is_left_as_it_was(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(2.6, 4.0), end=(5.4, 4.0))
    scene = build_scene(clip, humanoid, 160, 100)
    camera = camera_on_motion(scene, 160, 100)
    ground = backdrop(still_shapes(scene, camera.pixels_per_metre), camera, scene.posed.positions.reshape(-1, 3))
    before = replace(ground, picture=ground.picture.copy())
    bodies = body_shapes(scene.posed, humanoid, [5], rgb(MOVING_POSE)[None])
    first = ground.with_shapes(bodies)
    ground.joined_by(bodies)
    ground.with_shapes(body_shapes(scene.posed, humanoid, [20], rgb(MOVING_POSE)[None]))
    np.testing.assert_array_equal(ground.picture, before.picture)
    np.testing.assert_array_equal(ground.with_shapes(bodies), first)


@pytest.mark.slow
def test_real_clips(clips_folder, humanoid):
    for path in sorted(clips_folder.glob("*.pkl")):
        clip = read_clip(path, humanoid)
        agree(clip, humanoid, [0, clip.num_frames // 2, clip.num_frames - 1], size=(320, 180))
