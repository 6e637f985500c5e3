"""The motion that a character is to follow, at every step of its simulation."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass, replace

import mujoco
import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.exchange.mujoco_poses import qpos_of
from parc.physics.simulation import Simulation
from parc.terrain.heightfield import laid_end_to_end
from parc.terrain.signed_distance import distance_above_ground, signed_distance_below_ground

VELOCITY_SECONDS = 1 / 60  # to either side: over which positions are differenced
AT_THE_GROUND = 0.03  # metres that what stands may be off it
MOST_SHIFTED = 0.35  # metres
SHIFT_SECONDS = 0.1  # within which a shift comes and goes


@dataclass(frozen=True)
class Reference:
    """What is to be followed, at each step from the first frame's to the last one's.

    Attributes:
        positions: MuJoCo's `qpos`.
        velocities: MuJoCo's `qvel`.
        targets: angles for the hinges' controls, in their order, radians: ahead of the motion by what damping holds them back.
        body_pos: of each body in the motion as it was given, which success is measured by (world, metres).
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
    """Return a clip, `grounded`, at every step of its simulation.

    It is cubic in between frames, and goes along great circles where the root turns.
    """
    model, character = simulation.model, simulation.character
    followable = grounded(clip, character, simulation.standing)
    qpos = qpos_of(model, character, followable.root_pos, followable.root_rot, followable.joint_rot)
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
    body_pos, sensors = _observed(simulation, positions, velocities)
    body_pos -= CubicSpline(frames, (followable.root_pos - clip.root_pos).double().numpy())(at)[:, None]
    return Reference(positions, velocities, targets, body_pos, sensors, labels)


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


def grounded(clip: MotionClip, character: Character, standing: tuple[str, ...]) -> MotionClip:
    """Return a clip that is shifted up or down, smoothly, where what should stand is in the ground or above it.

    Nothing can follow a motion into the ground, what tries to is thrown out of it, and nothing stands on air. Where a standing
    body is labelled to touch the ground, it is brought there; in between, the shift goes on evenly.

    Args:
        clip: a clip of which all such bodies are within `AT_THE_GROUND` of it stays as it is.
        character: whose motion it is.
        standing: names of the bodies that stand on the ground.
    """
    heights = _heights_of_standing(clip, character, standing)
    known = np.flatnonzero(np.abs(heights) < MOST_SHIFTED)
    shifts = np.where(np.abs(heights[known]) > AT_THE_GROUND, -heights[known], 0.0)
    if not shifts.any():
        return clip
    shift = np.interp(np.arange(clip.num_frames), known, shifts)
    shift = gaussian_filter1d(shift, SHIFT_SECONDS * clip.fps, mode="nearest")
    root_pos = clip.root_pos.clone()
    root_pos[:, 2] += torch.from_numpy(shift).to(root_pos)
    return replace(clip, root_pos=root_pos)


def _heights_of_standing(
    clip: MotionClip, character: Character, standing: tuple[str, ...]
) -> Float[np.ndarray, " frames"]:
    """Return how far what is labelled to stand is above the ground, or (below 0) in it, metres; infinite where nothing is.

    Distances are to the nearest ground and air, sideways too: a toe that is in a step by a centimetre is not below it.
    """
    body_pos, body_rot = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    surface = surface_points(character)
    points = surface.placed(body_pos, body_rot)
    terrains, which = laid_end_to_end([clip.terrain]), torch.zeros(clip.num_frames, dtype=torch.long)
    nearest = torch.full((clip.num_frames,), torch.inf)
    for name in standing:
        body = character.body_index(name)
        own = points[:, surface.bodies == body]
        above = distance_above_ground(own, terrains, which).amin(1)
        below = signed_distance_below_ground(own, terrains, which).amin(1)
        height = torch.where(below < 0, below, above)
        nearest = torch.minimum(nearest, height.where(clip.contacts[:, body] > 0.5, torch.inf))
    return nearest.double().numpy()
