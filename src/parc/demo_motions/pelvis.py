"""The curve of the pelvis: carried over the footsteps, falling with gravity in flight, always where the legs reach."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from parc.anim.flight import GRAVITY
from parc.demo_motions.plan import Footstep, Plan

FPS = 30.0
PUSH_TIME = 0.2  # seconds from the deepest point of a crouch to take-off
LANDING_TIME = 0.17  # seconds from touching down to the deepest point
CORRECTION_FRAMES = 6  # over how many frames before and after, a pelvis that is out of reach is brought down


@dataclass(frozen=True)
class _Support:
    """A moment between two steps: feet (mean), ground under them, and heading."""

    time: float
    place: Float[np.ndarray, "2"]
    ground: float
    yaw: float


@dataclass(frozen=True)
class _Flight:
    """Take-off and touch-down."""

    leave: float
    land: float
    before: _Support
    after: _Support
    stand_before: float
    stand_after: float
    both_feet: bool


def place_pelvis(
    plan: Plan, times: Float[np.ndarray, " frames"]
) -> tuple[Float[np.ndarray, "frames 3"], Float[np.ndarray, " frames"]]:
    """Return the wanted position (world, metres) and heading (radians) of the pelvis at `times` (seconds, 1 / FPS apart)."""
    pairs, flights = _pairs(plan), _flights(plan)
    knots = [(0.0, pairs[0].place)]
    yaws = [(0.0, pairs[0].yaw)]
    for pair in pairs:
        knots.append((pair.time, pair.place))
        yaws.append((pair.time, pair.yaw))
    for flight in flights:
        knots += _flight_places(flight)
        yaws += [(flight.leave, flight.before.yaw), (flight.land, flight.after.yaw)]
    knots.sort(key=lambda knot: knot[0])
    yaws.sort(key=lambda knot: knot[0])
    knot_times = np.array([time for time, _ in knots])
    xy = np.stack([np.interp(times, knot_times, [place[axis] for _, place in knots]) for axis in (0, 1)], axis=-1)
    xy += _sway(plan, times, xy)
    yaw = np.interp(times, [time for time, _ in yaws], [value for _, value in yaws])
    xy = smooth(xy, 0.09 if flights else 0.13)
    speed = smooth(np.linalg.norm(np.gradient(xy, axis=0), axis=-1) * FPS, 0.2)
    z = _heights(plan, pairs, flights, times, speed)
    return np.concatenate([xy, z[:, None]], axis=1), smooth(yaw, 0.15)


def jumps(plan: Plan) -> list[tuple[float, float]]:
    """Return take-off and touch-down (seconds) of every jump from both feet."""
    return [(flight.leave, flight.land) for flight in _flights(plan) if flight.both_feet]


def smooth(values: Float[np.ndarray, "frames *rest"], seconds: float) -> Float[np.ndarray, "frames *rest"]:
    """Smooth over time with a Gaussian of the given standard deviation."""
    return gaussian_filter1d(values, seconds * FPS, axis=0, mode="nearest")


def within_reach(
    heights: Float[np.ndarray, " frames"], highest: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, " frames"]:
    """Bring a curve down so that it nowhere lies above `highest`, by a correction that is smooth itself.

    The correction is a weighted mean of the largest excess nearby, so it is at least the excess at every frame.
    """
    excess = maximum_filter1d(np.maximum(heights - highest, 0), 2 * CORRECTION_FRAMES + 1, mode="nearest")
    window = np.hanning(2 * CORRECTION_FRAMES + 3)[1:-1]
    padded = np.pad(excess, CORRECTION_FRAMES, mode="edge")
    return heights - np.convolve(padded, window / window.sum(), mode="valid")


def _flight_places(flight: _Flight) -> list[tuple[float, Float[np.ndarray, "2"]]]:
    """Pass over the feet at one speed from shortly before take-off until shortly after touch-down."""
    before, after = (min(0.13, stand / 2) for stand in (flight.stand_before, flight.stand_after))
    way = flight.after.place - flight.before.place
    velocity = way / (flight.land - flight.leave + before + after)
    return [
        (flight.leave - before, flight.before.place),
        (flight.leave, flight.before.place + velocity * before),
        (flight.land, flight.after.place - velocity * after),
        (flight.land + after, flight.after.place),
    ]


def _heights(
    plan: Plan,
    pairs: list[_Support],
    flights: list[_Flight],
    times: Float[np.ndarray, " frames"],
    speed: Float[np.ndarray, " frames"],
) -> Float[np.ndarray, " frames"]:
    style = plan.style
    bob = 0.018 * style.bounce

    def standing(time: float) -> float:
        return style.height - 0.022 * float(np.interp(time, times, speed))

    knots: dict[float, tuple[float, float | None]] = {0.0: (pairs[0].ground + standing(0.0), 0.0)}
    for pair in pairs:
        moving = min(1.0, float(np.interp(pair.time, times, speed)))
        knots[pair.time] = (pair.ground + standing(pair.time) - bob * moving, None)
    for middle, step in _single_supports(plan):
        moving = min(1.0, float(np.interp(middle, times, speed)))
        knots[middle] = (step.z + standing(middle) + bob * moving, None)
    falls = _flight_heights(flights, standing)
    for flight in flights:
        start, end = flight.leave - _push_time(flight) - 0.12, flight.land + _give_time(flight) + 0.12
        knots = {time: knot for time, knot in knots.items() if not start < time < end}
    knots |= {time: (value, slope) for time, value, slope in falls}
    placed = sorted((time, *value) for time, value in knots.items())
    knot_times, values = np.array([time for time, _, _ in placed]), np.array([value for _, value, _ in placed])
    slopes = PchipInterpolator(knot_times, values).derivative()(knot_times)
    slopes = np.array([own if given is None else given for own, (_, _, given) in zip(slopes, placed, strict=True)])
    z = CubicHermiteSpline(knot_times, values, slopes)(np.clip(times, knot_times[0], knot_times[-1]))
    for time, depth in style.knee_bends:
        z = z - depth * np.exp(-0.5 * ((times - time) / 0.28) ** 2)
    return smooth(z, 0.035)


def _flight_heights(flights: list[_Flight], standing: Callable[[float], float]) -> list[tuple[float, float, float]]:
    """Return times, heights and vertical speeds of crouches, take-offs, touch-downs and of knees giving way."""
    knots: list[tuple[float, float, float]] = []
    for flight in flights:
        duration = flight.land - flight.leave
        push, give = _push_time(flight), _give_time(flight)
        leave = flight.before.ground + standing(flight.leave) + min(0.05, 0.2 * duration)
        land = flight.after.ground + standing(flight.land)
        rise = (land - leave) / duration + GRAVITY * duration / 2
        fall = rise - GRAVITY * duration
        crouch = (flight.leave - push, leave - max(0.0, rise) * push / 2, 0.0)
        if knots and crouch[0] - knots[-1][0] < 0.12:
            # Between two flights the knees give way once: landing and take-off share their deepest point.
            before = knots.pop()
            crouch = ((before[0] + crouch[0]) / 2, (before[1] + crouch[1]) / 2, 0.0)
        sink = (flight.land + give, land + min(0.0, fall) * give / 2, 0.0)
        knots += [crouch, (flight.leave, leave, rise), (flight.land, land, fall), sink]
    return knots


def _push_time(flight: _Flight) -> float:
    return min(PUSH_TIME, flight.stand_before / 2)


def _give_time(flight: _Flight) -> float:
    return min(LANDING_TIME, flight.stand_after / 2)


def _pairs(plan: Plan) -> list[_Support]:
    """Return when the body is midway between both feet: once while both stand briefly, twice where for long."""
    pairs = []
    for first, second, start, end in _stands_of_both(plan):
        if end - start < 0.3:
            pairs.append(_support((first, second), (start + end) / 2))
        else:
            pairs += [_support((first, second), time) for time in (max(start + 0.12, 0.0), end - 0.12)]
    return pairs


def _stands_of_both(plan: Plan) -> list[tuple[Footstep, Footstep, float, float]]:
    stands = []
    for first in plan.footsteps:
        for second in plan.footsteps:
            start, end = max(first.land, second.land, 0.0), min(first.leave, second.leave, plan.seconds)
            if first.side == "left" and second.side == "right" and end > start:
                stands.append((first, second, start, end))
    return sorted(stands, key=lambda stand: stand[2])


def _single_supports(plan: Plan) -> list[tuple[float, Footstep]]:
    """Return the middle of each time for which one foot stands alone."""
    middles = []
    for step in plan.footsteps:
        others = [other for other in plan.footsteps if other.side != step.side]
        for before, after in pairwise(others):
            start, end = max(step.land, before.leave), min(step.leave, after.land)
            if end > start and before.leave >= 0:
                middles.append(((start + end) / 2, step))
    return middles


def _flights(plan: Plan) -> list[_Flight]:
    """Find the times without any contact."""
    flights = []
    leaves = sorted({step.leave for step in plan.footsteps if math.isfinite(step.leave)})
    for leave in leaves:
        if any(step.land <= leave < step.leave for step in plan.footsteps):
            continue
        before = [step for step in plan.footsteps if step.leave == leave]
        land = min(step.land for step in plan.footsteps if step.land > leave)
        after = [step for step in plan.footsteps if step.land == land]
        stand_before = leave - max(max(step.land for step in before), -1.0)
        stand_after = min(min(step.leave for step in after), plan.seconds + 1.0) - land
        flights.append(
            _Flight(
                leave, land, _support(before, leave), _support(after, land), stand_before, stand_after, len(before) == 2
            )
        )
    return flights


def _support(steps: tuple[Footstep, ...] | list[Footstep], time: float) -> _Support:
    return _Support(
        time,
        np.mean([[step.x, step.y] for step in steps], axis=0),
        float(np.mean([step.z for step in steps])),
        float(np.mean([step.yaw for step in steps])),
    )


def _sway(
    plan: Plan, times: Float[np.ndarray, " frames"], xy: Float[np.ndarray, "frames 2"]
) -> Float[np.ndarray, "frames 2"]:
    """Towards the foot that stands alone."""
    sway = np.zeros_like(xy)
    for middle, step in _single_supports(plan):
        towards = np.array([step.x, step.y]) - [np.interp(middle, times, xy[:, axis]) for axis in (0, 1)]
        across = np.array([-math.sin(step.yaw), math.cos(step.yaw)])
        bump = np.exp(-0.5 * ((times - middle) / 0.12) ** 2)
        sway += 0.3 * plan.style.bounce * (towards @ across) * across * bump[:, None]
    return sway
