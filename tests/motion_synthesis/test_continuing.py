"""Going on with a motion: where it goes on, that no frame comes twice, whose noise is whose, and what comes first."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.anim.frames import Frames
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.trusted import trust
from parc.motion_synthesis.candidates import batch_of, paths_of
from parc.motion_synthesis.continuing import ways_to_go_on
from parc.motion_synthesis.quality import quality_of
from parc.motion_synthesis.selection import Selection
from parc.terrain.heightfield import laid_end_to_end
from straight_walks import ROLLOUT, generators, straight_path
from walker import FPS, SPEED, walker

trust(["walker"])
SELECTION = Selection(1, 0.1, 100.0, 10.0, 10.0, 1000.0, None, None, None)


def go_on(humanoid, planned, so_far, *, rollout=ROLLOUT, seed=0, step=0, model=None):
    return ways_to_go_on(model or walker(humanoid), rollout, SELECTION, planned, so_far, seed=seed, step=step)


def swaying(humanoid, sway: float = 0.01):
    model = walker(humanoid)
    model.mdm.denoiser.sway = sway
    return model


@pytest.mark.parametrize("turn", [0.0, 0.9, -2.0])
def test_a_motion_goes_on_from_where_it_is_to_another_place(humanoid, turn):
    """It walks 2 m along x, then along another path from there: without a jump, a pause, or a frame that comes twice."""
    (first,) = go_on(humanoid, straight_path(2.0), None)
    assert first.finished and first.new_frames == len(first.frames.root_pos)
    way = straight_path(4.0, turn)
    way = dataclasses.replace(way, nodes=way.nodes + first.frames.root_pos[-1] * torch.tensor([1.0, 1.0, 0.0]))
    (second,) = go_on(humanoid, way, first.frames, step=1)
    before, new = len(first.frames.root_pos), second.new_frames
    assert second.finished and len(second.frames.root_pos) == before + new and new % 7 == 0
    assert second.seconds == pytest.approx(new / FPS)
    for field in dataclasses.fields(Frames):
        assert torch.equal(getattr(second.frames, field.name)[:before], getattr(first.frames, field.name)), field.name
    steps = second.frames.root_pos[before - 1 :].diff(dim=0)
    torch.testing.assert_close(steps[:, :2].norm(dim=1), torch.full((new,), SPEED / FPS), atol=1e-4, rtol=0)
    towards = torch.tensor([torch.cos(torch.tensor(turn)), torch.sin(torch.tensor(turn))])
    assert (steps[:, :2] @ towards * FPS > 0.95 * SPEED).all()


def test_frames_that_a_rollout_is_given_are_its_first_and_only_the_last_ones_are_used(humanoid):
    model, planned = walker(humanoid), straight_path(4.0)
    whole = ROLLOUT.roll_out(model, paths := paths_of([planned]), torch.zeros(2, dtype=torch.long), generators(2))
    start = whole.frames.part(0, 30)
    motions = ROLLOUT.roll_out(model, paths, torch.zeros(2, dtype=torch.long), generators(2), start)
    assert torch.equal(motions.frames.root_pos[:, :2], start.root_pos[:, 28:])
    asked = model.mdm.denoiser.asked[-1]
    assert asked.previous_clean.any(), "and windows are given them"
    shorter = ROLLOUT.roll_out(model, paths, torch.zeros(2, dtype=torch.long), generators(2), start.part(28, 30))
    assert torch.equal(shorter.frames.root_pos, motions.frames.root_pos)
    # A walk whose windows are as they were, 28 frames later.
    torch.testing.assert_close(motions.frames.root_pos[0, :30], whole.frames.root_pos[0, 28:58], atol=1e-4, rtol=0)


def test_a_motion_at_its_goal_has_no_new_frames(humanoid):
    planned = straight_path(2.0)
    (there,) = go_on(humanoid, planned, None)
    rollout = dataclasses.replace(ROLLOUT, candidates=3)
    again = go_on(humanoid, planned, there.frames, rollout=rollout, step=1)
    assert [each.new_frames for each in again] == [0, 0, 0] and all(each.finished for each in again)
    for each in again:
        assert torch.equal(each.frames.root_pos, there.frames.root_pos) and each.seconds == 0


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), step=st.integers(0, 50), count=st.integers(1, 4), more=st.integers(1, 3))
def test_noise_is_a_function_of_seed_step_and_candidate(humanoid, seed, step, count, more):
    planned, model = straight_path(1.5), swaying(humanoid)
    rollout = dataclasses.replace(ROLLOUT, max_seconds=0.5)

    def made(candidates, seed, step):
        some = dataclasses.replace(rollout, candidates=candidates)
        found = go_on(humanoid, planned, None, rollout=some, seed=seed, step=step, model=model)
        return {each.candidate: each.frames.root_pos for each in found}

    few, many = made(count, seed, step), made(count + more, seed, step)
    assert set(many) == set(range(count + more))
    for number, root_pos in few.items():
        torch.testing.assert_close(many[number], root_pos, atol=1e-5, rtol=0)
    for other in (made(count, seed + 1, step), made(count, seed, step + 1)):
        assert not torch.allclose(other[0], few[0], atol=1e-4)
    assert not torch.allclose(many[0], many[1], atol=1e-4)


def test_the_best_comes_first_and_is_measured_from_where_it_goes_on(humanoid):
    planned = straight_path(3.0)
    rollout = dataclasses.replace(ROLLOUT, candidates=4)
    start = go_on(humanoid, planned, None, rollout=dataclasses.replace(ROLLOUT, max_seconds=0.5))[0].frames
    found = go_on(humanoid, planned, start, rollout=rollout, model=swaying(humanoid, 0.03), step=1)
    losses = [each.loss for each in found]
    assert losses == sorted(losses) and len(set(losses)) == 4
    surface = surface_points(humanoid)
    for each in found:
        part = each.frames.each(lambda values: values[len(start.root_pos) - 2 :])
        motions = batch_of([part])
        quality = quality_of(motions, laid_end_to_end([planned.terrain]), humanoid, surface, FPS)
        assert each.figures["penetration"] == pytest.approx(float(quality.penetration), rel=1e-4)
        expected = float(SELECTION.loss_of(motions, quality)) + (0 if each.finished else 100)
        assert each.loss == pytest.approx(expected, rel=1e-4)
        assert {"deepest", "fastest_body", "deep_frames"} <= set(each.figures)


def test_what_does_not_arrive_comes_last_and_says_so(humanoid):
    (late,) = go_on(humanoid, straight_path(8.0), None, rollout=dataclasses.replace(ROLLOUT, max_seconds=1.0))
    assert not late.finished and late.refused == "not finished" and late.loss >= 100
    assert late.seconds == pytest.approx(1.0)


def test_what_no_motion_can_go_on_from_is_one_line(humanoid):
    planned = straight_path(2.0)
    frames = go_on(humanoid, planned, None)[0].frames
    with pytest.raises(UserError, match=r"so far has shape \[1, 3\], expected one motion of at least the 2 frames"):
        go_on(humanoid, planned, frames.each(lambda values: values[:1]))
    with pytest.raises(UserError, match="so far has 13 joints, expected the 14"):
        go_on(humanoid, planned, dataclasses.replace(frames, joint_rot=frames.joint_rot[:, 1:]))
    with pytest.raises(UserError, match=r"rollout\.feet"):
        go_on(humanoid, planned, frames, rollout=dataclasses.replace(ROLLOUT, feet=["left_hoof"]))
