"""What MuJoCo makes of joint positions."""

import mujoco
import numpy as np
import torch


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
