"""A clip as BVH: an independent reader finds every body where our forward kinematics has it, after a standing T-pose."""

from dataclasses import replace

import numpy as np
import pybvh
import pytest
import roma
import torch
import trimesh

from parc.anim.character import Body, Character, Geom, JointType
from parc.anim.clip_files import read_clip
from parc.anim.mjcf import CharacterFile
from parc.anim.surface_points import surface_points
from parc.exchange.bvh import bvh_document, euler_angles, write_bvh
from parc.exchange.bvh_file import read_bvh_file
from parc.exchange.y_up import z_up
from synthetic_clips import level_clip, random_clip, random_rotations

CHARACTER = CharacterFile("humanoid.xml")


def in_our_axes(positions):
    """Of positions in centimetres, z forward, x left, y up."""
    return np.asarray(positions)[..., [2, 0, 1]] / 100


def our_positions(clip, character):
    return character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)[0].numpy()


@pytest.fixture(scope="module")
def clip(humanoid):
    return random_clip(humanoid, seed=3, fps=24.0)


@pytest.fixture(scope="module")
def files(clip, tmp_path_factory):
    return write_bvh(tmp_path_factory.mktemp("bvh"), clip, CHARACTER)


def test_an_independent_reader_finds_every_body_where_we_have_it(clip, files, humanoid):
    read = pybvh.read_bvh_file(str(files[-1]))
    assert read.joint_names == humanoid.body_names
    assert read.frame_time == pytest.approx(1 / 24)
    assert np.abs(in_our_axes(read.joint_positions())[1:] - our_positions(clip, humanoid)).max() < 1e-5


def test_bones_end_at_the_top_of_the_head_at_the_toes_and_at_the_far_side_of_the_hands(files, humanoid):
    read = pybvh.read_bvh_file(str(files[-1]))
    first = in_our_axes(read.node_positions())[0]
    tips = {name: first[tip] - first[read.node_index[name]] for name, tip in read.joint_tips.items() if tip is not None}
    assert sorted(tips) == sorted(["head", "left_hand", "right_hand", "left_foot", "right_foot"])
    assert tips["head"] == pytest.approx([0, 0, 0.175 + 0.095], abs=1e-6)
    assert tips["left_hand"] == pytest.approx([0, 0.04, 0], abs=1e-6)
    assert tips["right_foot"] == pytest.approx([0.045 + 0.0885, 0, -0.0225 - 0.0275], abs=1e-6)


def test_the_first_frame_is_a_t_pose_that_stands_on_the_ground_where_the_clip_begins(clip, files, humanoid):
    first = in_our_axes(pybvh.read_bvh_file(str(files[-1])).joint_positions())[0]
    left, right = (first[humanoid.body_index(f"{side}_hand")] for side in ("left", "right"))
    assert left[2] == pytest.approx(right[2], abs=1e-6) and left[1] - right[1] > 1.3
    assert first[0, :2] == pytest.approx(clip.root_pos[0, :2].numpy(), abs=1e-5)
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0])
    root = torch.from_numpy(first[0]).float()
    points = surface_points(humanoid).placed(*humanoid.forward_kinematics(root, upright, upright.expand(14, 4)))
    soles = points[points[:, 2] < points[:, 2].min() + 0.01]
    assert (soles[:, 2] - clip.terrain.heights_at(soles[:, :2])).min() == pytest.approx(0, abs=1e-5)


def test_reading_it_back_gives_the_frames(clip, files, humanoid):
    document = read_bvh_file(files[-1])
    places, rotations = (values[1:].float() for values in document.local_poses())
    assert torch.allclose(z_up(places[:, 0]) / 100, clip.root_pos, atol=1e-6)
    ours = torch.cat([clip.root_rot[:, None], clip.joint_rot], dim=1)
    assert roma.unitquat_geodesic_distance(rotations[..., [2, 0, 1, 3]], ours).max() < 2e-3  # of float32


def test_terrain_lies_beside_it_in_the_same_axes_and_unit(clip, files):
    mesh = trimesh.load_mesh(files[0])
    points = torch.from_numpy(in_our_axes(mesh.triangles_center)).float()
    up = mesh.face_normals[:, 1] > 0.9
    assert up.any()
    assert torch.allclose(points[up, 2], clip.terrain.heights_at(points[up, :2]), atol=1e-5)


def test_real_clips_are_written_as_they_are(clips_folder, tmp_path, humanoid):
    clip = read_clip(clips_folder / "civilization.pkl", humanoid)
    read = pybvh.read_bvh_file(str(write_bvh(tmp_path, clip, CHARACTER)[-1]))
    assert np.abs(in_our_axes(read.joint_positions())[1:] - our_positions(clip, humanoid)).max() < 1e-4


def test_angles_are_continuous_however_far_a_joint_turns():
    angle = torch.linspace(0, 4 * torch.pi, 400, dtype=torch.float64)
    for axis in torch.eye(3, dtype=torch.float64):
        angles = euler_angles(roma.rotvec_to_unitquat(angle[:, None] * axis))
        assert np.abs(np.diff(angles, axis=0)).max() < 2
        assert np.abs(angles[-1]).max() == pytest.approx(720, abs=1e-3)


def test_bodies_that_are_turned_at_rest_keep_their_places(humanoid):
    quarter = (0.5**0.5, 0.0, 0.0, 0.5**0.5)
    still = (0.0, 0.0, 0.0)
    limits = ((-1.0, 1.0),)
    ball = Geom("sphere", still, (0.0, 0.0, 0.0, 1.0), (0.1,))
    character = Character((
        Body("hips and all", -1, still, (0.0, 0.0, 0.0, 1.0), JointType.ROOT, still, (), (ball,)),
        Body("arm", 0, (0.1, 0.2, 0.3), quarter, JointType.SPHERICAL, still, 3 * limits, ()),
        Body("hand", 1, (0.4, 0.0, 0.1), quarter, JointType.HINGE, (0.0, 0.0, 1.0), limits, (ball,)),
    ))  # fmt: skip
    clip = level_clip(humanoid, cells=(4, 4))
    generator = torch.Generator().manual_seed(0)
    rotations = random_rotations(generator, clip.num_frames, 2)
    clip = replace(clip, joint_rot=rotations, contacts=clip.contacts[:, :3])
    document = bvh_document(clip, character)
    assert document.joints[0].name == "hips_and_all"
    assert np.abs(in_our_axes(document.joint_positions())[1:] - our_positions(clip, character)).max() < 1e-5
