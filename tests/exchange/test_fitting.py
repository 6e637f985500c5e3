"""Fitting our humanoid to captured joints: our own motions come back, feet are put on the ground, and bad input is refused."""

import dataclasses

import pytest
import torch
from captured_bodies import landmarks_of

from parc.anim.character import Character, JointType
from parc.anim.clip_files import read_clip
from parc.anim.rotations import angle_between
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.demo_motions.generator import make_clip
from parc.demo_motions.motion_classes import MOTION_CLASSES
from parc.exchange.clip_measures import measured
from parc.exchange.fit_cost import FitCost
from parc.exchange.fitting import fit_positions, landmark_errors
from parc.exchange.landmarks import SIDES, attached, foot_build, scale_by_legs
from parc.exchange.resting import nearest_top, resting
from parc.terrain.heightfield import Heightfield
from synthetic_clips import random_clip


@pytest.fixture(scope="module")
def walk(humanoid):
    """A demo motion on blocks."""
    return make_clip(0, list(MOTION_CLASSES).index("blocks"), humanoid, surface_points(humanoid))


def bone_angles(humanoid: Character, clip, frames) -> torch.Tensor:
    """Return the angles (degrees) between bodies that landmarks show whole: no twists of head, feet and straight limbs."""
    names = ["torso", "left_upper_arm", "right_upper_arm", "left_thigh", "right_thigh"]
    joints = [humanoid.body_index(name) - 1 for name in names]
    return torch.rad2deg(angle_between(frames.joint_rot[:, joints], clip.joint_rot[:, joints]))


def test_a_motion_of_a_larger_body_comes_back(humanoid, walk):
    larger = {name: 1.25 * places for name, places in landmarks_of(humanoid, walk).items()}
    scale = scale_by_legs(humanoid, larger)
    assert scale == pytest.approx(0.8, rel=0.01)
    positions = landmarks_of(humanoid, walk)
    frames = fit_positions(humanoid, positions, walk.fps)
    errors = landmark_errors(humanoid, frames, positions)
    assert max(float(error.max()) for error in errors.values()) < 0.01
    assert bone_angles(humanoid, walk, frames).mean() < 1.5
    assert torch.rad2deg(angle_between(frames.root_rot, walk.root_rot)).max() < 3


def test_captured_clips_come_back_too(humanoid, clips_folder):
    for path in sorted(clips_folder.glob("*.pkl")):
        clip = read_clip(path, humanoid)
        positions = landmarks_of(humanoid, clip)
        frames = fit_positions(humanoid, positions, clip.fps)
        errors = torch.stack(list(landmark_errors(humanoid, frames, positions).values()))
        assert errors.mean() < 0.005, path
        assert bone_angles(humanoid, clip, frames).mean() < 3, path


def test_joints_keep_their_limits_and_hinges_their_axes(humanoid):
    clip = random_clip(humanoid, seed=3)  # whose joints turn as they like, beyond limits too
    frames = fit_positions(humanoid, landmarks_of(humanoid, clip), clip.fps)
    dofs = humanoid.dofs_from_rotations(frames.joint_rot)
    assert (dofs >= humanoid.dof_lower - 1e-4).all()
    assert (dofs <= humanoid.dof_upper + 1e-4).all()
    for index, body in enumerate(humanoid.bodies):
        if body.joint is JointType.HINGE:
            aside = torch.linalg.cross(
                frames.joint_rot[:, index - 1, :3], humanoid.hinge_axes[index].expand(clip.num_frames, 3)
            )
            assert aside.abs().max() < 1e-5
        if body.joint is JointType.FIXED:
            assert frames.joint_rot[:, index - 1, 3].abs().min() > 1 - 1e-6


def test_feet_that_float_are_put_onto_the_ground_and_stay_there(humanoid, walk):
    lifted = {name: places + torch.tensor([0.0, 0.0, 0.03]) for name, places in landmarks_of(humanoid, walk).items()}
    frames = fit_positions(humanoid, lifted, walk.fps, walk.terrain)
    feet = [humanoid.body_index(f"{side}_foot") for side in SIDES]
    labels = frames.contacts[:, feet]
    assert ((labels > 0.5) == (walk.contacts[:, feet] > 0.5)).float().mean() > 0.9
    clip = walk.with_frames(frames)
    assert measured(clip, humanoid)["slide (cm/s)"] < 6  # heels that roll off count too
    assert measured(clip, humanoid)["deepest (cm)"] < 1
    points = surface_points(humanoid)
    body_pos, body_rot = humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    heights = points.placed(body_pos, body_rot)
    for foot, label in zip(feet, labels.T, strict=True):
        sole = heights[:, points.bodies == foot]
        above = (sole[..., 2] - walk.terrain.heights_at(sole[..., :2])).amin(1)[label > 0.5]
        assert above.abs().median() < 0.005
    # The body goes down with its feet.
    assert (frames.root_pos[:, 2] - walk.root_pos[:, 2]).abs().mean() < 0.01


def test_the_gradient_is_that_of_the_cost(humanoid, walk):
    torch.manual_seed(0)
    part = dataclasses.replace(walk, **vars(walk.frames.each(lambda values: values[20:26])))
    positions = landmarks_of(humanoid, part)
    rest = resting(humanoid, positions, {side: foot_build(positions, side) for side in SIDES}, part.fps, walk.terrain)
    held = dataclasses.replace(rest.held, held=torch.rand(rest.held.held.shape) > 0.4)
    landmarks = attached(humanoid, positions)
    targets = torch.stack([positions[name] for name in landmarks.names], dim=1)
    low = dataclasses.replace(walk.terrain, heights=walk.terrain.heights + 0.05)  # feet are in it
    cost = FitCost(humanoid, landmarks, targets, held, surface_points(humanoid), low)
    frames = cost.changes.applied(part.frames, 0.1 * torch.randn(6, cost.changes.size))
    here = cost.at(frames)
    for _ in range(5):
        way = torch.randn(6, cost.changes.size)
        ahead, behind = (cost.at(cost.changes.applied(frames, sign * 1e-3 * way)).cost for sign in (1, -1))
        slope = float(ahead - behind) / 2e-3
        # The turns between frames are taken as small, which leaves a little.
        assert slope == pytest.approx(2 * float((here.gradient[0] * way).sum()), rel=0.03, abs=0.05)


def test_who_stands_beside_ground_is_put_onto_it(humanoid):
    terrain = Heightfield(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.zeros(2), 0.4)
    points = torch.tensor([[0.1, 0.35, 1.02], [0.1, 0.1, 1.05], [0.1, 0.3, 0.05]])
    expected = torch.tensor([[0.1, 0.35, 1.0], [0.1, 0.22, 1.0], [0.1, 0.18, 0.0]])
    torch.testing.assert_close(nearest_top(terrain, points), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places: places.pop("left_knee"), "no landmark 'left_knee'"),
        (lambda places: places.update(right_toe=places["right_toe"][:-1]), "frames of 'right_toe'"),
        (lambda places: places["neck"].fill_(torch.nan), "'neck' that are not finite"),
    ],
)
def test_positions_that_are_not_there_are_named(humanoid, change, message):
    positions = landmarks_of(humanoid, random_clip(humanoid))
    change(positions)
    with pytest.raises(UserError, match=message) as error:
        fit_positions(humanoid, positions, 30.0)
    assert "\n" not in str(error.value)


def test_another_character_is_refused(humanoid):
    bodies = (*humanoid.bodies[:-1], dataclasses.replace(humanoid.bodies[-1], name="left_hoof"))
    with pytest.raises(UserError, match="left_hoof"):
        scale_by_legs(Character(bodies), landmarks_of(humanoid, random_clip(humanoid)))
