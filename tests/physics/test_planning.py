"""Controls are found: a step goes to the minimum of what is linear, never to what is worse, and leaves the rest."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from easy_clips import HUMANOID, easy_corrector, standing_clip

from parc.physics import planning, reference
from parc.physics.planning import STATE, Controls, Effort, Planner
from parc.physics.reference import Reference, reference_of
from parc.physics.simulation import simulation_of

LITTLE = Effort(horizon=40, samples=12, iterations=2)


@pytest.fixture(scope="module")
def planner() -> Planner:
    corrector, clip = easy_corrector(), standing_clip(seconds=0.8)
    simulation = simulation_of(clip, HUMANOID, corrector.tracked, corrector.standing)
    reference = reference_of(simulation, clip)
    return Planner(simulation, reference, corrector.weights, corrector.control_weights, corrector.sampling)


def state_at(planner: Planner, step: int) -> tuple[np.ndarray, np.ndarray]:
    data = mujoco.MjData(planner.model)
    data.qpos[:], data.qvel[:] = planner.reference.positions[step], planner.reference.velocities[step]
    mujoco.mj_forward(planner.model, data)
    state = np.zeros(mujoco.mj_stateSize(planner.model, STATE))
    mujoco.mj_getState(planner.model, data, state, STATE)
    return state, data.qacc_warmstart.copy()


def some_controls(planner: Planner, seed: int = 0) -> Controls:
    random, nothing = np.random.default_rng(seed), planner.no_controls()
    return Controls(0.03 * random.normal(size=nothing.knots.shape), nothing.first_velocity)


@pytest.mark.parametrize("seed", range(4))
def test_a_step_reaches_the_minimum_of_a_linear_problem(seed):
    random = np.random.default_rng(seed)
    matrix, goal = random.normal(size=(12, 6)), random.normal(size=12)
    best = np.linalg.lstsq(matrix, goal, rcond=None)[0]

    def residuals(tried):
        return tried @ matrix.T - goal

    def cost(controls):
        return 0.5 * (residuals(controls[None]) ** 2).sum()

    start = best + 3.0
    found = planning._step(start, 0.01 * random.normal(size=(10, 6)), residuals)
    assert cost(found) - cost(best) < 0.02 * (cost(start) - cost(best))
    for _ in range(6):
        found = planning._step(found, 0.01 * random.normal(size=(10, 6)), residuals)
    np.testing.assert_allclose(found, best, atol=0.01)


def test_a_step_never_leads_to_what_is_worse():
    random = np.random.default_rng(0)

    def residuals(tried):  # where every linear guess is wrong
        return np.abs(tried) ** 0.5 * np.sign(np.sin(50 * tried)) + 2

    def cost(controls):
        return (residuals(controls[None]) ** 2).sum()

    controls = random.normal(size=5)
    for _ in range(20):
        better = planning._step(controls, 0.2 * random.normal(size=(4, 5)), residuals)
        assert cost(better) <= cost(controls)
        controls = better


def test_costs_fall_from_iteration_to_iteration(planner, monkeypatch):
    costs, step = [], planning._step

    def watched(start, draws, simulated):
        found = step(start, draws, simulated)
        costs.append([0.5 * float((simulated(each[None]) ** 2).sum()) for each in (start, found)])
        return found

    monkeypatch.setattr(planning, "_step", watched)
    effort = Effort(horizon=40, samples=24, iterations=3)
    planner.improved(*state_at(planner, 0), some_controls(planner), 0, effort, 0.0, np.random.default_rng(0))
    assert len(costs) == 3
    for before, after in costs:
        assert after <= before
    assert [before for before, _ in costs[1:]] == pytest.approx([after for _, after in costs[:-1]], rel=1e-9)
    assert costs[-1][1] < 0.7 * costs[0][0]


def test_what_is_simulated_just_as_the_clip_costs_nothing(monkeypatch):
    """Sensors, too, are of the states that they are held against: a root that moves at 3 m/s is 1 cm further a step later."""
    corrector, clip = easy_corrector(), standing_clip(seconds=0.8)
    simulation = simulation_of(clip, HUMANOID, corrector.tracked, corrector.standing)
    model, targets = simulation.model, reference_of(simulation, clip).targets
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[0] = reference_of(simulation, clip).positions[0], 3.0
    data.qpos[2] += 1.0
    states = [(data.qpos.copy(), data.qvel.copy())]
    for target in targets[: LITTLE.horizon]:
        data.ctrl[: simulation.num_hinges] = target
        mujoco.mj_step(model, data)
        states.append((data.qpos.copy(), data.qvel.copy()))
    positions, velocities = (np.array(each) for each in zip(*states, strict=True))
    labels = np.ones((len(positions), len(simulation.standing)))
    simulated = Reference(
        positions, velocities, targets[: len(states)], *reference._observed(simulation, positions, velocities), labels
    )
    weights = replace(corrector.weights, slip=1.0)
    planner = Planner(simulation, simulated, weights, corrector.control_weights, corrector.sampling)
    costs = []

    def watched(start, draws, simulated):
        costs.append(float((simulated(start[None]) ** 2).sum()))
        return start

    monkeypatch.setattr(planning, "_step", watched)
    planner.improved(*state_at(planner, 0), planner.no_controls(), 0, LITTLE, 0.0, np.random.default_rng(0))
    assert costs[0] == pytest.approx(0, abs=1e-9)


def test_controls_outside_the_horizon_stay(planner):
    controls, step = some_controls(planner), 25
    found = planner.improved(*state_at(planner, step), controls, step, LITTLE, 0.3, np.random.default_rng(0))
    changed = np.flatnonzero((found.knots != controls.knots).any(axis=1))
    knot = planner._steps_per_knot
    assert changed.tolist() == list(range(step // knot + 1, (step + LITTLE.horizon - 1) // knot + 2)), (
        "and the knot before it, which was decided"
    )
    assert np.array_equal(found.first_velocity, controls.first_velocity), "the first state is past"
    at_first = planner.improved(*state_at(planner, 0), controls, 0, LITTLE, 0.3, np.random.default_rng(0))
    assert (at_first.first_velocity != 0).all() and (at_first.knots[0] != controls.knots[0]).all()


def test_assistance_is_decided_where_it_is_allowed_alone(planner):
    controls, hinges = planner.no_controls(), planner.simulation.num_hinges
    for assistance in (0.0, 0.2):
        found = planner.improved(*state_at(planner, 0), controls, 0, LITTLE, assistance, np.random.default_rng(0))
        assert found.knots[:, hinges:].any() == (assistance > 0)
        assert found.knots[:, :hinges].any()


def test_the_same_draws_give_the_same_controls(planner):
    def controls(seed):
        random = np.random.default_rng(seed)
        return planner.improved(*state_at(planner, 0), some_controls(planner), 0, LITTLE, 0.2, random).knots

    assert np.array_equal(controls(1), controls(1))
    assert not np.array_equal(controls(1), controls(2))


def test_commands_are_targets_and_offsets_and_no_more_help_than_is_allowed(planner):
    hinges, knot = planner.simulation.num_hinges, planner._steps_per_knot
    knots = np.zeros_like(planner.no_controls().knots)
    knots[2, :hinges], knots[:, hinges:] = 0.5, [3.0, -4.0, 0.0, 0.0, -0.6, 0.2]
    controls = Controls(knots, np.zeros(6))
    commands = planner.commands(controls, 0, 4 * knot, 0.1)
    offsets = commands[:, :hinges] - planner.reference.targets[: 4 * knot]
    hat = 0.5 * np.maximum(0.0, 1 - np.abs(np.arange(4 * knot) / knot - 2))
    np.testing.assert_allclose(offsets, np.broadcast_to(hat[:, None], offsets.shape), atol=1e-12)
    force, torque = planner.simulation.assistance_limits(0.1)
    expected = [0.6 * force, -0.8 * force, 0, 0, -0.6 * torque, 0.2 * torque]
    np.testing.assert_allclose(commands[:, hinges:], np.broadcast_to(expected, (4 * knot, 6)))
    assert not planner.commands(controls, 0, 4 * knot, 0.0)[:, hinges:].any()
    later = planner.commands(controls, knot + 3, knot, 0.1)
    np.testing.assert_allclose(later, commands[knot + 3 : 2 * knot + 3], atol=1e-12)
