"""What a motion class gives: footsteps on a terrain, and how the character carries itself."""

from dataclasses import dataclass
from typing import Literal

from parc.terrain.heightfield import Heightfield

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")


class InfeasibleError(Exception):
    """A plan that the character cannot carry out; the generator draws another one."""


@dataclass(frozen=True)
class Footstep:
    """A foot on the ground.

    Attributes:
        side: which foot.
        x, y: of the centre of the foot's box, world, metres.
        z: height of the ground there, metres.
        yaw: direction of the toes, radians.
        land: when the foot is flat on the ground; minus infinity where the clip begins so, seconds.
        heel_off: when the heel begins to rise, the toes staying where they are; infinity where the clip ends so, seconds.
        leave: when the toes leave, seconds.
        lift: how far the foot rises at least in the swing that leads here, metres.
    """

    side: Side
    x: float
    y: float
    z: float
    yaw: float
    land: float
    heel_off: float
    leave: float
    lift: float = 0.04


@dataclass(frozen=True)
class Style:
    """How somebody moves: what differs from clip to clip where the footsteps are the same.

    Attributes:
        height: height of the standing pelvis over the ground, metres.
        arm_swing: how far arms swing (1 is usual).
        elbow: bend of the elbows when standing, radians.
        bounce: how far the pelvis bobs and sways (1 is usual).
        lean: of the upper body when standing, radians.
        look_around: how far the head turns aside, radians.
        idle_sway: how far the weight shifts about, metres.
        knee_bends: times (seconds) and depths (metres) at which the knees are bent.
    """

    height: float = 0.86
    arm_swing: float = 1.0
    elbow: float = 0.35
    bounce: float = 1.0
    lean: float = 0.03
    look_around: float = 0.12
    idle_sway: float = 0.006
    knee_bends: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a motion class gives.

    Attributes:
        terrain: under the motion; see `routes.terrain_along`.
        footsteps: every stand of every foot, in the order of landing; both feet stand at time 0 and at the end.
        seconds: length of the motion.
        style: how the character carries itself.
    """

    terrain: Heightfield
    footsteps: tuple[Footstep, ...]
    seconds: float
    style: Style
