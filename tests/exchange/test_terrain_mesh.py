"""The mesh of a terrain is its columns: same heights, closed, facing outward, few rectangles."""

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.exchange.terrain_mesh import THICKNESS, terrain_mesh
from parc.terrain.heightfield import Heightfield

LOW = torch.tensor([-1.3, 2.1])


def terrain_of(heights, cell_size=0.4):
    return Heightfield(torch.tensor(heights, dtype=torch.float32), LOW, cell_size)


@st.composite
def few_heights(draw):
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    levels = st.sampled_from([-1.0, 0.0, 0.25, 2.0])
    return draw(st.lists(st.lists(levels, min_size=columns, max_size=columns), min_size=rows, max_size=rows))


@settings(deadline=None, max_examples=60)
@given(few_heights())
def test_the_surface_encloses_the_columns(heights):
    mesh = terrain_mesh(terrain_of(heights))
    above_floor = np.array(heights) - np.min(heights) + THICKNESS
    # The volume of a closed surface whose faces look outward, by the divergence theorem; a hole or a turned face changes it.
    assert mesh.volume == pytest.approx(above_floor.sum() * 0.4**2, rel=1e-5)
    assert np.abs((mesh.face_normals * mesh.area_faces[:, None]).sum(axis=0)).max() < 1e-5


@settings(deadline=None, max_examples=30)
@given(few_heights())
def test_every_top_is_where_the_heightfield_has_it(heights):
    terrain = terrain_of(heights)
    rows, columns = np.indices(terrain.heights.shape).reshape(2, -1)
    generator = np.random.default_rng(0)
    places = np.stack([rows, columns], axis=1) + generator.uniform(-0.45, 0.45, (len(rows), 2))
    places = LOW.numpy() + places * terrain.cell_size
    mesh = terrain_mesh(terrain)
    tops = mesh.triangles[mesh.face_normals[:, 2] > 0.5]
    seen_from_above = tops * np.array([1.0, 1.0, 0.0])
    for place, height in zip(places, terrain.heights_at(torch.from_numpy(places).float()).tolist(), strict=True):
        shares = trimesh.triangles.points_to_barycentric(seen_from_above, np.tile([*place, 0.0], (len(tops), 1)))
        below = tops[(shares > -1e-9).all(axis=1)]
        assert len(below) in (1, 2)  # two where the place is on a diagonal
        assert np.abs(below[:, :, 2] - height).max() < 1e-6


def test_level_ground_is_six_rectangles():
    assert len(terrain_mesh(terrain_of(np.zeros((30, 40)))).faces) == 2 * 6


def test_a_ledge_along_y_takes_no_more_rectangles_however_long_it_is():
    short, long = np.zeros((6, 4)), np.zeros((6, 40))
    short[3:], long[3:] = 1.0, 1.0
    assert len(terrain_mesh(terrain_of(short)).faces) == len(terrain_mesh(terrain_of(long)).faces)
    assert len(terrain_mesh(terrain_of(long.T)).faces) == len(terrain_mesh(terrain_of(long)).faces)
