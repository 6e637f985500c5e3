"""The way of each foot from footstep to footstep: flat on the ground, over the toes, in an arc that clears the terrain."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from parc.demo_motions.footsteps import FOOT_HALF_LENGTH, FOOT_HALF_WIDTH
from parc.demo_motions.plan import Footstep, InfeasibleError, Plan, Side
from parc.demo_motions.routes import ground_heights
from parc.terrain.heightfield import Heightfield

# The foot's box in the frame of the ankle, metres: toe and heel ends, and the sole below.
TOE, HEEL, SOLE = 0.1335, -0.0435, -0.05
CLEARANCE = 0.035  # metres between a swinging sole and what it passes over
SWEEP_MARGIN = 0.02  # metres around the sole that must clear too
TIP_MARGIN = 0.07  # metres that the box of a foot tips over its toes, with some room
CLOSEST_PASS = 0.12  # metres between the middles of a swinging foot and of the other one, seen from above
FARTHEST_ASIDE = 0.25  # metres that a swing goes round it
HIGHEST_ARC = 0.34  # metres above the higher of both footsteps


@dataclass(frozen=True)
class FootMotion:
    """A foot over all frames.

    Attributes:
        toe: the point under the toes' end, world, metres; its height is that of the lowest point of the sole.
        yaw: direction of the toes, radians, continuous.
        pitch: of the foot, toes down is positive, radians.
        label: contact label, 0..1.
        on_ground: the toes or the whole sole stand.
        heel_free: 0 where the sole is flat, up to 1 where the foot may pitch.
    """

    toe: Float[np.ndarray, "frames 3"]
    yaw: Float[np.ndarray, " frames"]
    pitch: Float[np.ndarray, " frames"]
    label: Float[np.ndarray, " frames"]
    on_ground: Bool[np.ndarray, " frames"]
    heel_free: Float[np.ndarray, " frames"]

    @property
    def ankle(self) -> Float[np.ndarray, "frames 3"]:
        """Position of the foot body, world, metres."""
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        back = TOE * cos + SOLE * sin
        up = np.maximum(TOE * sin, HEEL * sin) - SOLE * cos
        return self.toe + np.stack([-back * np.cos(self.yaw), -back * np.sin(self.yaw), up], axis=-1)


def move_foot(plan: Plan, side: Side, times: Float[np.ndarray, " frames"]) -> FootMotion:
    """Return the motion of a foot at `times` (seconds).

    Raises:
        InfeasibleError: no arc of reasonable height clears the terrain.
    """
    steps = [step for step in plan.footsteps if step.side == side]
    toe = np.zeros((len(times), 3))
    yaw, pitch, label, heel_free = (np.zeros(len(times)) for _ in range(4))
    on_ground = np.zeros(len(times), dtype=bool)
    for step in steps:
        standing = (times >= step.land) & (times <= step.leave)
        toe[standing], yaw[standing] = _toe(step), step.yaw
        on_ground |= standing
        label = np.maximum(label, _label(step, times))
    others = [step for step in plan.footsteps if step.side != side]
    for before, after in pairwise(steps):
        flying = (times > before.leave) & (times < after.land)
        share = (times[flying] - before.leave) / (after.land - before.leave)
        toe[flying], yaw[flying] = _arc(plan.terrain, before, after, _aside(before, after, others)).at(share)
        lifted = (times >= before.heel_off) & (times < after.land)
        pitch[lifted] = _pitch(before, after, times[lifted])
        heel_free[lifted] = np.minimum(
            smooth_step((times[lifted] - before.heel_off) / 0.15), smooth_step((after.land - times[lifted]) / 0.15)
        )
    return FootMotion(toe, yaw, pitch, label, on_ground, heel_free)


def smooth_step(share: Float[np.ndarray, "*shares"]) -> Float[np.ndarray, "*shares"]:
    """Go from 0 to 1 with no velocity and no acceleration at both ends (the minimum-jerk curve; Flash and Hogan, 1985)."""
    u = np.clip(share, 0, 1)
    return u**3 * (10 - 15 * u + 6 * u**2)


@dataclass(frozen=True)
class _Arc:
    """A swing: horizontal way and climb each have a part of the time of their own; see `at`."""

    start: Float[np.ndarray, "4"]  # x, y, z of the toe, yaw
    end: Float[np.ndarray, "4"]
    way: tuple[float, float]
    climb: tuple[float, float]
    height: float
    aside: Float[np.ndarray, "2"]  # x, y of how far the swing goes round the other foot, metres

    def at(
        self, share: Float[np.ndarray, " shares"]
    ) -> tuple[Float[np.ndarray, "shares 3"], Float[np.ndarray, " shares"]]:
        """Return toe and yaw after the share 0..1 of the swing."""
        along = smooth_step((share - self.way[0]) / (self.way[1] - self.way[0]))[:, None]
        up = smooth_step((share - self.climb[0]) / (self.climb[1] - self.climb[0]))
        pose = self.start + (self.end - self.start) * along
        z = self.start[2] + (self.end[2] - self.start[2]) * up + self.height * np.sin(np.pi * share) ** 2
        xy = pose[:, :2] + self.aside * np.sin(np.pi * along) ** 2
        return np.concatenate([xy, z[:, None]], axis=1), pose[:, 3]


def _aside(before: Footstep, after: Footstep, others: list[Footstep]) -> Float[np.ndarray, "2"]:
    """Return how far (x, y, metres) a swing goes round the other foot: straight on, it would cross that where the way bends."""
    start, way = np.array([before.x, before.y]), np.array([after.x - before.x, after.y - before.y])
    reach = float(np.linalg.norm(way))
    if reach < CLOSEST_PASS:
        return np.zeros(2)
    outwards = np.array([-way[1], way[0]]) / reach * (1.0 if before.side == "left" else -1.0)
    farthest = 0.0
    for other in others:
        if other.land < after.land and other.leave > before.leave:
            apart = np.array([other.x, other.y]) - start
            along = float(apart @ way) / reach**2
            if 0.15 < along < 0.85:
                farthest = max(farthest, (float(apart @ outwards) + CLOSEST_PASS) / math.sin(math.pi * along) ** 2)
    return min(farthest, FARTHEST_ASIDE) * outwards


def _arc(terrain: Heightfield, before: Footstep, after: Footstep, aside: Float[np.ndarray, "2"]) -> _Arc:
    """Choose the lowest arc that clears the terrain: up first and then over an edge, or over it first and then down."""
    start, end = (np.array([*_toe(step), step.yaw]) for step in (before, after))
    climb = after.z - before.z
    reach = math.hypot(after.x - before.x, after.y - before.y)
    wanted = after.lift + 0.05 * max(0.0, reach / (after.land - before.leave) - 2.5)
    if climb > 0.05:
        shapes = [((0.0, 1.0), (0.0, 0.8)), ((0.15, 1.0), (0.0, 0.6)), ((0.3, 1.0), (0.0, 0.5))]
    elif climb < -0.05:
        shapes = [((0.0, 1.0), (0.2, 1.0)), ((0.0, 0.85), (0.4, 1.0)), ((0.0, 0.7), (0.5, 1.0))]
    else:
        shapes = [(way, (0.0, 1.0)) for way in ((0.0, 1.0), (0.15, 1.0), (0.0, 0.85), (0.15, 0.85), (0.25, 0.8))]
    best: tuple[float, _Arc] | None = None
    for number, (way, rise) in enumerate(shapes):
        height = _height_that_clears(terrain, _Arc(start, end, way, rise, 0.0, aside), wanted)
        if height is not None and (best is None or height + 0.08 * number < best[0]):
            best = (height + 0.08 * number, _Arc(start, end, way, rise, height, aside))
    if best is None:
        raise InfeasibleError("no arc clears the terrain")
    return best[1]


def _height_that_clears(terrain: Heightfield, arc: _Arc, wanted: float) -> float | None:
    share = np.linspace(0, 1, 41)
    toe, yaw = arc.at(share)
    # A grid closer than a cell under the whole sole: every cell that the foot is above is seen.
    ahead, aside = np.meshgrid(
        np.linspace(-2 * FOOT_HALF_LENGTH - SWEEP_MARGIN, TIP_MARGIN, 6),
        np.linspace(-1, 1, 4) * (FOOT_HALF_WIDTH + SWEEP_MARGIN),
        indexing="ij",
    )
    forward = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)[:, None]
    left = np.stack([-np.sin(yaw), np.cos(yaw)], axis=-1)[:, None]
    below = toe[:, None, :2] + ahead.reshape(1, -1, 1) * forward + aside.reshape(1, -1, 1) * left
    ground = ground_heights(terrain, below).max(axis=1)
    bump = np.sin(np.pi * share) ** 2
    need = ground + CLEARANCE * np.minimum(1, 3 * bump) - toe[:, 2]
    inner = slice(1, -1)
    lowest = float((need[inner] / bump[inner]).max())
    height = max(lowest, wanted)
    return height if height <= HIGHEST_ARC else None


def _pitch(before: Footstep, after: Footstep, times: Float[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
    """Toes down while the foot is left behind, a little up before it lands."""
    reach = math.hypot(after.x - before.x, after.y - before.y)
    swing = after.land - before.leave
    speed = reach / swing
    peak = min(math.radians(8 + 34 * reach + 8 * max(0.0, speed - 2.5)), math.radians(68))
    up = -math.radians(14) * min(1.0, reach) if after.z > before.z - 0.05 else math.radians(8)
    rise = smooth_step((times - before.heel_off) / (before.leave + 0.2 * swing - before.heel_off))
    fall = smooth_step((times - before.leave - 0.2 * swing) / (0.65 * swing))
    flat = smooth_step((times - before.leave - 0.8 * swing) / (0.2 * swing))
    return peak * rise + (up - peak) * fall - up * flat


def _label(step: Footstep, times: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " frames"]:
    """1 while the sole is flat, falling while only the toes stand, with short ramps in the air."""
    ramp = 0.05
    knots = [
        (step.land - ramp, 0.0),
        (step.land, 1.0),
        (step.heel_off, 1.0),
        (step.leave, 0.3),
        (step.leave + ramp, 0.0),
    ]
    finite = [(time, value) for time, value in knots if math.isfinite(time)]
    if not math.isfinite(step.land):
        finite.insert(0, (times[0] - 1.0, 1.0))
    if not math.isfinite(step.leave):
        finite.append((times[-1] + 1.0, 1.0))
    return np.interp(times, *np.array(finite).T)


def _toe(step: Footstep) -> Float[np.ndarray, "3"]:
    return np.array(
        [step.x + FOOT_HALF_LENGTH * math.cos(step.yaw), step.y + FOOT_HALF_LENGTH * math.sin(step.yaw), step.z]
    )
