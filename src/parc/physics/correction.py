"""What correction made of a clip: simulated states with what was commanded, and how far from the clip they are."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass, field, replace
from enum import Enum

import mujoco
import numpy as np
import torch
from jaxtyping import Float

from parc.anim.frames import Frames
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.exchange.mujoco_poses import poses_of
from parc.physics.following import Followed
from parc.physics.simulation import Simulation

REPLAYED_TO = 1e-6  # metres and radians


class Status(str, Enum):
    """What became of a motion."""

    PHYSICAL = "physical"
    ASSISTED = "assisted"
    FAILED = "failed"


@dataclass(frozen=True)
class Recording:
    """A simulation that anyone can repeat: from the first state, with the commands, by plain `mj_step`.

    Attributes:
        xml: MJCF text of the character on its terrain.
        positions: `qpos` of every state.
        velocities: `qvel` of every state.
        commands: `ctrl` of every step.
        steps_per_frame: of the clip.
    """

    xml: str
    positions: Float[np.ndarray, "states nq"]
    velocities: Float[np.ndarray, "states nv"]
    commands: Float[np.ndarray, "steps actuators"]
    steps_per_frame: int


@dataclass(frozen=True)
class Correction:
    """What correction made of a clip.

    Attributes:
        status: what became of it.
        reason: from when on it failed and why, where something did.
        clip: the simulated motion; None where none is worth keeping.
        recording: how it was simulated, where it was here.
        first_frame: of the clip that the motion begins at.
        assistance: largest one that the motion was given, a share of the character's weight.
        whole_with: the least assistance with which the whole clip was followed; None where none did.
        clip_seconds: length of the clip.
        steps_simulated: physics steps that it took.
        cpu_seconds: that it took.
        measures: by name; see `parc.physics.measures`.
    """

    status: Status
    reason: str = ""
    clip: MotionClip | None = None
    recording: Recording | None = None
    first_frame: int = 0
    assistance: float = 0.0
    whole_with: float | None = None
    clip_seconds: float = 0.0
    steps_simulated: int = 0
    cpu_seconds: float = 0.0
    measures: dict[str, float] = field(default_factory=dict)


def recording_of(simulation: Simulation, followed: Followed, num_frames: int) -> Recording:
    """Return the first frames of what was followed, to be repeated."""
    steps = (num_frames - 1) * simulation.steps_per_frame
    return Recording(
        simulation.xml,
        followed.positions[: steps + 1],
        followed.velocities[: steps + 1],
        followed.commands[:steps],
        simulation.steps_per_frame,
    )


def simulated_clip(simulation: Simulation, recording: Recording, clip: MotionClip) -> MotionClip:
    """Return a recording as a clip, which it repeats, with the contacts that there are.

    Args:
        simulation: of the recording.
        recording: whose frames they are.
        clip: that was followed, as many frames of it as there are. What it was stays with the result, as unrefined frames.

    Returns:
        A clip of which every frame is a simulated state. A body is in contact (1) in a frame when it touches the ground in half
        of the steps around it.

    Raises:
        AssertionError: the states are not those of the commands.
    """
    touching = _touching(simulation, recording)
    every = recording.steps_per_frame
    model, character = simulation.model, simulation.character
    root_pos, root_rot, joint_rot = poses_of(model, character, recording.positions[::every])
    contacts = torch.stack(
        [
            torch.from_numpy(touching[max(0, state - every // 2) : state + every // 2 + 1].mean(0) >= 0.5)
            for state in range(0, len(touching), every)
        ]
    )
    return with_simulated_frames(clip, Frames(root_pos, root_rot, joint_rot, contacts.to(clip.contacts)))


def with_simulated_frames(clip: MotionClip, frames: Frames) -> MotionClip:
    """Return a clip with the frames that a simulation followed it with; what they were stays, as unrefined frames.

    Args:
        clip: that was followed, on its terrain.
        frames: as many as it has.
    """
    return replace(
        clip.with_frames(frames),
        loop_mode=LoopMode.CLAMP,
        height_bounds=None,
        made=None if clip.made is None else replace(clip.made, losses={}),
        unrefined=clip.frames,
    )


def _touching(simulation: Simulation, recording: Recording) -> Float[np.ndarray, "states bodies"]:
    """Repeat a recording; return which bodies touch the ground in each state, 0 or 1."""
    model = simulation.model
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = recording.positions[0], recording.velocities[0]
    touching = np.zeros((len(recording.positions), simulation.character.num_bodies))
    for step, command in enumerate(recording.commands):
        data.ctrl[:] = command
        mujoco.mj_step(model, data)  # its contacts are those of the state before
        touching[step] = _in_contact(model, data, simulation.character.num_bodies)
        off = np.abs(data.qpos - recording.positions[step + 1]).max()
        assert off < REPLAYED_TO, f"step {step}: repeated positions are {off} off"
    mujoco.mj_forward(model, data)
    touching[-1] = _in_contact(model, data, simulation.character.num_bodies)
    return touching


def _in_contact(model: mujoco.MjModel, data: mujoco.MjData, num_bodies: int) -> Float[np.ndarray, " bodies"]:
    touching = np.zeros(num_bodies)
    for contact in data.contact[: data.ncon]:
        if contact.efc_address >= 0:  # it is near enough to push
            bodies = model.geom_bodyid[contact.geom]
            touching[bodies[bodies > 0] - 1] = 1.0
    return touching
