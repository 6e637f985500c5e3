"""Refining hand-made motions that are wrong in one way each, and demo motions that are disturbed."""

import dataclasses

import pytest
import torch
import yaml

from paper_settings import standing_frames
from parc.anim.frames import Frames
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.hydra_help import conf_folder
from parc.configuration.pieces import make
from parc.demo_motions.generator import make_clip
from parc.motion_synthesis.candidates import Candidates
from parc.motion_synthesis.motion_measures import measures_of
from parc.motion_synthesis.refinement import NoRefinement, Refinement, Refiner
from parc.terrain.heightfield import Heightfield, laid_end_to_end

FPS = 30.0
FEET = ["left_foot", "right_foot"]
LEVEL = Heightfield(torch.zeros(20, 20), torch.tensor([-4.0, -4.0]), 0.4)


@pytest.fixture(scope="module")
def surface(humanoid):
    return surface_points(humanoid)


def refiner(**changes) -> Refinement:
    settings = yaml.safe_load((conf_folder() / "refinement" / "least_squares.yaml").read_text())
    for key, value in changes.items():
        settings[key] = {**settings[key], **value} if isinstance(value, dict) else value
    return make(settings, Refiner, "refinement")


def candidates(frames: Frames, num_frames=None, path=None) -> Candidates:
    batch, length = frames.root_pos.shape[:2]
    return Candidates(
        frames,
        torch.tensor(num_frames or [length] * batch),
        torch.ones(batch, dtype=torch.bool),
        torch.tensor(path or [0] * batch),
    )


def placed(humanoid, surface, frames: Frames):
    return surface.placed(*humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot))


def standing(humanoid, surface, frames: int = 30, above: float = 0.0, batch: int = 1) -> Frames:
    """Return motions that stand still, feet labelled, their lowest point so far above z = 0."""
    pose = standing_frames(batch, humanoid, frames)
    lowest = placed(humanoid, surface, pose)[..., 2].min()
    pose = dataclasses.replace(
        pose, root_pos=pose.root_pos - torch.tensor([0.0, 0.0, 1.0]) * (lowest - above), contacts=pose.contacts.clone()
    )
    pose.contacts[..., [humanoid.body_index(foot) for foot in FEET]] = 1.0
    return pose


def refined(refiner: Refiner, frames: Frames, humanoid, surface, terrains=(LEVEL,), **kinds) -> Frames:
    return refiner.refine(candidates(frames, **kinds), laid_end_to_end(list(terrains)), humanoid, surface, FPS).frames


def test_a_motion_sunk_by_5_cm_comes_out_within_5_mm_of_the_ground(humanoid, surface):
    after = refined(refiner(), standing(humanoid, surface, above=-0.05), humanoid, surface)
    lowest = placed(humanoid, surface, after)[..., 2].amin(-1)
    assert lowest.abs().max() < 0.005


def test_a_motion_30_cm_too_high_comes_down_where_its_feet_are_labelled(humanoid, surface):
    high = standing(humanoid, surface, above=0.3)
    after = refined(refiner(), high, humanoid, surface)
    assert placed(humanoid, surface, after)[..., 2].amin(-1).abs().max() < 0.005
    high.contacts.zero_()
    after = refined(refiner(), high, humanoid, surface)
    torch.testing.assert_close(after.root_pos, high.root_pos)


def test_a_motion_whose_labelled_feet_slide_stops_sliding(humanoid, surface):
    frames = standing(humanoid, surface)
    frames.root_pos[..., 0] += torch.arange(30) * 0.3 / FPS  # 30 cm/s
    before = measures_of(candidates(frames), laid_end_to_end([LEVEL]), humanoid, surface, FPS, FEET)
    assert float(before.slide) == pytest.approx(0.3, rel=1e-3)
    after = refined(refiner(), frames, humanoid, surface)
    after_it = measures_of(candidates(after), laid_end_to_end([LEVEL]), humanoid, surface, FPS, FEET)
    assert after_it.slide < 0.02 and after_it.deep_frames == 0 and after_it.floating_frames == 0


def test_a_jerk_is_smoothed_away(humanoid, surface):
    frames = standing(humanoid, surface)
    frames.contacts.zero_()
    frames.root_pos[:, 15, 1] += 0.3
    before = measures_of(candidates(frames), laid_end_to_end([LEVEL]), humanoid, surface, FPS, FEET)
    after = refined(refiner(), frames, humanoid, surface)
    assert before.jerky_frames > 0.05
    assert measures_of(candidates(after), laid_end_to_end([LEVEL]), humanoid, surface, FPS, FEET).jerky_frames == 0


def test_a_motion_in_a_wall_comes_out_sideways(humanoid, surface):
    heights = torch.zeros(20, 20)
    heights[11:] = 3.0  # from x = 0.2 on
    wall = Heightfield(heights, torch.tensor([-4.0, -4.0]), 0.4)
    frames = standing(humanoid, surface)
    frames.root_pos[..., 0] += 0.15
    frames.contacts.zero_()
    assert placed(humanoid, surface, frames)[..., 0].max() > 0.24
    after = refined(refiner(), frames, humanoid, surface, [wall])
    assert placed(humanoid, surface, after)[..., 0].max() < 0.205
    assert (after.root_pos[..., 2] - frames.root_pos[..., 2]).abs().max() < 0.02


def test_a_motion_that_is_fine_stays_as_it_is(humanoid, surface):
    frames = standing(humanoid, surface)
    frames.root_pos[..., 2] += 1e-4
    after = refined(refiner(), frames, humanoid, surface)
    assert (placed(humanoid, surface, after) - placed(humanoid, surface, frames)).norm(dim=-1).max() < 1e-3


@pytest.fixture(scope="module")
def disturbed(humanoid, surface):
    """Two demo clips, their joints turned and their roots moved slowly about, and the terrains they are on."""
    clips = [make_clip(3, number, humanoid, surface) for number in (1, 3)]  # along ways; over stairs
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(60) / FPS

    def waves(count: int) -> torch.Tensor:
        phase = 6.28 * torch.rand(2, 1, count, generator=generator)
        return torch.sin(6.28 * 0.8 * times[:, None] + phase)

    def cut(name: str) -> torch.Tensor:
        return torch.stack([getattr(clip, name)[:60] for clip in clips])

    dofs = humanoid.dofs_from_rotations(cut("joint_rot")) + 0.06 * waves(humanoid.num_dofs)
    frames = Frames(
        cut("root_pos") + 0.03 * waves(3), cut("root_rot"), humanoid.rotations_from_dofs(dofs), cut("contacts")
    )
    return frames, [clip.terrain for clip in clips]


@pytest.fixture(scope="module")
def disturbed_and_refined(disturbed, humanoid, surface):
    frames, terrains = disturbed
    return refined(refiner(), frames, humanoid, surface, terrains, num_frames=[60, 41], path=[0, 1])


def test_disturbed_motions_meet_the_targets_again_and_stay_near(disturbed, disturbed_and_refined, humanoid, surface):
    frames, terrains = disturbed
    before, after = (
        measures_of(candidates(each, [60, 41], [0, 1]), laid_end_to_end(terrains), humanoid, surface, FPS, FEET)
        for each in (frames, disturbed_and_refined)
    )
    assert before.slide.max() > 0.1 and before.deep_frames.max() > 0.3
    assert after.slide.max() < 0.02
    assert after.deep_frames.max() == 0 and after.floating_frames.max() == 0 and after.jerky_frames.max() == 0
    assert (disturbed_and_refined.root_pos - frames.root_pos).norm(dim=-1).max() < 0.12


def test_what_is_beyond_the_end_and_contacts_stay(disturbed, disturbed_and_refined):
    frames, _ = disturbed
    torch.testing.assert_close(disturbed_and_refined.contacts, frames.contacts, rtol=0, atol=0)
    for name in ("root_pos", "root_rot", "joint_rot"):
        before, after = getattr(frames, name), getattr(disturbed_and_refined, name)
        torch.testing.assert_close(after[1, 41:], before[1, 41:], rtol=0, atol=0)
        assert not torch.equal(after[1, 40], before[1, 40])


def test_a_motion_alone_comes_out_as_in_a_batch(disturbed, disturbed_and_refined, humanoid, surface):
    frames, terrains = disturbed
    alone = frames.each(lambda values: values[1:, :41])
    after = refined(refiner(), alone, humanoid, surface, terrains, path=[1])
    in_batch = disturbed_and_refined.each(lambda values: values[1:, :41])
    apart = (placed(humanoid, surface, after) - placed(humanoid, surface, in_batch)).norm(dim=-1)
    assert apart.max() < 2e-3


def test_the_same_batch_comes_out_the_same_bit_for_bit(disturbed, disturbed_and_refined, humanoid, surface):
    frames, terrains = disturbed
    again = refined(refiner(), frames, humanoid, surface, terrains, num_frames=[60, 41], path=[0, 1])
    for name in ("root_pos", "root_rot", "joint_rot"):
        torch.testing.assert_close(getattr(again, name), getattr(disturbed_and_refined, name), rtol=0, atol=0)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7])
def test_motions_of_few_frames_are_refined_too(humanoid, surface, length):
    sunk = standing(humanoid, surface, frames=length, above=-0.05)
    after = refined(refiner(), sunk, humanoid, surface)
    assert placed(humanoid, surface, after)[..., 2].amin(-1).abs().max() < 0.005


def test_a_motion_that_is_not_finite_stays_and_does_not_harm_others(humanoid, surface):
    frames = standing(humanoid, surface, batch=3, above=-0.05)
    frames.root_pos[0, 4, 1] = torch.nan
    frames.root_pos[1, 20:] = torch.inf  # beyond its end
    after = refined(refiner(), frames, humanoid, surface, num_frames=[30, 20, 30])
    torch.testing.assert_close(after.root_pos[0], frames.root_pos[0], equal_nan=True, rtol=0, atol=0)
    assert after.joint_rot.isfinite().all()
    for number, length in ((1, 20), (2, 30)):
        part = after.each(lambda values, number=number, length=length: values[number : number + 1, :length])
        assert placed(humanoid, surface, part)[..., 2].amin(-1).abs().max() < 0.005
    only_broken = frames.each(lambda values: values[:1])
    assert refined(refiner(), only_broken, humanoid, surface).root_pos.isnan().any()


def test_where_no_step_helps_a_motion_stays_as_it_was(humanoid, surface):
    frames = standing(humanoid, surface, above=-0.05)
    after = refined(refiner(damping=1e4, max_steps=1, weights={"penetration": 0.0}), frames, humanoid, surface)
    torch.testing.assert_close(after.root_pos, frames.root_pos, rtol=0, atol=0)


def test_without_refinement_motions_are_the_ones_that_came(humanoid, surface):
    nothing = make(yaml.safe_load((conf_folder() / "refinement" / "none.yaml").read_text()), Refiner, "refinement")
    assert isinstance(nothing, NoRefinement)
    nothing.check_with_character(humanoid)
    motions = candidates(standing(humanoid, surface))
    assert nothing.refine(motions, laid_end_to_end([LEVEL]), humanoid, surface, FPS) is motions


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"held_label": 1.5}, "refinement.held_label is 1.5, expected a contact label in 0..1"),
        ({"least_label": -0.1}, "refinement.least_label is -0.1, expected a contact label in 0..1"),
        ({"max_steps": 0}, "refinement.max_steps is 0, expected at least 1"),
        ({"damping": 0.0}, "refinement.damping is 0.0, expected a number above 0"),
        ({"sliding_scale": 0.0}, "refinement.sliding_scale is 0.0, expected a number above 0"),
        ({"free_jerk": -1.0}, "refinement.free_jerk is -1.0, expected 0 or more"),
        ({"weights": {"jerk": -1.0}}, "refinement.weights.jerk is -1.0, expected 0 or more"),
        ({"weights": {"jrk": 1.0}}, "refinement.weights.jrk: there is no such key; did you mean 'jerk'?"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(changes, line):
    with pytest.raises(UserError) as caught:
        refiner(**changes)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_bodies_that_cannot_be_held_are_named(humanoid):
    refiner().check_with_character(humanoid)
    with pytest.raises(UserError, match=r"refinement.held_bodies: the character has no body 'left_paw'"):
        refiner(held_bodies=["left_paw"]).check_with_character(humanoid)
    with pytest.raises(UserError, match=r"refinement.held_bodies: 'torso' is not one sphere or one box"):
        refiner(held_bodies=["torso"]).check_with_character(humanoid)
