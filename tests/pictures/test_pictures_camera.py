"""The orthographic camera."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from parc.pictures.camera import axes_facing, camera_around, view_axes

azimuths = st.floats(-math.pi, math.pi)
elevations = st.floats(-1.5, 1.5)
clouds = arrays(float, (6, 3), elements=st.floats(-20, 20))


@given(azimuths, elevations)
def test_axes_are_right_handed_and_level(azimuth, elevation):
    axes = view_axes(azimuth, elevation)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(axes[0], axes[1]), axes[2], atol=1e-12)
    assert axes[0, 2] == 0 and axes[1, 2] > 0


@given(azimuths, elevations)
def test_axes_facing_a_direction_look_back_from_it(azimuth, elevation):
    towards = view_axes(azimuth, elevation)[2]
    np.testing.assert_allclose(axes_facing(3 * towards)[2], towards, atol=1e-9)


@given(azimuths, elevations, clouds)
def test_unproject_undoes_project(azimuth, elevation, points):
    camera = camera_around(points, view_axes(azimuth, elevation), 300, 200, margin=0.5)
    np.testing.assert_allclose(camera.unproject(camera.project(points)), points, atol=1e-8)


@given(azimuths, elevations, clouds)
def test_the_camera_around_points_holds_them_all_and_wastes_nothing(azimuth, elevation, points):
    camera = camera_around(points, view_axes(azimuth, elevation), 300, 200, margin=0.5)
    pixels = camera.project(points)[:, :2]
    margin = 0.5 * camera.pixels_per_metre
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    free = np.stack([low, np.array([300, 200]) - high])
    assert (free >= margin - 1e-6).all()
    np.testing.assert_allclose(free.min(), margin, rtol=1e-6)


def test_what_is_higher_is_drawn_higher_and_what_is_nearer_counts_as_nearer():
    axes = view_axes(-math.pi / 2, math.radians(30))  # from -y
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 0, 1], [0, -1, 0]])
    camera = camera_around(points, axes, 200, 200)
    origin, right, above, nearer = camera.project(points)
    assert right[0] - origin[0] == pytest.approx(camera.pixels_per_metre)
    assert origin[1] - above[1] == pytest.approx(camera.pixels_per_metre * math.cos(math.radians(30)))
    assert nearer[2] - origin[2] == pytest.approx(math.cos(math.radians(30)))
    assert nearer[1] > origin[1]
