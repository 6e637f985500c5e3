"""What is measured of motions on their terrain, on hand-made ones, and what is refused for it."""

import dataclasses

import pytest
import torch

from paper_settings import standing_frames
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.candidates import Candidates
from parc.motion_synthesis.quality import Quality, longest_runs, quality_of
from parc.motion_synthesis.selection import Selection
from parc.terrain.heightfield import Heightfield, laid_end_to_end
from parc.terrain.signed_distance import distance_above_ground, signed_distance_below_ground

SELECTION = Selection(
    keep=2, scale=0.1, unfinished=100.0, max_contact=3.0, max_penetration=8.0, max_loss=30.0, max_body_speed=12.0,
    max_root_step=0.3, max_seconds_in_air=1.2,
)  # fmt: skip
FPS = 30.0


@pytest.fixture(scope="module")
def surface(humanoid):
    return surface_points(humanoid)


def standing(humanoid, surface, batch: int = 1, frames: int = 30, above: float = 0.0) -> Candidates:
    """Return motions that stand still so that their lowest point is so far above z = 0."""
    pose = standing_frames(batch, humanoid, frames)
    points = surface.placed(*humanoid.forward_kinematics(pose.root_pos, pose.root_rot, pose.joint_rot))
    root_pos = pose.root_pos - torch.tensor([0.0, 0.0, 1.0]) * (points[..., 2].min() - above)
    motion = dataclasses.replace(pose, root_pos=root_pos)
    numbers = torch.full((batch,), frames)
    return Candidates(motion, numbers, torch.ones(batch, dtype=torch.bool), torch.zeros(batch, dtype=torch.long))


def level(height: float = 0.0):
    return laid_end_to_end([Heightfield(torch.full((20, 20), height), torch.tensor([-4.0, -4.0]), 0.4)])


def test_a_motion_that_is_sunk_is_as_deep_as_it_is_sunk(humanoid, surface):
    fine = quality_of(standing(humanoid, surface), level(), humanoid, surface, FPS)
    assert fine.deepest < 1e-4 and fine.penetration < 1e-2 and fine.seconds_in_air == 0 and fine.fastest_body == 0
    sunk = quality_of(standing(humanoid, surface, above=-0.05), level(), humanoid, surface, FPS)
    assert float(sunk.deepest) == pytest.approx(0.05, abs=1e-4)
    assert float(sunk.penetration) > 30 * 0.05


def test_a_motion_in_the_air_is_there_all_the_time_and_its_contacts_are_as_far_from_the_ground(humanoid, surface):
    motions = standing(humanoid, surface, above=0.3)
    foot = humanoid.body_index("right_foot")
    motions.frames.contacts[:, :, foot] = 0.5
    quality = quality_of(motions, level(), humanoid, surface, FPS)
    assert float(quality.seconds_in_air) == pytest.approx(1.0) and quality.deepest == 0
    assert float(quality.contact) == pytest.approx(30 * 0.5 * 0.3, rel=1e-3)


def test_jumps_of_the_root_and_fast_bodies_are_measured_up_to_a_motions_end(humanoid, surface):
    motions = standing(humanoid, surface, batch=2)
    motions.frames.root_pos[:, 20:, 0] += 0.5
    motions.num_frames[1] = 20
    quality = quality_of(motions, level(), humanoid, surface, FPS)
    torch.testing.assert_close(quality.largest_step, torch.tensor([0.5, 0.0]))
    torch.testing.assert_close(quality.fastest_body, torch.tensor([15.0, 0.0]))


def test_sums_are_those_over_every_frame_and_point(humanoid, surface):
    """Against a plain computation, on rough ground and over motions of other lengths."""
    generator = torch.Generator().manual_seed(0)
    heights = [torch.randn(14, 12, generator=generator) for _ in range(2)]
    terrains = laid_end_to_end([Heightfield(each, torch.tensor([-2.5, -2.0]), 0.4) for each in heights])
    motions = standing(humanoid, surface, batch=3, frames=6)
    motions.frames.root_pos.add_(torch.randn(3, 6, 3, generator=generator) * 0.5)
    motions.frames.contacts.copy_(torch.rand(3, 6, humanoid.num_bodies, generator=generator))
    motions = dataclasses.replace(motions, num_frames=torch.tensor([6, 3, 5]), path=torch.tensor([0, 1, 1]))
    quality = quality_of(motions, terrains, humanoid, surface, FPS)
    frames = motions.frames
    body_pos, body_rot = humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    points = surface.placed(body_pos, body_rot)
    for number, length in enumerate(motions.num_frames.tolist()):
        which = motions.path[number].expand(length)
        depth = -signed_distance_below_ground(points[number, :length], terrains, which)
        above = distance_above_ground(points[number, :length], terrains, which)
        nearest = torch.stack([above[:, surface.bodies == body].amin(1) for body in range(humanoid.num_bodies)], dim=1)
        expected = (frames.contacts[number, :length] * nearest).sum()
        assert float(quality.penetration[number]) == pytest.approx(float(depth.sum()), rel=1e-4, abs=1e-4)
        assert float(quality.contact[number]) == pytest.approx(float(expected), rel=1e-4, abs=1e-4)
        assert float(quality.deepest[number]) == pytest.approx(float(depth.max()), rel=1e-4, abs=1e-5)


def test_the_longest_run():
    rows = torch.tensor([[1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]]).bool()
    assert longest_runs(rows).tolist() == [3, 0, 6]


def test_the_best_of_each_path_are_chosen_and_others_refused_for_their_first_reason(humanoid, surface):
    motions = standing(humanoid, surface, batch=8)
    motions = dataclasses.replace(motions, path=torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    motions.finished[4] = False
    none = torch.zeros(8)
    quality = Quality(
        penetration=torch.tensor([30.0, 10, 20, 79, 0, 80, 0, 0]), contact=none.clone(), deepest=none,
        fastest_body=torch.tensor([1.0, 1, 1, 1, 99, 1, 12.5, float("nan")]), largest_step=none, seconds_in_air=none,
    )  # fmt: skip
    chosen, refused = SELECTION.choose(motions, quality)
    assert chosen == [1, 2]
    expected = {"not finished": 1, "a body too fast": 2, "too deep": 1}
    assert {reason: count for reason, count in refused.items() if count} == expected
    quality.contact[1] = 30.0
    assert SELECTION.choose(motions, quality)[0] == [2, 0]
    quality.penetration[0] = float("nan")  # no number stands in no other's way
    assert SELECTION.choose(motions, quality)[0] == [2, 3]


def test_motions_of_one_frame_have_a_quality_too(humanoid, surface):
    sunk = quality_of(standing(humanoid, surface, batch=2, frames=1, above=-0.05), level(), humanoid, surface, FPS)
    assert sunk.deepest.tolist() == pytest.approx([0.05, 0.05], abs=1e-4)
    assert not sunk.largest_step.any() and not sunk.fastest_body.any() and not sunk.seconds_in_air.any()
