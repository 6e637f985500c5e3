import numpy as np
import pytest
from demo_clips import humanoid_and_surface
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from parc.demo_motions.legs import Leg, bend_leg, highest_hip, pull_within_reach
from parc.demo_motions.pelvis import within_reach

LEG = Leg.of(humanoid_and_surface()[0], "left")
unit = st.floats(-1, 1)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.2, 0.825), unit, unit, unit, unit)
def test_the_leg_ends_at_the_ankle_with_the_knee_in_front(distance, x, y, turn_x, turn_y):
    down = np.array([[0.6 * x, 0.3 * y, -1.0]])
    down /= np.linalg.norm(down)
    forward = np.array([[1.0, 0.2 * turn_y, 0.0]])
    forward /= np.linalg.norm(forward)
    hip = np.array([[0.3, turn_x, 0.9]])
    ankle = hip + distance * down
    thigh, shin = bend_leg(LEG, hip, ankle, forward)
    knee = hip + (thigh @ [0, 0, -LEG.thigh])
    assert knee + (shin @ [0, 0, -LEG.shin]) == pytest.approx(ankle, abs=1e-9)
    between = hip + down * ((knee - hip) * down).sum()
    assert ((knee - between) * forward).sum() > 0
    bend = np.einsum("fij,fik->fjk", thigh, shin)
    assert bend[0, 1] == pytest.approx([0, 1, 0], abs=1e-9)  # the knee is a hinge about y
    assert np.linalg.det(thigh) == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 1.6))
def test_an_ankle_out_of_reach_is_pulled_in_and_others_stay(distance):
    hip, ankle = np.array([[0.0, 0.0, 1.0]]), np.array([[0.6, 0.0, -0.8]]) * distance + [0.0, 0.0, 1.0]
    pulled = pull_within_reach(LEG, hip, ankle)
    assert np.linalg.norm(pulled - hip) <= LEG.length
    if distance < 0.985 * LEG.length:
        assert pulled == pytest.approx(ankle)


def test_the_highest_hip_is_as_far_as_a_standing_leg_reaches():
    ankle, hip_xy = np.array([[0.1, 0.2, 0.05], [9.0, 0.0, 0.0]]), np.array([[0.3, 0.0], [0.0, 0.0]])
    height = highest_hip(LEG, ankle, hip_xy)
    assert np.linalg.norm([0.2, -0.2, height[0] - 0.05]) == pytest.approx(0.985 * LEG.length)
    assert np.isnan(height[1])


@settings(max_examples=60, deadline=None)
@given(arrays(float, 40, elements=st.floats(-1, 1)), arrays(float, 40, elements=st.floats(-1, 1)))
def test_a_curve_is_brought_below_its_bound_everywhere(heights, highest):
    lowered = within_reach(heights, highest)
    assert (lowered <= highest + 1e-9).all()
    assert (lowered <= heights + 1e-9).all()


def test_a_curve_within_reach_is_left_as_it_is():
    heights = np.linspace(0, 1, 50)
    assert within_reach(heights, heights + 0.1) == pytest.approx(heights)
