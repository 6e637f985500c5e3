"""The motion that a character is to follow, at every step of its simulation."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass, replace

import mujoco
import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial.transform import Rotation, Slerp

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.exchange.mujoco_poses import qpos_of
from parc.motion_synthesis.candidates import batch_of
from parc.motion_synthesis.quality import quality_of_frames
from parc.physics.simulation import Simulation
from parc.terrain.heightfield import laid_end_to_end

VELOCITY_SECONDS = 1 / 60  # to either side: over which positions are differenced
DEEP = 0.02  # metres below ground up to which bodies may be: contacts give way by as much
LIFTED_FOR = 0.25  # seconds to either side of a frame that is too deep


@dataclass(frozen=True)
class Reference:
    """What is to be followed, at each step from the first frame's to the last one's.

    Attributes:
        positions: MuJoCo's `qpos`.
        velocities: MuJoCo's `qvel`.
        targets: angles for the hinges' controls, in their order, radians: ahead of the motion by what damping holds them back.
        body_pos: of each body (world, metres).
        sensors: what the simulation's sensors would show.
        labels: contact labels of the standing bodies, 0..1.
    """

    positions: Float[np.ndarray, "states nq"]
    velocities: Float[np.ndarray, "states nv"]
    targets: Float[np.ndarray, "states hinges"]
    body_pos: Float[np.ndarray, "states bodies 3"]
    sensors: Float[np.ndarray, "states sensors"]
    labels: Float[np.ndarray, "states standing"]

    @property
    def num_steps(self) -> int:
        """How many steps there are from the first state to the last."""
        return len(self.positions) - 1


def reference_of(simulation: Simulation, clip: MotionClip) -> Reference:
    """Return a clip at every step of its simulation: cubic in between frames, and along great circles where the root turns."""
    model, character = simulation.model, simulation.character
    qpos = qpos_of(model, character, clip.root_pos, clip.root_rot, clip.joint_rot)
    frames = np.arange(clip.num_frames)
    at = np.arange((clip.num_frames - 1) * simulation.steps_per_frame + 1) / simulation.steps_per_frame
    positions = CubicSpline(frames, qpos)(at)
    positions[:, 3:7] = Slerp(frames, Rotation.from_quat(clip.root_rot.double().numpy()))(at).as_quat()[:, [3, 0, 1, 2]]
    velocities = _velocities(model, positions)
    stiffness, damping = simulation.gains
    driven = simulation.driven
    targets = positions[:, driven + 1] + damping / stiffness * velocities[:, driven]
    standing = [character.body_index(name) for name in simulation.standing]
    labels = np.stack([np.interp(at, frames, clip.contacts[:, body].double().numpy()) for body in standing], axis=1)
    return Reference(positions, velocities, targets, *_observed(simulation, positions, velocities), labels)


def _velocities(model: mujoco.MjModel, positions: Float[np.ndarray, "states nq"]) -> Float[np.ndarray, "states nv"]:
    last, width = len(positions) - 1, max(1, round(VELOCITY_SECONDS / model.opt.timestep))
    velocities = np.zeros((len(positions), model.nv))
    for step in range(len(positions)):
        before, after = max(step - width, 0), min(step + width, last)
        seconds = (after - before) * model.opt.timestep
        mujoco.mj_differentiatePos(model, velocities[step], seconds, positions[before], positions[after])
    return velocities


def _observed(
    simulation: Simulation, positions: Float[np.ndarray, "states nq"], velocities: Float[np.ndarray, "states nv"]
) -> tuple[Float[np.ndarray, "states bodies 3"], Float[np.ndarray, "states sensors"]]:
    """Return where bodies are, and what the sensors show."""
    model = simulation.model
    data = mujoco.MjData(model)
    body_pos = np.zeros((len(positions), simulation.character.num_bodies, 3))
    sensors = np.zeros((len(positions), model.nsensordata))
    for step in range(len(positions)):
        data.qpos[:], data.qvel[:] = positions[step], velocities[step]
        for compute in (
            mujoco.mj_kinematics,
            mujoco.mj_comPos,
            mujoco.mj_comVel,
            mujoco.mj_subtreeVel,  # which sensors compute once a step, and here there are no steps
            mujoco.mj_sensorPos,
            mujoco.mj_sensorVel,
        ):
            compute(model, data)
        body_pos[step] = data.xpos[1 : simulation.character.num_bodies + 1]
        sensors[step] = data.sensordata
    return body_pos, sensors


def lifted(clip: MotionClip, character: Character) -> MotionClip:
    """Return a clip that is shifted upwards, smoothly, where a body is more than `DEEP` below ground.

    Nothing can follow a motion into the ground, and what tries to is thrown out of it.
    """
    motions = batch_of([clip.frames])
    frames = quality_of_frames(motions, laid_end_to_end([clip.terrain]), character, surface_points(character))
    too_deep = (frames.deepest[0].numpy() - DEEP).clip(min=0)
    width = round(LIFTED_FOR * clip.fps)
    shift = gaussian_filter1d(maximum_filter1d(too_deep, 2 * width + 1), width / 2, mode="nearest")
    root_pos = clip.root_pos.clone()
    root_pos[:, 2] += torch.from_numpy(shift).to(root_pos)
    return replace(clip, root_pos=root_pos)
