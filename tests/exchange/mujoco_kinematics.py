"""What MuJoCo makes of joint positions."""

import mujoco
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from parc.anim.mjcf import SHIPPED_CHARACTERS


def body_poses(model, qpos):
    """Return position and rotation (x, y, z, w) of every body but the world, for each row of positions."""
    data = mujoco.MjData(model)
    positions, rotations = [], []
    for row in qpos:
        data.qpos[:] = row
        mujoco.mj_kinematics(model, data)
        positions.append(data.xpos[1:].copy())
        rotations.append(data.xquat[1:, [1, 2, 3, 0]].copy())
    return torch.from_numpy(np.stack(positions)).float(), torch.from_numpy(np.stack(rotations)).float()


def ground_at(model, places, above):
    """Return the height at which a ray from above meets the ground at each x, y."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    geoms_of_the_world = np.zeros(1, dtype=np.int32)
    no_character = np.array([1, 0, 0, 0, 0, 0], dtype=np.uint8)
    data.qpos[2] = 1e3  # out of the way
    mujoco.mj_kinematics(model, data)
    heights = []
    for x, y in places.tolist():
        distance = mujoco.mj_ray(
            model, data, np.array([x, y, above]), np.array([0, 0, -1.0]), no_character, 1, -1, geoms_of_the_world
        )
        heights.append(above - distance)
    return torch.tensor(heights)


def positions_of_dofs(rows):
    """Return the humanoid's model and its joint positions for rows of root position, exponential map of the root, and DOFs."""
    model = mujoco.MjModel.from_xml_path(str(SHIPPED_CHARACTERS / "humanoid.xml"))
    qpos = np.zeros((len(rows), model.nq))
    qpos[:, :3] = rows[:, :3]
    qpos[:, 3:7] = Rotation.from_rotvec(rows[:, 3:6]).as_quat()[:, [3, 0, 1, 2]]
    dofs = rows[:, 6:]
    joints = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)
    hinges_of_body = {body: joints[model.jnt_bodyid[joints] == body] for body in range(1, model.nbody)}
    for hinges in hinges_of_body.values():
        own, dofs = dofs[:, : len(hinges)], dofs[:, len(hinges) :]
        if len(hinges) == 3:
            own = Rotation.from_rotvec(own).as_euler("XYZ")
        qpos[:, model.jnt_qposadr[hinges]] = own
    assert dofs.shape[1] == 0
    return model, qpos
