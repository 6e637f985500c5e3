"""A pass follows a clip: what it saves is simulated from end to end, whether it went back or not."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from dataclasses import replace

import mujoco
import numpy as np
import torch
from easy_clips import HUMANOID, easy_corrector, standing_clip

from parc.anim.motion_clip import MotionClip
from parc.physics.following import FALLEN_ROOT, Followed, Pass
from parc.physics.planning import Planner
from parc.physics.reference import reference_of
from parc.physics.simulation import simulation_of


def planner_of(clip: MotionClip) -> Planner:
    corrector = easy_corrector()
    simulation = simulation_of(clip, HUMANOID, corrector.tracked, corrector.standing)
    reference = reference_of(simulation, clip)
    return Planner(simulation, reference, corrector.weights, corrector.control_weights, corrector.sampling)


def followed(planner: Planner, seed: int = 0, assistance: float = 0.0, **changes) -> Followed:
    (attempt,) = easy_corrector().attempts.values()
    random = np.random.default_rng(seed)
    return Pass(planner, replace(attempt, **changes), assistance, random).follow(planner.no_controls())


def repeated(planner: Planner, done: Followed) -> np.ndarray:
    data = mujoco.MjData(planner.model)
    data.qpos[:], data.qvel[:] = done.positions[0], done.velocities[0]
    states = [data.qpos.copy()]
    for command in done.commands:
        data.ctrl[:] = command
        mujoco.mj_step(planner.model, data)
        states.append(data.qpos.copy())
    return np.array(states)


def test_a_clip_that_stands_is_followed_to_its_end_and_can_be_repeated():
    planner = planner_of(standing_clip())
    done = followed(planner)
    assert done.is_whole and done.why == "" and done.num_steps == planner.reference.num_steps
    assert np.abs(repeated(planner, done) - done.positions).max() < 1e-6
    off = np.linalg.norm(done.positions[:, :3] - planner.reference.positions[:, :3], axis=1)
    assert off.max() < 0.1
    assert not done.commands[:, planner.simulation.num_hinges :].any(), "nothing helps it"
    assert planner.steps_simulated > 10 * done.num_steps


def test_it_depends_on_where_its_samples_come_from_and_on_nothing_else():
    first, again, other = (followed(planner_of(standing_clip()), seed) for seed in (1, 1, 2))
    for values, same, different in zip(*([each.positions, each.velocities, each.commands] for each in (first, again, other)),
                                       strict=True):  # fmt: skip
        assert np.array_equal(values, same) and not np.array_equal(values, different)


def test_help_stays_within_what_is_allowed():
    planner = planner_of(standing_clip())
    done = followed(planner, assistance=0.2)
    wrench = done.commands[:, planner.simulation.num_hinges :]
    assert done.assistance == 0.2 and wrench.any()
    force, torque = planner.simulation.assistance_limits(0.2)
    assert np.linalg.norm(wrench[:, :3], axis=1).max() <= force + 1e-9
    assert np.linalg.norm(wrench[:, 3:], axis=1).max() <= torque + 1e-9


def test_what_blows_up_has_failed_and_leaves_no_state_that_is_no_number():
    planner = planner_of(standing_clip())
    planner.reference.velocities[0] = 1e200  # squared, it is no number
    done = followed(planner, retreats=0)
    assert not done.is_whole and done.why == "the simulation became unstable"
    assert done.num_steps == 0 and np.isfinite(done.positions).all()


def test_what_went_back_and_did_better_is_simulated_from_end_to_end(monkeypatch):
    planner = planner_of(standing_clip(seconds=0.8))
    fallen, seen = Pass._fallen, []

    def fails_once(self, step):
        seen.append(step)
        return "it stumbled" if len(seen) == 150 else fallen(self, step)

    monkeypatch.setattr(Pass, "_fallen", fails_once)
    done = followed(planner)
    assert seen[150] < seen[149], "it went back"
    assert seen[149] - seen[150] < 0.5 / planner.model.opt.timestep, "no further than it had to"
    assert done.is_whole and seen[-1] == done.num_steps
    assert np.abs(repeated(planner, done) - done.positions).max() < 1e-6


def test_what_is_far_off_between_two_plans_has_failed():
    """Every frame of a success is near its clip, whenever plans are made."""
    clip = standing_clip(seconds=0.8)
    away = clip.root_pos.clone()
    away[14:16, 1] += 0.8
    planner = planner_of(replace(clip, root_pos=away))
    done = followed(planner, every=0.3, retreats=0)  # plans begin with frames 0, 9 and 18
    assert not done.is_whole and "the root is" in done.why
    assert done.num_steps // planner.simulation.steps_per_frame in (13, 14)


def test_where_it_fails_for_good_the_farthest_is_kept_with_the_reason():
    clip = standing_clip(seconds=0.8)
    gone = clip.root_pos + torch.tensor([0.0, 3.0, 0.0]) * (torch.arange(clip.num_frames) >= 12)[:, None]
    planner = planner_of(replace(clip, root_pos=gone))
    done = followed(planner, retreats=2, every=0.05)
    assert not done.is_whole and "the root is" in done.why
    assert 0 < done.num_steps // planner.simulation.steps_per_frame <= 14
    assert len(done.positions) == len(done.velocities) == done.num_steps + 1
    off = np.linalg.norm(done.positions[:, :3] - planner.reference.positions[: done.num_steps + 1, :3], axis=1)
    assert off[-1] > FALLEN_ROOT
    assert np.abs(repeated(planner, done) - done.positions).max() < 1e-6
