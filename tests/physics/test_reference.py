"""What is followed is the clip: its poses at its frames, its velocities, and targets ahead of it by what damping takes."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import roma
import torch
from easy_clips import FEET, HUMANOID, level, standing_clip, stepping_clip

from golden_arrays import rotation_distance
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.exchange.mujoco_poses import poses_of
from parc.physics.reference import AT_THE_GROUND, Reference, grounded, reference_of
from parc.physics.simulation import Simulation, simulation_of
from synthetic_clips import random_clip

TRACKED = ("head", "left_hand")


def followed(clip: MotionClip) -> tuple[Simulation, Reference]:
    simulation = simulation_of(clip, HUMANOID, TRACKED, FEET)
    return simulation, reference_of(simulation, clip)


def lively(humanoid) -> MotionClip:
    return replace(random_clip(humanoid, 3, frames=24), terrain=level(-2.0))


@pytest.mark.parametrize("clip", [stepping_clip, None])
def test_at_its_frames_it_is_the_clip(humanoid, clip):
    clip = lively(humanoid) if clip is None else clip()
    simulation, reference = followed(clip)
    every = simulation.steps_per_frame
    assert reference.num_steps == (clip.num_frames - 1) * every
    body_pos, _ = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    np.testing.assert_allclose(reference.body_pos[::every], body_pos.numpy(), atol=1e-4)
    root_pos, root_rot, joint_rot = poses_of(simulation.model, humanoid, reference.positions[::every])
    torch.testing.assert_close(root_pos, clip.root_pos, atol=1e-5, rtol=0)
    assert rotation_distance(root_rot, clip.root_rot).max() < 1e-5
    assert rotation_distance(joint_rot, clip.joint_rot).max() < 1e-5
    labels = clip.contacts[:, [humanoid.body_index(name) for name in FEET]]
    np.testing.assert_allclose(reference.labels[::every], labels.numpy(), atol=1e-6)
    between = reference.labels[every // 2 :: every]
    np.testing.assert_allclose(between, (labels[1:] + labels[:-1]).numpy() / 2, atol=1e-6)


def test_between_its_frames_bodies_move_on_smoothly():
    _, reference = followed(stepping_clip())
    steps = np.linalg.norm(np.diff(reference.body_pos, axis=0), axis=-1)
    changes = np.linalg.norm(np.diff(reference.body_pos, n=2, axis=0), axis=-1)
    assert changes.max() < 0.35 * steps.max()
    assert np.abs(np.linalg.norm(reference.positions[:, 3:7], axis=1) - 1).max() < 1e-9


def test_its_velocities_add_up_to_its_motion():
    simulation, reference = followed(stepping_clip())
    middle = (reference.velocities[1:] + reference.velocities[:-1]) / 2
    ways = np.cumsum(middle * simulation.model.opt.timestep, axis=0)
    moved = reference.positions[1:] - reference.positions[0]
    np.testing.assert_allclose(ways[:, :3], moved[:, :3], atol=0.005)
    np.testing.assert_allclose(ways[:, 6:], moved[:, 7:], atol=0.03)


def test_a_character_that_glides_and_turns_has_the_velocities_of_its_clip(humanoid):
    frames = 20
    seconds = torch.arange(frames) / 30.0
    clip = random_clip(humanoid, 0, frames=frames)
    still = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(clip.joint_rot.shape).clone()
    turn = roma.rotvec_to_unitquat(seconds[:, None] * torch.tensor([0.0, 0.0, 1.5]))
    leg = humanoid.body_index("left_shin") - 1
    still[:, leg] = roma.rotvec_to_unitquat(seconds[:, None] * torch.tensor([0.0, 0.7, 0.0]))
    way = torch.tensor([4.0, 4.0, 2.0]) + seconds[:, None] * torch.tensor([1.2, -0.4, 0.3])
    simulation, reference = followed(replace(clip, root_pos=way, root_rot=turn, joint_rot=still, terrain=level(-2.0)))
    expected = np.zeros(simulation.model.nv)
    expected[:6] = [1.2, -0.4, 0.3, 0.0, 0.0, 1.5]
    knee = simulation.model.joint("left_knee")
    expected[knee.dofadr[0]] = 0.7
    np.testing.assert_allclose(reference.velocities, np.broadcast_to(expected, reference.velocities.shape), atol=2e-3)
    # The control pulls with kp (target - angle) - kd velocity: at the clip's angles and velocities, that has to be nothing.
    stiffness, damping = simulation.gains
    driven = simulation.driven
    pull = (
        stiffness * (reference.targets - reference.positions[:, driven + 1]) - damping * reference.velocities[:, driven]
    )
    np.testing.assert_allclose(pull, 0.0, atol=1e-9)
    number = simulation.model.actuator("left_knee").id
    ahead = reference.targets[:, number] - reference.positions[:, knee.qposadr[0]]
    np.testing.assert_allclose(ahead, 50 / 500 * 0.7, atol=1e-3)


def test_sensors_are_those_of_a_simulation_in_the_same_state(humanoid):
    simulation, reference = followed(lively(humanoid))
    model, data = simulation.model, mujoco.MjData(simulation.model)
    state = 31
    data.qpos[:], data.qvel[:] = reference.positions[state], reference.velocities[state]
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(reference.sensors[state], data.sensordata, atol=1e-9)
    for number, name in enumerate(TRACKED):
        np.testing.assert_allclose(data.sensordata[3 * number : 3 * number + 3], data.body(name).xpos)
    np.testing.assert_allclose(data.sensordata[6:9], data.subtree_com[1], atol=1e-9)


def sunk(clip: MotionClip, depth: float, frames: slice) -> MotionClip:
    root_pos = clip.root_pos.clone()
    root_pos[frames, 2] -= depth
    return replace(clip, root_pos=root_pos)


def deepest(clip: MotionClip, humanoid) -> torch.Tensor:
    """Depth of the deepest point below level ground at z = 0 in each frame."""
    points = surface_points(humanoid).placed(*humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot))
    return -points[..., 2].amin(-1)


def test_a_clip_on_the_ground_is_left_as_it_is(humanoid):
    clip = stepping_clip()
    assert deepest(clip, humanoid).max() < AT_THE_GROUND
    again = grounded(clip, humanoid, FEET)
    for field, values in vars(clip.frames).items():
        assert torch.equal(getattr(again, field), values)


def test_a_clip_in_the_ground_is_brought_out_of_it_smoothly_and_only_there(humanoid):
    clip = standing_clip(seconds=1.6)
    frames, middle = slice(14, 34), slice(20, 28)
    again = grounded(sunk(clip, 0.2, frames), humanoid, FEET)
    before, after = deepest(sunk(clip, 0.2, frames), humanoid), deepest(again, humanoid)
    assert before[frames].min() > 0.15
    assert after[middle].max() < AT_THE_GROUND
    shift = again.root_pos - sunk(clip, 0.2, frames).root_pos
    assert torch.equal(shift[:, :2], torch.zeros(clip.num_frames, 2))
    assert (shift[:, 2] >= 0).all()
    assert shift[middle, 2].min() > 0.19
    assert shift[[0, -1], 2].abs().max() < 1e-3
    assert shift[:, 2].diff().abs().max() < 0.06, "no jump"
    assert torch.equal(again.joint_rot, clip.joint_rot) and torch.equal(again.contacts, clip.contacts)


def test_what_is_brought_out_of_the_ground_is_still_held_against_the_clip_as_it_was_given(humanoid):
    clip = sunk(standing_clip(seconds=0.6), 0.2, slice(None))
    simulation, reference = followed(clip)
    body_pos, _ = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    np.testing.assert_allclose(reference.body_pos[:: simulation.steps_per_frame], body_pos, atol=1e-3)
    raised = reference.positions[:: simulation.steps_per_frame, 2] - clip.root_pos[:, 2].numpy()
    np.testing.assert_allclose(raised, 0.2, atol=AT_THE_GROUND)
