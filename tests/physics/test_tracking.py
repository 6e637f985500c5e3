"""Residuals are how far simulated states are from the clip, each weighed as it is said."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from dataclasses import fields, replace

import mujoco
import numpy as np
import pytest
from easy_clips import FEET, HUMANOID, stepping_clip
from scipy.spatial.transform import Rotation

from parc.physics.reference import Reference, reference_of
from parc.physics.simulation import Simulation, simulation_of
from parc.physics.tracking import FAR, Tracking, TrackingWeights

STATE = 80  # in which one foot is off the ground
NO_WEIGHTS = {field.name: 0.0 for field in fields(TrackingWeights)}


@pytest.fixture(scope="module")
def stepping() -> tuple[Simulation, Reference]:
    simulation = simulation_of(stepping_clip(), HUMANOID, ("head", "left_hand"), FEET)
    return simulation, reference_of(simulation, stepping_clip())


def squared(stepping, weight: str, qpos=None, qvel=None, at: int = STATE) -> float:
    """Return the squared residuals with a weight of 4 on one quantity, of a state that was changed."""
    return float((residuals_of(stepping, weight, qpos, qvel, at) ** 2).sum())


def residuals_of(stepping, weight: str, qpos=None, qvel=None, at: int = STATE) -> np.ndarray:
    simulation, reference = stepping
    data = mujoco.MjData(simulation.model)
    for step in (at - 1, at):  # what sensors show after a step is of the state before it
        data.qpos[:], data.qvel[:] = reference.positions[step], reference.velocities[step]
        if qpos is not None:
            qpos(data.qpos)
        if qvel is not None:
            qvel(data.qvel)
        if step < at:
            mujoco.mj_forward(simulation.model, data)
    state = np.concatenate([[0.0], data.qpos, data.qvel])
    tracking = Tracking(simulation, reference, TrackingWeights(**NO_WEIGHTS | {weight: 4.0}))
    return tracking.residuals(state[None, None], data.sensordata[None, None].copy(), np.array([at]))[0, 0]


def shifted(values: np.ndarray) -> None:
    values[:3] += [0.03, -0.04, 0.12]


def turned(angle: float):
    def turn(values: np.ndarray) -> None:
        at = Rotation.from_quat(values[[4, 5, 6, 3]]) * Rotation.from_rotvec([0.0, angle, 0.0])
        values[3:7] = at.as_quat()[[3, 0, 1, 2]]

    return turn


def bent(values: np.ndarray) -> None:
    values[-5] += 0.1


def faster(values: np.ndarray) -> None:
    values[:3] += [0.2, 0.0, -0.1]


def spinning(values: np.ndarray) -> None:
    values[3:6] += [0.0, 0.3, 0.0]


@pytest.mark.parametrize("weight", NO_WEIGHTS)
def test_what_is_where_the_clip_is_costs_nothing(stepping, weight):
    assert squared(stepping, weight) < 1e-12


@pytest.mark.parametrize(
    ("weight", "qpos", "qvel", "expected"),
    [
        ("root", shifted, None, 0.03**2 + 0.04**2 + 0.12**2),
        ("root_far", shifted, None, 0.0),
        ("root_turn", turned(0.01), None, 0.01**2),
        ("root_turn", turned(-0.01), None, 0.01**2),
        ("joints", bent, None, 0.1**2),
        ("tracked", shifted, None, 2 * 0.13**2),
        ("centre_of_mass", shifted, None, 0.13**2),
        ("root_velocity", None, faster, 0.05),
        ("momentum", None, faster, 0.05),
        ("root_spin", None, spinning, 0.09),
        ("joint_velocities", None, bent, 0.1**2),
    ],
)
def test_what_is_off_costs_the_square_of_its_distance(stepping, weight, qpos, qvel, expected):
    assert squared(stepping, weight, qpos, qvel) == pytest.approx(4 * expected, rel=1e-3, abs=1e-12)


def test_what_is_far_costs_more(stepping):
    def away(values: np.ndarray) -> None:
        values[0] += FAR + 0.1

    assert squared(stepping, "root_far", away) == pytest.approx(4 * 0.1**2, rel=1e-6)


def test_what_is_far_from_the_clip_as_it_was_given_costs_more_even_where_the_clip_was_brought_out_of_the_ground():
    clip = stepping_clip()
    root_pos = clip.root_pos.clone()
    root_pos[:, 2] -= FAR + 0.1
    sunk = replace(clip, root_pos=root_pos)
    simulation = simulation_of(sunk, HUMANOID, ("head", "left_hand"), FEET)
    assert squared((simulation, reference_of(simulation, sunk)), "root_far") == pytest.approx(4 * 0.1**2, rel=0.1)


def test_a_turn_is_the_same_for_either_quaternion(stepping):
    def other(values: np.ndarray) -> None:
        turned(0.2)(values)
        values[3:7] *= -1

    found = residuals_of(stepping, "root_turn", turned(0.2))
    np.testing.assert_allclose(residuals_of(stepping, "root_turn", other), found, atol=1e-12)
    back = residuals_of(stepping, "root_turn", turned(-0.2))
    np.testing.assert_allclose(back, -found, atol=1e-12)


@pytest.mark.parametrize("at", [1, STATE])
def test_feet_that_slide_cost_as_much_as_they_are_labelled_to_stand(stepping, at):
    labels = stepping[1].labels[at - 1]
    assert labels.sum() == (2 if at == 1 else 1)
    assert squared(stepping, "slip", qvel=faster, at=at) == pytest.approx(4 * 0.05 * (labels**2).sum(), rel=1e-3)
