"""What is thrown falls; what is in the air and does not fall, hovers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parc.anim.flight import GRAVITY, hovering, off_a_throw, runs_of

FPS = 30.0


def thrown(height: float, speed: float, frames: int, gravity: float = GRAVITY) -> np.ndarray:
    seconds = np.arange(frames) / FPS
    return height + speed * seconds - gravity / 2 * seconds**2


@given(height=st.floats(-2, 2), speed=st.floats(-5, 5), frames=st.integers(5, 40))
def test_a_throw_does_not_hover_and_is_on_a_throw(height, speed, frames):
    heights = thrown(height, speed, frames)
    assert not hovering(np.ones(frames, dtype=bool), heights, FPS).any()
    assert off_a_throw(heights, FPS) < 1e-6


@given(speed=st.floats(-5, 5), frames=st.integers(5, 40), share=st.floats(-0.5, 0.45))
def test_what_falls_at_less_than_half_of_gravity_hovers(speed, frames, share):
    heights = thrown(1.0, speed, frames, share * GRAVITY)
    assert hovering(np.ones(frames, dtype=bool), heights, FPS).all()


def test_each_flight_is_judged_by_itself_and_short_ones_are_not():
    in_air = np.array([False, *[True] * 8, False, *[True] * 8, False, *[True] * 4])
    heights = np.concatenate([[0.9], np.full(8, 1.0), [0.9], thrown(0.9, 1.3, 8), [0.9], np.full(4, 1.0)])
    found = hovering(in_air, heights, FPS)
    assert runs_of(found) == [(1, 8)]


def test_standing_in_the_air_is_off_every_throw_by_two_thirds_of_its_sagitta():
    """The line of least squares through a parabola, whose ends are a sagitta from its middle, is a third of it away there."""
    seconds = 20 / FPS
    assert off_a_throw(np.zeros(21), FPS) == pytest.approx(2 / 3 * GRAVITY * seconds**2 / 8, rel=0.06)


def test_too_few_frames_say_nothing():
    for fps in (1.0, 6.0, 13.0):
        assert not hovering(np.array([True, True, True]), np.zeros(3), fps).any()


@pytest.mark.parametrize(
    ("true", "runs"),
    [([], []), ([False, False], []), ([True], [(0, 0)]), ([True, True, False, True], [(0, 1), (3, 3)])],
)
def test_runs_are_found_from_first_to_last(true, runs):
    assert runs_of(np.array(true, dtype=bool)) == runs
