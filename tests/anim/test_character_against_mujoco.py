"""Forward kinematics and DOFs against MuJoCo's own, on random poses, and the gradients of both."""

import math

import mujoco
import numpy as np
import pytest
import roma
import torch
from scipy.spatial.transform import Rotation

from golden_arrays import rotation_distance
from parc.anim.character import Character, JointType
from parc.anim.mjcf import SHIPPED_CHARACTERS
from synthetic_clips import random_rotations

MODEL = mujoco.MjModel.from_xml_path(str(SHIPPED_CHARACTERS / "humanoid.xml"))


def mujoco_kinematics(character, root_pos, root_rot, dofs):
    """Return body positions and rotations (x, y, z, w) by MuJoCo, whose three hinges turn one after the other."""
    positions, rotations = [], []
    data = mujoco.MjData(MODEL)
    for pose in range(len(dofs)):
        data.qpos[:3] = root_pos[pose]
        data.qpos[3:7] = root_rot[pose, [3, 0, 1, 2]]
        for body in range(1, character.num_bodies):
            first = MODEL.jnt_qposadr[MODEL.body_jntadr[body + 1]]
            own = dofs[pose, character.first_dofs[body] :]
            if character.bodies[body].joint is JointType.SPHERICAL:
                # Hinges about x, then y, then z of the frame turned so far: intrinsic Euler angles.
                data.qpos[first : first + 3] = Rotation.from_rotvec(own[:3].numpy()).as_euler("XYZ")
            elif character.bodies[body].joint is JointType.HINGE:
                data.qpos[first] = own[0]
        mujoco.mj_kinematics(MODEL, data)
        positions.append(data.xpos[1:].copy())
        rotations.append(data.xquat[1:, [1, 2, 3, 0]].copy())
    return torch.from_numpy(np.stack(positions)).float(), torch.from_numpy(np.stack(rotations)).float()


def poses_of(kind: str, count: int, num_dofs: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(kind))
    uniform = 2 * torch.rand(count, num_dofs, generator=generator) - 1
    return {
        "at rest": torch.zeros(count, num_dofs),
        "tiny": 1e-7 * uniform,
        "small": 1e-3 * uniform,
        "within reach": 1.7 * uniform,  # spherical joints turn by up to 1.7 sqrt(3) = 2.9 radians
        "half turns": torch.zeros(count, num_dofs),
    }[kind]


@pytest.mark.parametrize("kind", ["at rest", "tiny", "small", "within reach", "half turns"])
def test_forward_kinematics_agrees_with_mujoco(humanoid, kind):
    dofs = poses_of(kind, 40, humanoid.num_dofs)
    if kind == "half turns":
        for body in range(1, humanoid.num_bodies):
            first = humanoid.first_dofs[body]
            if humanoid.bodies[body].joint is JointType.SPHERICAL:
                for pose in range(40):
                    dofs[pose, first + (pose + body) % 3] = math.pi
            elif humanoid.bodies[body].joint is JointType.HINGE:
                dofs[:, first] = math.pi
    generator = torch.Generator().manual_seed(1)
    root_pos, root_rot = torch.randn(40, 3, generator=generator) * 5, random_rotations(generator, 40)
    joint_rot = humanoid.rotations_from_dofs(dofs)
    body_pos, body_rot = humanoid.forward_kinematics(root_pos, root_rot, joint_rot)
    expected_pos, expected_rot = mujoco_kinematics(humanoid, root_pos, root_rot, dofs)
    torch.testing.assert_close(body_pos, expected_pos, atol=2e-5, rtol=1e-5)
    assert rotation_distance(body_rot, expected_rot).max() < 5e-6
    # And back: the same rotations, and the same DOFs where a rotation has but one.
    back = humanoid.dofs_from_rotations(joint_rot)
    assert rotation_distance(humanoid.rotations_from_dofs(back), joint_rot).max() < 5e-6
    if kind != "half turns":
        torch.testing.assert_close(back, dofs, atol=1e-5, rtol=1e-5)


def test_every_dof_turns_its_own_body_in_the_direction_of_mujocos_hinge(humanoid):
    """One DOF at a time: MuJoCo's qpos and ours are the same numbers, so no conversion can hide a mistake."""
    angle = 0.7
    data = mujoco.MjData(MODEL)
    dofs = angle * torch.eye(humanoid.num_dofs)
    root_pos, root_rot = torch.zeros(28, 3), torch.tensor([0.0, 0, 0, 1]).expand(28, 4)
    body_pos, body_rot = humanoid.forward_kinematics(root_pos, root_rot, humanoid.rotations_from_dofs(dofs))
    for dof in range(humanoid.num_dofs):
        data.qpos[:] = 0
        data.qpos[3] = 1
        data.qpos[7 + dof] = angle
        mujoco.mj_kinematics(MODEL, data)
        np.testing.assert_allclose(body_pos[dof].numpy(), data.xpos[1:], atol=1e-6)
        theirs = torch.from_numpy(data.xquat[1:, [1, 2, 3, 0]]).float()
        assert rotation_distance(body_rot[dof], theirs).max() < 1e-6


@pytest.mark.parametrize("size", [0.0, 1e-20, 1e-8, 1e-4, 1.0, math.pi / math.sqrt(3), math.pi, 6.0])
def test_gradients_through_dofs_and_kinematics_are_finite(humanoid, size):
    generator = torch.Generator().manual_seed(2)
    dofs = (size * torch.sign(torch.randn(8, humanoid.num_dofs, generator=generator))).requires_grad_()
    root_rotvec = torch.full((8, 3), size / 3, requires_grad=True)
    root_pos = torch.randn(8, 3, generator=generator).requires_grad_()
    joint_rot = humanoid.rotations_from_dofs(dofs)
    body_pos, body_rot = humanoid.forward_kinematics(root_pos, roma.rotvec_to_unitquat(root_rotvec), joint_rot)
    loss = body_pos.square().sum() + body_rot[..., :3].sum() + humanoid.dofs_from_rotations(joint_rot).sum()
    loss.backward()
    for leaf in (dofs, root_rotvec, root_pos):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
    assert root_pos.grad.abs().max() > 0


def test_gradients_of_forward_kinematics_are_those_of_finite_differences(humanoid):
    generator = torch.Generator().manual_seed(3)
    double = Character(humanoid.bodies)
    for name, value in vars(double).items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            setattr(double, name, value.double())
    root_pos, dofs = (torch.randn(2, size, generator=generator, dtype=torch.float64) for size in (3, 28))
    root_rotvec = torch.randn(2, 3, generator=generator, dtype=torch.float64)

    def positions(root_pos, root_rotvec, dofs):
        rotations = double.rotations_from_dofs(dofs)
        return double.forward_kinematics(root_pos, roma.rotvec_to_unitquat(root_rotvec), rotations)[0]

    inputs = [value.requires_grad_() for value in (root_pos, root_rotvec, dofs)]
    assert torch.autograd.gradcheck(positions, inputs, fast_mode=True)


def test_a_character_survives_being_written_as_plain_values(humanoid):
    again = Character.from_dict(humanoid.to_dict())
    assert again.bodies == humanoid.bodies
    assert again.to_dict() == humanoid.to_dict()
