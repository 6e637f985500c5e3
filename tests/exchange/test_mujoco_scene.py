"""MuJoCo, given our scene and our joint positions, sees our poses and our ground; and reading positions back gives the clip."""

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import roma
import torch
from arm_character import THREE_HINGES, arm, hinges
from mujoco_kinematics import body_poses, ground_at

from golden_arrays import rotation_distance
from parc.anim.clip_files import read_clip
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.exchange.mujoco_poses import poses_of, qpos_of
from parc.exchange.mujoco_scene import FIRST_FRAME, scene_spec, write_mujoco
from synthetic_clips import random_clip, random_rotations

HUMANOID = CharacterFile("humanoid.xml")


def arm_clip(character, seed=0, **changes):
    return replace(random_clip(character, seed, frames=30), **changes)


@pytest.mark.parametrize("name", ["TEASER_TERRAIN", "civilization", "dec2024_teaser_717_1_modified_opt",
                                  "dec2024_teaser_717_1_opt_dm", "sfu"])  # fmt: skip
def test_mujoco_sees_the_poses_and_the_ground_of_a_real_clip(clips_folder, humanoid, tmp_path, name):
    clip = read_clip(clips_folder / f"{name}.pkl", humanoid)
    motion, scene = write_mujoco(tmp_path, clip, HUMANOID)
    assert [motion.name, scene.name] == [f"{name}.npz", f"{name}.xml"]
    model = mujoco.MjModel.from_xml_string(scene.read_text())  # no other file is needed
    with np.load(motion) as archive:
        qpos, fps = archive["qpos"], float(archive["fps"])
        bodies, joints = archive["body_names"].tolist(), archive["joint_names"].tolist()
    assert qpos.shape == (clip.num_frames, model.nq)
    assert fps == clip.fps
    assert bodies == humanoid.body_names == [model.body(body).name for body in range(1, model.nbody)]
    assert joints == [model.joint(joint).name for joint in range(model.njnt)]
    body_pos, body_rot = body_poses(model, qpos)
    expected_pos, expected_rot = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    torch.testing.assert_close(body_pos, expected_pos, atol=1e-5, rtol=0)
    assert rotation_distance(body_rot, expected_rot).max() < 1e-5
    root_pos, root_rot, joint_rot = poses_of(model, humanoid, qpos)
    assert torch.equal(root_pos, clip.root_pos)
    assert rotation_distance(root_rot, clip.root_rot).max() < 1e-6
    assert rotation_distance(joint_rot, clip.joint_rot).max() < 2e-6
    places = body_pos[::10, :, :2].reshape(-1, 2)
    places = torch.cat([places - 1.4, places, places + 1.4])
    cells = (places - clip.terrain.min_point) / clip.terrain.cell_size
    places = places[((cells - cells.floor() - 0.5).abs() > 1e-3).all(-1)]
    above = float(clip.terrain.heights.max()) + 1
    torch.testing.assert_close(ground_at(model, places, above), clip.terrain.heights_at(places), atol=1e-4, rtol=0)
    np.testing.assert_allclose(model.key(FIRST_FRAME).qpos, qpos[0], atol=1e-4)


@pytest.mark.parametrize("joints", [*map(hinges, THREE_HINGES), '<joint name="ball" type="ball"/>'])
@pytest.mark.parametrize("root", ["<freejoint/>", ""])
def test_joints_of_any_kind_have_the_rotations_of_the_clip(tmp_path, joints, root):
    file = arm(tmp_path, joints, root)
    character = file.read()
    generator = torch.Generator().manual_seed(5)
    clip = arm_clip(character)
    turned = random_rotations(generator, clip.num_frames)
    # Slow and fast turns, with the hand on its hinge.
    joint_rot = torch.stack([turned, clip.joint_rot[:, 1]], dim=1)
    model = scene_spec(file, clip.terrain, clip.root_pos[:, :2]).compile()
    for rotations in (clip.joint_rot, joint_rot):
        qpos = qpos_of(model, character, clip.root_pos, clip.root_rot, rotations)
        body_pos, body_rot = body_poses(model, qpos)
        expected_pos, expected_rot = character.forward_kinematics(clip.root_pos, clip.root_rot, rotations)
        torch.testing.assert_close(body_pos, expected_pos, atol=1e-5, rtol=0)
        assert rotation_distance(body_rot, expected_rot).max() < 1e-5
        again = poses_of(model, character, np.stack([qpos, qpos]))
        for values, expected in zip(again, (clip.root_pos, clip.root_rot, rotations), strict=True):
            assert values.shape == (2, *expected.shape)
            torch.testing.assert_close(values[1].abs(), expected.abs(), atol=2e-6, rtol=0)
        assert rotation_distance(again[2][0], rotations).max() < 2e-6


@pytest.mark.parametrize("axes", THREE_HINGES)
def test_angles_follow_a_joint_that_turns_on_and_on_and_over_the_top(tmp_path, axes):
    file = arm(tmp_path, hinges(axes))
    character = file.read()
    model = scene_spec(file, random_clip(character).terrain, torch.zeros(1, 2)).compile()
    frame = np.arange(120)
    # Several turns of the outer two; the one between passes a quarter turn up and down, where the other triple is canonical.
    angles = np.stack([0.2 * frame, 2.2 * np.sin(0.23 * frame + 0.1), 0.3 - 0.15 * frame], axis=1)
    qpos = np.tile(model.qpos0, (len(frame), 1))
    qpos[:, 7:10] += angles
    qpos[:, 10] += 0.2 * frame
    again = qpos_of(model, character, *poses_of(model, character, qpos))
    np.testing.assert_allclose(again, qpos, atol=2e-3)  # single precision, near a quarter turn


def test_a_joint_at_gimbal_lock_keeps_its_third_angle_and_its_rotation(humanoid):
    spec = scene_spec(HUMANOID, random_clip(humanoid).terrain, torch.zeros(1, 2))
    model = spec.compile()
    torso = slice(7, 10)
    for quarter in (math.pi / 2, -math.pi / 2):
        qpos = np.tile(model.qpos0, (40, 1))
        second = quarter * np.concatenate([np.linspace(0.5, 1, 15), np.ones(10), np.linspace(1, 0.5, 15)])
        qpos[:, torso] = np.stack([np.full(40, 0.4), second, np.full(40, -0.3)], axis=1)
        poses = poses_of(model, humanoid, qpos)
        again = qpos_of(model, humanoid, *poses)
        assert rotation_distance(poses_of(model, humanoid, again)[2], poses[2]).max() < 2e-6
    exact = torch.zeros(3, 3, dtype=torch.float64)
    exact[:, 0], exact[:, 2] = 0.4, torch.tensor([-0.3, 0, 0])
    exact[:, 1] = torch.tensor([1.0, math.pi / 2, math.pi / 2])
    poses = qpos_to_torso(humanoid, exact)
    angles = qpos_of(model, humanoid, torch.zeros(3, 3), identity(3), poses)[:, torso]
    np.testing.assert_allclose(angles[1:, 2], angles[0, 2], atol=1e-6)
    np.testing.assert_allclose(angles[1:, 0] + angles[1:, 2], 0.4, atol=1e-6)


def identity(*shape):
    return torch.tensor([0.0, 0, 0, 1]).expand(*shape, 4)


def qpos_to_torso(humanoid, angles):
    """Return double-precision joint rotations whose first joint has intrinsic X Y Z angles."""
    turned = roma.quat_composition(
        [roma.rotvec_to_unitquat(angles[:, [k]] * torch.eye(3).double()[k]) for k in range(3)]
    )
    others = identity(len(angles), humanoid.num_joints - 1).double()
    return torch.cat([turned[:, None], others], dim=1)


def test_the_scene_is_the_character_on_the_ground_and_nothing_else(tmp_path):
    file = arm(tmp_path, hinges(THREE_HINGES[0]))
    clip = arm_clip(file.read(), name="a <clip> & more")
    _, scene = write_mujoco(tmp_path, clip, file)
    model = mujoco.MjModel.from_xml_string(scene.read_text())
    assert (model.ntex, model.nmat, model.nlight, model.nkey) == (0, 0, 1, 1)
    in_world = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] == 0]
    assert all(model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX for geom in in_world)
    assert all(model.geom(geom).name.startswith("terrain ") for geom in in_world)
    assert model.ngeom == len(in_world) + 3


def test_hinges_that_are_not_at_right_angles_are_refused_in_one_line(tmp_path):
    file = arm(tmp_path, hinges(("1 0 0", "0 1 0", "0 1 1")))
    clip = arm_clip(file.read())
    with pytest.raises(UserError, match=r"hinges of body 'arm' .* expected axes at right angles") as refusal:
        write_mujoco(tmp_path, clip, file)
    assert "\n" not in str(refusal.value)
