"""The ground near a motion, the bodies on it, and what hides what."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from standing_clips import CELL, standing_clip

from parc.anim.clip_files import read_clip
from parc.pictures.camera import camera_around, view_axes
from parc.pictures.motion_scene import MotionScene, _share_seen, build_scene, camera_on_motion, render_scene
from parc.pictures.palette import PATH_NODES, rgb
from parc.pictures.posed_bodies import (
    FIRST_BODY_GROUP,
    PATH_NODES_GROUP,
    frames_apart,
    frames_spread_over,
    pose_bodies,
)
from parc.pictures.ray_casting import Kind, cast_rays
from parc.pictures.terrain_blocks import DEEPEST, MARGIN, block_shapes, blocks_near
from parc.terrain.heightfield import Heightfield

FROM_MINUS_Y = view_axes(-math.pi / 2, math.radians(20))
FROM_PLUS_Y = view_axes(math.pi / 2, math.radians(20))


def seen_from(scene: MotionScene, axes, frames, width=240, height=240):
    turned = replace(scene, axes=axes)
    camera = camera_on_motion(turned, width, height)
    return camera, render_scene(turned, camera, frames)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.4]))
def test_from_above_every_drawn_cell_is_seen_at_its_own_height(seed, cell_size):
    generator = torch.Generator().manual_seed(seed)
    heights = torch.rand(9, 7, generator=generator) * 2
    min_point = torch.rand(2, generator=generator) * 10 - 5
    points = np.append((min_point + cell_size * 3).double().numpy(), 1.0)[None]
    blocks = blocks_near(Heightfield(heights, min_point, cell_size), points)
    shapes = block_shapes(blocks)
    rows, columns = np.nonzero(blocks.drawn)
    centres = blocks.min_point + np.stack([rows, columns], axis=1) * cell_size
    tops = np.concatenate([centres, blocks.tops[rows, columns][:, None]], axis=1)
    camera = camera_around(tops, view_axes(0.0, math.pi / 2), 150, 150, margin=cell_size)
    hits = cast_rays(shapes, camera)
    pixels = camera.project(tops)
    at = (pixels[:, 1].astype(int), pixels[:, 0].astype(int))
    np.testing.assert_allclose(hits.nearness[at], blocks.tops[rows, columns], atol=1e-6)
    assert (shapes.groups[hits.shapes[at]] == rows * 7 + columns).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.2, 1.4))
def test_blocks_are_closed_so_that_no_gap_shows_inside_their_outline(seed, azimuth, elevation):
    heights = torch.rand(4, 4, generator=torch.Generator().manual_seed(seed))
    points = np.array([[0.6, 0.6, 0.9]])
    shapes = block_shapes(blocks_near(Heightfield(heights, torch.zeros(2), CELL), points))
    camera = camera_around(shapes.corners, view_axes(azimuth, elevation), 120, 120)
    hit = cast_rays(shapes, camera).shapes >= 0
    for column in hit.T:  # all 16 blocks reach down to one level: seen from above, a column of pixels has no hole
        rows = np.nonzero(column)[0]
        assert len(rows) == 0 or column[rows[0] : rows[-1] + 1].all()


def test_only_the_ground_near_the_motion_is_drawn():
    heights = torch.zeros(60, 60)
    points = np.array([[8.0, 8.0, 1.0], [10.0, 8.0, 1.0]])
    drawn = blocks_near(Heightfield(heights, torch.zeros(2), CELL), points).drawn
    centres = np.argwhere(drawn) * CELL
    distances = np.linalg.norm(centres[:, None] - points[None, :, :2], axis=-1).min(1)
    assert distances.max() <= MARGIN + CELL / 2 + 1e-9
    far = np.argwhere(~drawn) * CELL
    assert np.linalg.norm(far[:, None] - points[None, :, :2], axis=-1).min() >= MARGIN
    assert 40 < drawn.sum() < 120


def test_pits_are_cut_off_below_the_motion():
    heights = torch.zeros(12, 12)
    heights[5, 5] = -12.0
    blocks = blocks_near(Heightfield(heights, torch.zeros(2), CELL), np.array([[2.0, 2.0, 0.05]]))
    assert blocks.is_pit.sum() == 1 and blocks.is_pit[5, 5]
    assert blocks.tops[5, 5] == pytest.approx(0.05 - DEEPEST)


def test_a_column_hides_the_body_behind_it_and_not_the_one_in_front(humanoid):
    heights = torch.zeros(20, 20)
    heights[:, 8] = 6.0  # a wall at y = 3.2
    behind = standing_clip(humanoid, heights, start=(3.6, 4.4), end=(4.4, 4.4))
    scene = build_scene(behind, humanoid, 300, 200)
    assert (seen_from(scene, FROM_MINUS_Y, [0])[1].kinds != Kind.BODY).all()
    seen = (seen_from(scene, FROM_PLUS_Y, [0])[1].kinds == Kind.BODY).sum()
    open_ground = build_scene(
        standing_clip(humanoid, 0 * heights, start=(3.6, 4.4), end=(4.4, 4.4)), humanoid, 300, 200
    )
    camera, rendering = seen_from(open_ground, FROM_PLUS_Y, [0])
    walled, _ = seen_from(scene, FROM_PLUS_Y, [0])
    expected = (rendering.kinds == Kind.BODY).sum() * (walled.pixels_per_metre / camera.pixels_per_metre) ** 2
    assert seen == pytest.approx(expected, rel=0.1)


def test_a_low_block_hides_the_feet_and_leaves_the_head(humanoid):
    heights = torch.zeros(20, 20)
    heights[:, 9] = 0.7  # a bench just before the body, at y = 3.6
    clip = standing_clip(humanoid, heights, start=(3.6, 4.0), end=(4.4, 4.0))
    _, rendering = seen_from(build_scene(clip, humanoid, 300, 200), FROM_MINUS_Y, [0])
    groups = set(np.unique(rendering.groups))
    of = {name: FIRST_BODY_GROUP + index for index, name in enumerate(humanoid.body_names)}
    assert of["head"] in groups and of["torso"] in groups
    assert of["left_foot"] not in groups and of["right_foot"] not in groups


def test_the_chosen_side_does_not_look_through_a_wall(humanoid):
    heights = torch.zeros(20, 20)
    heights[:, 8] = 6.0
    for y, away in ((4.4, 1.0), (2.0, -1.0)):
        clip = standing_clip(humanoid, heights, start=(3.0, y), end=(5.0, y))
        scene = build_scene(clip, humanoid, 300, 200)
        assert scene.axes[2, 1] * away > 0
        assert _share_seen(scene.posed.positions, scene.ground, scene.axes).min() == 1


def test_each_body_is_drawn_where_it_is(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(2.6, 4.0), end=(5.4, 4.0))
    scene = build_scene(clip, humanoid, 600, 300)
    frames = [0, 23]
    camera, rendering = seen_from(scene, FROM_MINUS_Y, frames, 600, 300)
    for frame in frames:
        for name, centre in (("head", (0, 0, 0.175)), ("right_hand", (0, 0, 0)), ("pelvis", (0, 0, 0.07))):
            body = humanoid.body_index(name)
            place = scene.posed.positions[frame, body] + np.array(centre)  # every rotation is the identity
            column, row, _ = camera.project(place)
            group = FIRST_BODY_GROUP + frame * humanoid.num_bodies + body
            assert rendering.groups[int(row), int(column)] == group
        head = FIRST_BODY_GROUP + frame * humanoid.num_bodies + humanoid.body_index("head")
        area = (rendering.groups == head).sum() / camera.pixels_per_metre**2
        assert area == pytest.approx(math.pi * 0.095**2, rel=0.15)


def test_bodies_in_contact_have_the_contact_colour(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(3.6, 4.0), end=(4.4, 4.0))
    _, rendering = seen_from(build_scene(clip, humanoid, 600, 400), view_axes(0.0, 0.5), [0], 600, 400)
    group = FIRST_BODY_GROUP + np.arange(humanoid.num_bodies)
    red, _, blue = rendering.colours[rendering.groups == group[humanoid.body_index("left_foot")]].mean(0)
    assert red > 2 * blue
    red, _, blue = rendering.colours[rendering.groups == group[humanoid.body_index("right_foot")]].mean(0)
    assert blue > red


def test_the_root_path_is_drawn_and_casts_no_outline(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(2.0, 4.0), end=(6.0, 4.0))
    scene = build_scene(clip, humanoid, 600, 300)
    camera, rendering = seen_from(scene, FROM_MINUS_Y, [0, 23], 600, 300)
    column, row, _ = camera.project(scene.posed.positions[12, 0])
    assert rendering.kinds[int(row), int(column)] == Kind.PATH


def nodes_seen(scene: MotionScene, nodes: list[list[float]]) -> list[bool]:
    """Say which places (x, y, z, metres) show a node of the path to follow, seen from above."""
    camera, rendering = seen_from(scene, view_axes(0.0, math.pi / 2), [0], 600, 600)
    columns, rows, _ = camera.project(np.array(nodes)).T.astype(int)
    inside = (rows >= 0) & (rows < 600) & (columns >= 0) & (columns < 600)
    groups = rendering.groups[rows.clip(0, 599), columns.clip(0, 599)]
    return (inside & (groups == PATH_NODES_GROUP)).tolist()


def test_nodes_of_the_path_to_follow_are_drawn_where_they_are_on_the_ground_that_is_drawn(humanoid):
    heights = torch.zeros(20, 20)
    heights[10, 12], heights[8, 12] = 0.4, -9.0  # a block, and a pit that is cut off
    clip = standing_clip(humanoid, heights, start=(3.0, 4.0), end=(5.0, 4.0))
    corner = torch.tensor([10.0, -7.0, 0.0])
    clip = replace(clip, root_pos=clip.root_pos + corner, terrain=replace(clip.terrain, min_point=corner[:2]))
    nodes = [
        [12.4, -2.4, 0.0],
        [13.2, -2.2, -9.0],
        [14.0, -2.2, 0.4],
        [14.8, -2.2, 0.0],
        [17.6, 0.6, 0.0],
        [7.0, -3.0, 0.0],
    ]
    scene = build_scene(replace(clip, path_nodes=torch.tensor(nodes)), humanoid, 600, 300)
    assert nodes_seen(scene, nodes) == [True, True, True, True, False, False]
    assert not any(nodes_seen(scene, [[13.6, -2.2, 0.0], [12.4, -3.6, 0.0]]))
    torch.testing.assert_close(torch.tensor(scene.nodes[[0, 2, 3]]).float(), torch.tensor(nodes)[[0, 2, 3]])
    assert scene.nodes[1, 2] == pytest.approx(scene.blocks.floor) and scene.blocks.floor > -1
    without = build_scene(clip, humanoid, 600, 300)
    assert len(without.nodes) == 0 and not any(nodes_seen(without, nodes))


def test_nodes_have_a_colour_of_their_own(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(3.0, 4.0), end=(5.0, 4.0))
    clip = replace(clip, path_nodes=torch.tensor([[4.0, 4.8, 0.0]]))
    _, rendering = seen_from(build_scene(clip, humanoid, 600, 300), FROM_PLUS_Y, [0], 600, 300)
    colour = rendering.colours[rendering.groups == PATH_NODES_GROUP].mean(0)
    np.testing.assert_allclose(colour / colour.max(), rgb(PATH_NODES) / rgb(PATH_NODES).max(), atol=0.15)


def test_bodies_darken_the_ground_they_stand_on(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(3.6, 4.0), end=(4.4, 4.0))
    scene = build_scene(clip, humanoid, 300, 200)
    _, with_body = seen_from(scene, FROM_MINUS_Y, [0])
    _, without = seen_from(scene, FROM_MINUS_Y, [23])
    bodies = (with_body.kinds == Kind.BODY) | (without.kinds == Kind.BODY)
    ground = (with_body.kinds == Kind.TERRAIN) & ~ndimage.binary_dilation(bodies, iterations=2)  # without outlines
    darker = (without.colours - with_body.colours)[ground].mean(-1) > 0.1
    assert 20 < darker.sum() < 0.3 * ground.sum()


def test_poses_are_spread_over_time_and_drawn_apart(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(2.0, 4.0), end=(5.0, 4.0), frames=31)
    frames = frames_spread_over(clip, 7)
    assert frames.tolist() == [0, 5, 10, 15, 20, 25, 30]
    assert frames_spread_over(clip, 99).tolist() == list(range(31))
    kept = frames_apart(pose_bodies(clip, humanoid), FROM_MINUS_Y, frames, distance=0.9)
    assert kept[0] == 0 and kept[-1] == 30  # 3 m in all: a pose every 0.5 m, of which every other one is kept
    assert kept == [0, 10, 20, 30]
    standing = standing_clip(humanoid, torch.zeros(20, 20), start=(2.0, 4.0), end=(2.0, 4.0))
    assert frames_apart(pose_bodies(standing, humanoid), FROM_MINUS_Y, np.arange(24), distance=0.5) == [0]


def test_real_clips_are_seen_from_a_side_that_hides_little_of_them(clips_folder, humanoid):
    for path in sorted(clips_folder.glob("*.pkl")):
        scene = build_scene(read_clip(path, humanoid), humanoid, 800, 300)
        seen = _share_seen(scene.posed.positions, scene.ground, scene.axes)
        assert seen.min() >= 0.6 and seen.mean() >= 0.9, path.stem
        camera = camera_on_motion(scene, 800, 300)
        pixels = camera.project(scene.posed.positions)
        assert (pixels[..., 0] > 0).all() and (pixels[..., 0] < 800).all()
        assert (pixels[..., 1] > 0).all() and (pixels[..., 1] < 300).all()
