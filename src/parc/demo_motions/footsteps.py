"""Planning footsteps: when and where each foot stands."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from parc.demo_motions.plan import SIDES, Footstep, InfeasibleError, Plan, Side, Style
from parc.demo_motions.routes import Route, ground_heights
from parc.terrain.heightfield import Heightfield

FOOT_HALF_LENGTH, FOOT_HALF_WIDTH = 0.0885, 0.045  # metres, of the foot's box
EDGE_MARGIN = 0.03  # metres that a standing foot keeps from the edges of cells of another height
TOE_ROOM = 0.09  # metres from the toes to a higher cell ahead: the foot's box tips forward when the heel rises
HIGHEST_STEP = 0.52  # metres
# Where a foot may stand instead of where it was wanted, metres ahead and further outwards; inwards it meets the other foot.
_AHEAD, _ASIDE = (
    axis.ravel() for axis in np.meshgrid(np.arange(-0.22, 0.221, 0.02), np.arange(-0.06, 0.101, 0.02), indexing="ij")
)
SHORTEST_FLIGHT = 0.05  # seconds; for at least as long both feet stand where there is no flight
TOE_OUT = 0.09  # radians


@dataclass(frozen=True)
class Gait:
    """How somebody walks or runs.

    Attributes:
        step_length: from one foot to the other along the way, metres.
        step_time: from one landing to the next, seconds.
        flight: time without contact before each landing; below 0, the time for which both feet stand, seconds.
        spread: how far each foot lies beside the route, metres.
        gentle_steps: how many steps it takes to get going and to stop.
    """

    step_length: float = 0.6
    step_time: float = 0.52
    flight: float = -0.1
    spread: float = 0.09
    gentle_steps: int = 1


STARTING = Gait(step_length=0.35, step_time=0.5, flight=-0.08)  # the pace from which, and to which, every gait grows


class FootstepPlanner:
    """Lays footsteps one after the other: a motion class calls `stand`, `walk`, `turn`, `jump` and `leap` in turn.

    Args:
        terrain: on which the steps are planned; a foot always stands on level ground, whole.
        route: the first way; the character begins at its start, both feet beside it.
        first: the foot that steps first.
        spread: how far each foot stands beside the route, metres.

    Raises:
        InfeasibleError: (from every method) there is no place for a foot.
    """

    def __init__(self, terrain: Heightfield, route: Route, first: Side, spread: float = 0.09) -> None:
        self._terrain = terrain
        self._steps: list[Footstep] = []
        self._standing: dict[Side, int] = {}
        self._heel_limits: dict[int, float] = {}
        self._clock = 0.0
        self._both_stand = 0.0  # how long the foot behind stays when the next step begins
        self._next: Side = first
        centre, heading = route.at(0.0)
        for side in SIDES:
            self._add(self._place(side, centre, heading, spread), -math.inf)

    def stand(self, seconds: float) -> None:
        """Stay where the feet are."""
        self._clock += seconds
        self._both_stand = 0.0

    def walk(self, route: Route, gait: Gait, start: bool = True, stop: bool = True) -> None:
        """Walk or run along a route.

        Args:
            route: from where the body is.
            gait: how.
            start: get going gently from standing.
            stop: slow down, and set the feet side by side at the end.
        """
        ease = _gentle(route.length, gait, start, stop)
        lengths, *others = _paces(gait, ease)
        distances = np.cumsum(lengths) * route.length / lengths.sum()
        for distance, step_time, flight, spread in zip(*(line.tolist() for line in (distances, *others)), strict=True):
            centre, heading = route.at(distance)
            self._step(self._place(self._next, centre, heading, spread), step_time, flight)
        if stop:
            centre, heading = route.at(route.length)
            self._step(self._place(self._next, centre, heading, STARTING.spread), STARTING.step_time, STARTING.flight)

    def turn(self, centre: Float[np.ndarray, "2"], heading: float, angle: float, step_time: float = 0.4) -> float:
        """Turn on the spot in small steps by `angle` (radians) from `heading`; returns the new heading."""
        self._next = "left" if angle > 0 else "right"  # the foot that is inside opens the turn
        count = max(1, math.ceil(abs(angle) / math.radians(42)))
        for part in range(1, count + 1):
            for _ in SIDES:
                turned = heading + angle * part / count
                self._step(self._place(self._next, centre, turned, 0.1), step_time, -0.06)
        return heading + angle

    def jump(self, route: Route, distance: float, flight: float, crouch: float = 0.55) -> None:
        """Jump from both feet onto both feet, `distance` metres along a route, in `flight` seconds."""
        centre, heading = route.at(distance)
        self._clock += crouch
        for side in SIDES:
            self._release(side, self._clock, heel_time=0.16)
        for side in SIDES:
            step = self._place(side, centre, heading, STARTING.spread)
            self._add(replace(step, lift=0.16), self._clock + flight)
        self._clock += flight
        self._both_stand = 0.0

    def leap(self, route: Route, distance: float, flight: float, gait: Gait) -> None:
        """Out of a walk or a run, fly from one foot onto the other, `distance` metres along a route, in `flight` seconds."""
        centre, heading = route.at(distance)
        self._step(self._place(self._next, centre, heading, gait.spread), flight + 0.24, flight)

    def plan(self, style: Style) -> Plan:
        """Return what has been planned; the motion ends now."""
        return Plan(self._terrain, tuple(self._steps), self._clock, style)

    def _step(self, step: Footstep, step_time: float, flight: float) -> None:
        """Set the next foot down, later where it climbs or descends."""
        if abs(flight) < SHORTEST_FLIGHT:  # neither walking nor running
            flight = math.copysign(SHORTEST_FLIGHT, flight)
        other = self._other_of(step.side)
        standing = self._steps[other]
        climb = step.z - standing.z
        if abs(climb) > HIGHEST_STEP:
            raise InfeasibleError(f"a step of {climb:.2f} m")
        self._release(step.side, self._clock + self._both_stand, heel_time=0.13)
        land = self._clock + step_time * (1 + min(abs(climb), 0.4))
        if climb < -0.05:  # the heel of the upper foot rises while the body sinks
            self._heel_limits[other] = land - 0.1 + 0.45 * climb
            flight = max(flight, -SHORTEST_FLIGHT)
        self._add(step, land)
        self._clock = land
        self._both_stand = -flight
        self._next = standing.side

    def _release(self, side: Side, leave: float, heel_time: float) -> None:
        """Let a standing foot go: its heel rises `heel_time` seconds before its toes leave, later where it stood briefly."""
        index = self._standing[side]
        step = self._steps[index]
        flat = 0.05 if step.land < 0 else step.land + 0.55 * (leave - step.land)
        heel_off = max(leave - heel_time, flat)
        heel_off = min(heel_off, max(self._heel_limits.get(index, math.inf), step.land + 0.1))
        self._steps[index] = replace(step, heel_off=heel_off, leave=leave)

    def _add(self, step: Footstep, land: float) -> None:
        self._standing[step.side] = len(self._steps)
        self._steps.append(replace(step, land=land))

    def _other_of(self, side: Side) -> int:
        return self._standing["right" if side == "left" else "left"]

    def _place(self, side: Side, centre: Float[np.ndarray, "2"], heading: float, spread: float) -> Footstep:
        """Find the place nearest to the one beside `centre` where the whole foot stands on level ground."""
        sign = 1.0 if side == "left" else -1.0
        yaw = heading + sign * TOE_OUT
        places = centre + _turned(np.stack([_AHEAD, sign * (spread + _ASIDE)], axis=-1), heading)
        front, half_width = FOOT_HALF_LENGTH + EDGE_MARGIN, FOOT_HALF_WIDTH + EDGE_MARGIN
        # Closer than twice the margin, so that no corner of a cell pokes in unseen.
        along, across = np.linspace(-front, front, 5), np.linspace(-half_width, half_width, 4)
        sole = np.stack(np.meshgrid(along, across), axis=-1).reshape(-1, 2)
        ahead_of_toes = np.array([[FOOT_HALF_LENGTH + TOE_ROOM, y] for y in (-half_width, half_width)])
        heights = ground_heights(self._terrain, places[:, None] + _turned(sole, yaw))
        before = ground_heights(self._terrain, places[:, None] + _turned(ahead_of_toes, yaw))
        level = (np.ptp(heights, axis=1) < 1e-4) & (before.max(axis=1) < heights[:, 0] + 1e-4)
        if not level.any():
            raise InfeasibleError("no level ground for a foot")
        cost = np.where(level, _AHEAD**2 + 2 * _ASIDE**2, math.inf)
        best = int(cost.argmin())
        x, y = places[best]
        return Footstep(side, float(x), float(y), float(heights[best, 0]), yaw, -math.inf, math.inf, math.inf)


def _gentle(length: float, gait: Gait, start: bool, stop: bool) -> Float[np.ndarray, " steps"]:
    """Return for each step along `length` metres how far (0..1) it has grown from the starting pace to the gait."""
    count = 1
    while True:
        k = np.arange(count)
        ease = np.ones(count)
        if start:
            ease = np.minimum(ease, (k + 0.5) / (gait.gentle_steps + 0.5))
        if stop:
            ease = np.minimum(ease, (count - k - 0.5) / (gait.gentle_steps + 0.5))
        if _paces(gait, ease)[0].sum() > length - gait.step_length / 2:
            return ease
        count += 1


def _paces(gait: Gait, ease: Float[np.ndarray, " steps"]) -> Float[np.ndarray, "4 steps"]:
    """Return length, time, flight and spread of steps that have grown by `ease` from the starting pace to the gait."""
    start, end = (
        np.array([[pace.step_length], [pace.step_time], [pace.flight], [pace.spread]]) for pace in (STARTING, gait)
    )
    return start + (end - start) * ease


def _turned(vectors: Float[np.ndarray, "*batch 2"], angle: float) -> Float[np.ndarray, "*batch 2"]:
    cos, sin = math.cos(angle), math.sin(angle)
    return vectors @ np.array([[cos, sin], [-sin, cos]])
