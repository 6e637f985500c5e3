"""Arms that swing against the legs, a trunk that leans, and a head that looks ahead."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from parc.demo_motions.pelvis import FPS, smooth
from parc.demo_motions.plan import Side, Style


@dataclass(frozen=True)
class Movement:
    """What the upper body answers to, frame by frame.

    Attributes:
        heading: of the pelvis, radians.
        speed: of the pelvis over the ground, metres a second.
        rise: vertical speed of the pelvis, metres a second.
        crouch: how far the pelvis is below its standing height, metres.
        throw: how far both arms are thrown forward, radians.
        stride: how far the left foot is before the right one, metres.
        weight: 1 where the left foot carries all, -1 where the right one does.
    """

    heading: Float[np.ndarray, " frames"]
    speed: Float[np.ndarray, " frames"]
    rise: Float[np.ndarray, " frames"]
    crouch: Float[np.ndarray, " frames"]
    throw: Float[np.ndarray, " frames"]
    stride: Float[np.ndarray, " frames"]
    weight: Float[np.ndarray, " frames"]


def wander(random: np.random.Generator, frames: int, seconds: float) -> Float[np.ndarray, " frames"]:
    """Return smooth noise of about unit size that changes within about `seconds`."""
    noise = random.normal(size=frames + 400)
    smoothed = gaussian_filter1d(noise, seconds * FPS)
    return (smoothed / smoothed.std())[200 : 200 + frames].clip(-1.8, 1.8)


def turn_pelvis(movement: Movement, style: Style) -> Rotation:
    """Return the pelvis in the world: it turns with the leading leg, drops over the swinging one, and leans a little."""
    yaw = movement.heading - 0.16 * movement.stride
    roll = 0.04 * style.bounce * movement.weight
    return Rotation.from_euler("ZYX", np.stack([yaw, 0.35 * _lean(movement, style), roll], axis=-1))


def turn_torso(movement: Movement, style: Style) -> Rotation:
    """Return the torso against the pelvis: it leans the rest of the way and turns with the arms, against the legs."""
    yaw = 0.28 * movement.stride
    roll = -0.055 * style.bounce * movement.weight
    return Rotation.from_euler("ZYX", np.stack([yaw, 0.65 * _lean(movement, style), roll], axis=-1))


def turn_head(
    random: np.random.Generator,
    torso: Rotation,
    movement: Movement,
    style: Style,
    look_down: Float[np.ndarray, " frames"],
) -> Rotation:
    """Return the head against the torso (in the world): upright, looking where the way leads and now and then aside."""
    frames = len(movement.heading)
    ahead = np.minimum(np.arange(frames) + round(0.35 * FPS), frames - 1)
    turn = np.clip(smooth(movement.heading[ahead], 0.1) - movement.heading, -0.6, 0.6)
    yaw = movement.heading + turn + style.look_around * wander(random, frames, 0.5)
    pitch = look_down + 0.03 * wander(random, frames, 0.6) + 0.3 * _lean(movement, style)
    looking = Rotation.from_euler("ZYX", np.stack([yaw, pitch, np.zeros(frames)], axis=-1))
    return torso.inv() * looking


def swing_arm(
    random: np.random.Generator, side: Side, movement: Movement, style: Style
) -> tuple[Rotation, Float[np.ndarray, " frames"]]:
    """Return the upper arm against the torso and the elbow's bend (radians, positive)."""
    frames = len(movement.heading)
    sign = 1.0 if side == "left" else -1.0
    # The arm goes with the other side's leg, a little late, and never further than arms go.
    legs = -sign * smooth(movement.stride, 0.05)
    hurry = np.clip((movement.speed - 1.4) / 1.6, 0, 1)
    swing = style.arm_swing * (0.8 - 0.1 * hurry) * np.tanh(legs * 1.2) / 1.2
    noise = [size * wander(random, frames, 0.7) for size in (0.04, 0.03, 0.05)]
    forward = swing + 0.12 + movement.throw + 0.5 * _lean(movement, style) + noise[0]
    aside = 0.16 + 0.1 * hurry + 0.2 * np.abs(movement.throw) + noise[1]
    elbow = style.elbow + hurry + 0.35 * np.maximum(swing, 0) + 0.3 * np.abs(movement.throw) + noise[2]
    inward = 0.15 + 0.35 * hurry
    # At rest the arm points sideways; a quarter turn about x lets it hang.
    hang = sign * (aside - np.pi / 2)
    arm = Rotation.from_euler("YXY", np.stack([-forward, hang, inward], axis=-1))
    return arm, np.clip(elbow, 0.1, 2.2)


def _lean(movement: Movement, style: Style) -> Float[np.ndarray, " frames"]:
    """Forward with speed, when climbing, and over bent knees; radians."""
    climbing = np.clip(smooth(movement.rise, 0.25), -0.3, 0.6)
    return style.lean + 0.065 * movement.speed + 0.22 * climbing + 2.0 * np.maximum(movement.crouch - 0.03, 0)
