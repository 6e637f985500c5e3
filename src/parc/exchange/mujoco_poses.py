"""Poses of a character as MuJoCo's `qpos`, and back.

A joint of ours with three DOFs is one rotation. MuJoCo has a ball for it, or three hinges on one body, each of which turns about
its axis as the ones before it have turned that, so that their angles are intrinsic Euler angles in the order of the file.
"""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

import math
import warnings

import mujoco
import numpy as np
import roma
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from parc.anim.character import Character, JointType
from parc.configuration.errors import UserError

GIMBAL_LOCK = 1e-6  # cosine of the second angle below which only the sum or difference of the other two is known


def qpos_of(
    model: mujoco.MjModel,
    character: Character,
    root_pos: Float[Tensor, "frames 3"],
    root_rot: Float[Tensor, "frames 4"],
    joint_rot: Float[Tensor, "frames joints 4"],
) -> Float[np.ndarray, "frames nq"]:
    """Return the positions of MuJoCo's joints at the poses of a motion.

    Angles go on from frame to frame without jumps of 2 pi, so where a joint turns on and on they leave -pi..pi, and the range
    that the file allows. Their rotations are those of the poses at gimbal lock, too, where the third angle stays as it was.

    Args:
        model: whose body j + 1 is body j of the character, such as one of `mujoco_scene.scene_spec`; what it has beside the
            character stays where it is at the start.
        character: of the same file.
        root_pos: world, metres.
        root_rot: (x, y, z, w).
        joint_rot: (x, y, z, w), body j at index j - 1.

    Raises:
        UserError: the three hinges of a body are not at right angles to one another.
    """
    qpos = np.tile(model.qpos0, (len(root_pos), 1))
    qpos[:, :3] = root_pos.double().cpu().numpy()
    qpos[:, 3:7] = root_rot.double().cpu().numpy()[:, [3, 0, 1, 2]]
    dofs = character.dofs_from_rotations(joint_rot).double().cpu().numpy()
    rotations = joint_rot.double().cpu().numpy()
    for index in _moving_bodies(character):
        body, first = character.bodies[index], _first_position(model, index)
        if body.joint is JointType.HINGE:
            qpos[:, first] += np.unwrap(dofs[:, character.first_dofs[index]])
        elif _is_ball(model, index):
            qpos[:, first : first + 4] = rotations[:, index - 1, [3, 0, 1, 2]]
        else:
            rotation = Rotation.from_quat(rotations[:, index - 1])
            qpos[:, first : first + 3] += hinge_angles(rotation, _three_axes(model, index, body.name))
    return qpos


def poses_of(
    model: mujoco.MjModel, character: Character, qpos: Float[np.ndarray, "*batch nq"]
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch 4"], Float[Tensor, "*batch joints 4"]]:
    """Return root position (world, metres), root rotation and joint rotations (x, y, z, w) of MuJoCo's joints at some positions.

    Args:
        model: whose body j + 1 is body j of the character.
        character: of the same file.
        qpos: as `qpos_of` gives them, or as MuJoCo does.
    """
    values = torch.from_numpy(qpos)
    joint_rot = torch.zeros(*qpos.shape[:-1], character.num_joints, 4, dtype=values.dtype)
    joint_rot[..., 3] = 1
    for index in _moving_bodies(character):
        first = _first_position(model, index)
        is_ball = _is_ball(model, index)
        turned = _unit_xyzw(values[..., first : first + 4]) if is_ball else _turned_by_hinges(model, index, values)
        joint_rot[..., index - 1, :] = turned
    return values[..., :3].float(), _unit_xyzw(values[..., 3:7]).float(), joint_rot.float()


def _moving_bodies(character: Character) -> list[int]:
    kinds = (JointType.HINGE, JointType.SPHERICAL)
    return [index for index, body in enumerate(character.bodies) if body.joint in kinds]


def _first_joint(model: mujoco.MjModel, index: int) -> int:
    """Return MuJoCo's first joint of a body of the character: MuJoCo's body 0 is the world."""
    return int(model.body_jntadr[index + 1])


def _first_position(model: mujoco.MjModel, index: int) -> int:
    return int(model.jnt_qposadr[_first_joint(model, index)])


def _is_ball(model: mujoco.MjModel, index: int) -> bool:
    return model.jnt_type[_first_joint(model, index)] == mujoco.mjtJoint.mjJNT_BALL


def _unit_xyzw(wxyz: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    return roma.quat_normalize(roma.quat_wxyz_to_xyzw(wxyz))


def _turned_by_hinges(model: mujoco.MjModel, index: int, qpos: Float[Tensor, "*batch nq"]) -> Float[Tensor, "*batch 4"]:
    """Return the product of the rotations of a body's hinges, in their order; angles count from the file's `ref`."""
    first, first_position = _first_joint(model, index), _first_position(model, index)
    turns = []
    for hinge in range(model.body_jntnum[index + 1]):
        angle = qpos[..., first_position + hinge] - model.qpos0[first_position + hinge]
        axis = torch.from_numpy(model.jnt_axis[first + hinge].copy())
        turns.append(roma.rotvec_to_unitquat(angle[..., None] * axis))
    return turns[0] if len(turns) == 1 else roma.quat_composition(turns)


def _three_axes(model: mujoco.MjModel, index: int, name: str) -> Float[np.ndarray, "3 3"]:
    """Return the axes of a body's three hinges, one a row.

    Raises:
        UserError: they are not at right angles.
    """
    first = _first_joint(model, index)
    axes = np.array(model.jnt_axis[first : first + 3])
    if np.abs(axes @ axes.T - np.eye(3)).max() > 1e-4:
        raise UserError(
            f"character.char_file: the three hinges of body '{name}' have the axes {np.round(axes, 3).tolist()}, expected "
            "axes at right angles; use a ball, or other axes"
        )
    return axes


def hinge_angles(rotation: Rotation, axes: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "frames 3"]:
    """Return the angles (radians) by which three hinges at right angles turn one after the other, as continuous as can be.

    Among the axes A = (a1, a2, a3) a turn about the first is one about x, and so on: A R A^T = X(q1) Y(q2) Z(q3). Where they
    are left-handed, A mirrors, and the angles change their signs.
    """
    handedness = np.sign(np.linalg.det(axes))
    among_axes = Rotation.from_matrix(axes @ rotation.as_matrix() @ axes.T)
    return _continuous(handedness * _euler_angles(among_axes))


def _euler_angles(rotation: Rotation) -> Float[np.ndarray, "frames 3"]:
    """Return intrinsic X Y Z angles; at gimbal lock, where scipy takes 0 for the third, it stays as it was before."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gimbal lock")
        angles = rotation.as_euler("XYZ")
    locked = np.cos(angles[:, 1]) < GIMBAL_LOCK
    last_free = np.maximum.accumulate(np.where(locked, 0, np.arange(len(angles))))
    third = np.where(locked, angles[last_free, 2], angles[:, 2])
    # There Y is a quarter turn up or down, and the rotation is that of q1 + q3 or of q1 - q3.
    angles[:, 0] -= np.sign(angles[:, 1]) * (third - angles[:, 2])
    angles[:, 2] = third
    return angles


def _continuous(angles: Float[np.ndarray, "frames 3"]) -> Float[np.ndarray, "frames 3"]:
    """Return angles of the same rotations that change as little as can be from frame to frame.

    A rotation has two triples of angles but for multiples of 2 pi: (q1, q2, q3) and (q1 + pi, pi - q2, q3 + pi). From one frame
    to the next either both are nearer to themselves or each is nearer to the other, so it is enough to count the changes.
    """
    other = np.stack([angles[:, 0] + math.pi, math.pi - angles[:, 1], angles[:, 2] + math.pi], axis=1)
    crosses = _distance(angles[:-1], other[1:]) < _distance(angles[:-1], angles[1:])
    on_other = np.concatenate([[False], np.cumsum(crosses) % 2 == 1])
    return np.unwrap(np.where(on_other[:, None], other, angles), axis=0)


def _distance(start: Float[np.ndarray, "steps 3"], end: Float[np.ndarray, "steps 3"]) -> Float[np.ndarray, " steps"]:
    """Return how far angles change on the shortest way (radians)."""
    change = (end - start + math.pi) % (2 * math.pi) - math.pi
    return np.linalg.norm(change, axis=1)
