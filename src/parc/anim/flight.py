"""Flight: how far what touches nothing is from falling as whatever is thrown does."""

import numpy as np
from jaxtyping import Bool, Float

GRAVITY = 9.81  # metres/s^2
SHORTEST_FLIGHT = 0.15  # seconds; in less, a throw and standing still are centimetres apart
FRAMES_OF_A_CURVE = 4  # through fewer there is a parabola of any kind


def runs_of(true: Bool[np.ndarray, " frames"]) -> list[tuple[int, int]]:
    """Return the first and the last frame of each run of true values."""
    edges = np.flatnonzero(np.diff(np.r_[False, true, False].astype(int)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def off_a_throw(heights: Float[np.ndarray, " frames"], fps: float) -> float:
    """Return how far heights (metres) are from those of the throw that fits best, metres."""
    seconds = np.arange(len(heights)) / fps
    rising = heights + GRAVITY / 2 * seconds**2  # a straight line in a throw
    line = np.polyfit(seconds, rising, 1) if len(heights) > 1 else np.array([0.0, rising[0]])
    return float(np.abs(rising - np.polyval(line, seconds)).max())


def hovering(
    in_air: Bool[np.ndarray, " frames"], heights: Float[np.ndarray, " frames"], fps: float
) -> Bool[np.ndarray, " frames"]:
    """Say in which frames somebody hovers: is on no ground, and does not fall.

    Of each flight of `SHORTEST_FLIGHT` or longer, that is all frames or none: the parabola that fits the heights best falls at
    less than half of gravity.

    Args:
        in_air: where no ground supports anything.
        heights: of the centre of mass, or of what moves like it, metres.
        fps: frames a second.
    """
    hovers = np.zeros_like(in_air)
    for first, last in runs_of(in_air):
        seconds = np.arange(last - first + 1) / fps
        if len(seconds) >= max(FRAMES_OF_A_CURVE, SHORTEST_FLIGHT * fps):
            acceleration = 2 * np.polyfit(seconds, heights[first : last + 1], 2)[0]
            hovers[first : last + 1] = acceleration > -GRAVITY / 2
    return hovers
