"""How good motions are, on hand-made ones."""

import dataclasses

import pytest
import torch

from paper_settings import standing_frames
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.candidates import Candidates
from parc.motion_synthesis.motion_measures import measures_of
from parc.terrain.heightfield import Heightfield, laid_end_to_end

FPS = 30.0
LEVEL = Heightfield(torch.zeros(20, 20), torch.tensor([-4.0, -4.0]), 0.4)


@pytest.fixture(scope="module")
def surface(humanoid):
    return surface_points(humanoid)


def standing(humanoid, surface, batch: int = 1, frames: int = 30) -> Candidates:
    """Return motions that stand still on z = 0, their left foot labelled."""
    pose = standing_frames(batch, humanoid, frames)
    points = surface.placed(*humanoid.forward_kinematics(pose.root_pos, pose.root_rot, pose.joint_rot))
    root_pos = pose.root_pos - torch.tensor([0.0, 0.0, 1.0]) * points[..., 2].min()
    pose = dataclasses.replace(pose, root_pos=root_pos, contacts=torch.zeros(batch, frames, humanoid.num_bodies))
    pose.contacts[..., humanoid.body_index("left_foot")] = 1.0
    return Candidates(
        pose,
        torch.full((batch,), frames),
        torch.ones(batch, dtype=torch.bool),
        torch.zeros(batch, dtype=torch.long),
    )


def measured(motions: Candidates, humanoid, surface):
    return measures_of(motions, laid_end_to_end([LEVEL]), humanoid, surface, FPS, ["left_foot", "right_foot"])


def test_a_motion_that_stands_still_on_the_ground_has_nothing_wrong(humanoid, surface):
    measures = measured(standing(humanoid, surface), humanoid, surface)
    assert all(float(value) == 0 for value in vars(measures).values())


def test_slide_is_the_mean_speed_along_the_ground_while_labelled(humanoid, surface):
    motions = standing(humanoid, surface)
    motions.frames.root_pos[:, 10:, 1] += 0.1  # one step of 10 cm
    motions.frames.root_pos[:, 20:, 2] += 0.5  # up does not count
    assert float(measured(motions, humanoid, surface).slide) == pytest.approx(0.1 * FPS / 29, rel=1e-3)
    motions.frames.contacts[:, 9] = 0.85  # not in contact then
    assert float(measured(motions, humanoid, surface).slide) == pytest.approx(0, abs=1e-6)
    motions.frames.contacts.zero_()
    assert measured(motions, humanoid, surface).slide.isnan()


def test_a_foot_that_turns_on_the_spot_hardly_slides(humanoid, surface):
    """The middle of the foot counts, not its ankle."""
    motions = standing(humanoid, surface)
    foot = humanoid.body_index("left_foot")
    middle = surface.points[surface.bodies == foot].mean(0)
    angle = torch.linspace(0, 1, 30)
    frames = motions.frames
    frames.root_rot[0] = torch.stack([0 * angle, 0 * angle, (angle / 2).sin(), (angle / 2).cos()], dim=-1)
    body_pos, body_rot = humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    places = dataclasses.replace(surface, points=middle[None], bodies=torch.tensor([foot])).placed(body_pos, body_rot)
    frames.root_pos[..., :2] -= places[..., 0, :2]
    assert measured(motions, humanoid, surface).slide < 1e-4


def test_shares_are_of_the_frames_that_there_are(humanoid, surface):
    motions = standing(humanoid, surface, batch=2)
    motions.num_frames[1] = 20
    root_pos = motions.frames.root_pos
    root_pos[:, :5, 2] -= 0.011
    root_pos[:, 5:8, 2] -= 0.009
    root_pos[:, 8:15, 2] += 0.021
    root_pos[:, 15:18, 2] += 0.019
    root_pos[:, 25:, 2] -= 1.0
    measures = measured(motions, humanoid, surface)
    torch.testing.assert_close(measures.deep_frames, torch.tensor([10 / 30, 5 / 20]))
    torch.testing.assert_close(measures.floating_frames, torch.tensor([7 / 30, 7 / 20]))
    motions.frames.contacts.fill_(0.9)
    assert (measured(motions, humanoid, surface).floating_frames == 0).all()


def test_jerks_are_counted_by_frames_and_by_bodies(humanoid, surface):
    bound = 11666.3906 / FPS**3
    motions = standing(humanoid, surface, batch=2)
    # A kink: third differences of 0.98 and 1.02 times the bound.
    motions.frames.root_pos[0, :, 0] += 0.98 * bound * (torch.arange(30) == 29)
    motions.frames.root_pos[1, :, 0] += 1.02 * bound * (torch.arange(30) == 29)
    measures = measured(motions, humanoid, surface)
    torch.testing.assert_close(measures.jerky_frames, torch.tensor([0.0, 1 / 27]))
    torch.testing.assert_close(measures.jerky_bodies, torch.tensor([0.0, 15 / 27]))
    motions.num_frames[1] = 29
    assert measured(motions, humanoid, surface).jerky_frames[1] == 0
