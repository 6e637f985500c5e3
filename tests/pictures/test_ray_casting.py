"""What is seen at each pixel, against geometry worked out another way."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from parc.pictures.camera import camera_around, view_axes
from parc.pictures.ray_casting import Kind, Shapes, cast_rays, joined

azimuths = st.floats(-math.pi, math.pi)
elevations = st.floats(-1.2, 1.5)
places = arrays(float, 3, elements=st.floats(-1, 1))


def capsule(start, end, radius, group=0) -> Shapes:
    return Shapes(
        np.zeros((0, 3)),
        np.zeros((0, 2, 3)),
        np.array([start], float),
        np.array([end], float),
        np.array([radius], float),
        np.ones((1, 3)),
        np.array([int(Kind.BODY)]),
        np.array([group]),
    )


def face(corner, side_a, side_b, group=0) -> Shapes:
    return Shapes(
        np.array([corner], float),
        np.array([[side_a, side_b]], float),
        np.zeros((0, 3)),
        np.zeros((0, 3)),
        np.zeros(0),
        np.ones((1, 3)),
        np.array([int(Kind.TERRAIN)]),
        np.array([group]),
    )


def distance_from_segment(points, start, end):
    way = end - start
    share = ((points - start) @ way / max(way @ way, 1e-18)).clip(0, 1)
    return np.linalg.norm(points - start - share[..., None] * way, axis=-1)


def pixel_centres(camera, nearness):
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    return np.stack([columns, rows, nearness], axis=-1)


@settings(max_examples=60, deadline=None)
@given(azimuths, elevations, places, places, st.floats(0.05, 0.5))
def test_a_capsule_fills_its_outline_and_its_surface_is_a_radius_from_its_axis(azimuth, elevation, start, end, radius):
    axes = view_axes(azimuth, elevation)
    camera = camera_around(np.stack([start, end]), axes, 60, 60, margin=radius + 0.1)
    hits = cast_rays(capsule(start, end, radius), camera)
    # Seen from far away, a capsule is the stadium around its projected axis.
    on_picture = pixel_centres(camera, np.zeros((60, 60)))
    flat = [np.append((axes @ end_point)[:2], 0.0) for end_point in (start, end)]
    plane = camera.unproject(on_picture) @ axes.T
    outside = distance_from_segment(plane, *flat) - radius
    hit = hits.shapes == 0
    assert hit[outside < -1e-6].all() and not hit[outside > 1e-6].any()
    points = camera.unproject(pixel_centres(camera, np.where(hit, hits.nearness, 0)))[hit]
    np.testing.assert_allclose(distance_from_segment(points, start, end), radius, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(hits.normals[hit], axis=-1), 1, atol=1e-4)
    # The surface seen is the one that faces the viewer.
    assert (hits.normals[hit] @ axes[2] > -1e-4).all()
    np.testing.assert_allclose(distance_from_segment(points - radius * hits.normals[hit], start, end), 0, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(azimuths, st.floats(0.2, 1.5), arrays(float, (2, 2), elements=st.floats(-1, 1)), st.floats(-1, 1))
def test_a_level_face_is_seen_at_its_height_from_above_and_not_from_below(azimuth, elevation, sides, height):
    area = np.linalg.det(sides)
    if abs(area) < 0.05:
        return
    if area < 0:
        sides = sides[::-1]
    side_a, side_b = (np.append(side, 0.0) for side in sides)
    corner = np.array([0.3, -0.2, height])
    corners = corner + np.array([0 * side_a, side_a, side_b, side_a + side_b])
    camera = camera_around(corners, view_axes(azimuth, elevation), 80, 80, margin=0.1)
    hits = cast_rays(face(corner, side_a, side_b), camera)
    hit = hits.shapes == 0
    points = camera.unproject(pixel_centres(camera, np.where(hit, hits.nearness, 0)))[hit]
    np.testing.assert_allclose(points[:, 2], height, atol=1e-9)
    drawn = hit.sum() / camera.pixels_per_metre**2
    border = 2 * (np.linalg.norm(side_a) + np.linalg.norm(side_b)) / camera.pixels_per_metre
    assert drawn == pytest.approx(abs(area) * math.sin(elevation), abs=border)
    below = camera_around(corners, view_axes(azimuth, -elevation), 80, 80, margin=0.1)
    assert (cast_rays(face(corner, side_a, side_b), below).shapes == -1).all()


@pytest.mark.parametrize("first", [0, 1])
def test_the_nearer_of_two_shapes_is_seen_whichever_comes_first(first):
    near, far = capsule([0, -2, 0], [0, -2, 0], 0.5, group=7), capsule([0, 2, 0], [0, 2, 0], 0.5, group=8)
    shapes = joined([near, far] if first == 0 else [far, near])
    camera = camera_around(np.zeros((1, 3)), view_axes(-math.pi / 2, 0.0), 41, 41, margin=1.0)
    hits = cast_rays(shapes, camera)
    assert set(shapes.groups[hits.shapes[hits.shapes >= 0]]) == {7}
    assert hits.nearness[20, 20] == pytest.approx(2.5)


def test_a_ball_sunk_into_the_ground_shows_its_upper_part_only():
    ground, ball = face([-1, -1, 0], [2, 0, 0], [0, 2, 0], group=1), capsule([0, 0, 0.1], [0, 0, 0.1], 0.3, group=2)
    shapes = joined([ball, ground])
    camera = camera_around(np.array([[-1.0, -1, 0], [1, 1, 0]]), view_axes(0.0, math.radians(30)), 200, 200)
    hits = cast_rays(shapes, camera)
    on_ball = (shapes.groups[hits.shapes] == 2) & (hits.shapes >= 0)
    heights = camera.unproject(pixel_centres(camera, np.where(on_ball, hits.nearness, 0)))[on_ball][:, 2]
    assert -1e-9 < heights.min() < 0.02 and heights.max() == pytest.approx(0.4, abs=0.002)
    whole = cast_rays(ball, camera).shapes >= 0
    assert on_ball[whole].mean() < 0.95 and not on_ball[~whole].any()


def test_joining_keeps_every_shape_its_colour_kind_and_group():
    parts = [
        joined([capsule([0, 0, 0], [1, 0, 0], 0.1, group=3), face([0, 0, 0], [1, 0, 0], [0, 1, 0], group=4)]),
        joined([face([5, 0, 0], [1, 0, 0], [0, 1, 0], group=5), capsule([6, 0, 0], [7, 0, 0], 0.2, group=6)]),
    ]
    shapes = joined(parts)
    assert shapes.groups.tolist() == [4, 5, 3, 6]
    assert shapes.kinds.tolist() == [Kind.TERRAIN, Kind.TERRAIN, Kind.BODY, Kind.BODY]
    assert shapes.corners[:, 0].tolist() == [0, 5] and shapes.radii.tolist() == [0.1, 0.2]
