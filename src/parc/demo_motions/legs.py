"""Inverse kinematics of the legs: two bones in closed form."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parc.anim.character import Character
from parc.demo_motions.plan import Side

STRAIGHTEST_STANDING = 0.985  # share of the leg's length between hip and ankle, at most, of a standing foot
STRAIGHTEST_SWINGING = 0.997  # of a foot in the air


@dataclass(frozen=True)
class Leg:
    """The lengths of a leg.

    Attributes:
        hip: of the thigh's origin in the frame of the pelvis, metres.
        thigh, shin: lengths, metres.
    """

    hip: Float[np.ndarray, "3"]
    thigh: float
    shin: float

    @staticmethod
    def of(character: Character, side: Side) -> "Leg":
        """Measure a leg of the humanoid."""
        thigh, shin, foot = (
            character.offsets[character.body_index(f"{side}_{name}")].double().numpy()
            for name in ("thigh", "shin", "foot")
        )
        return Leg(thigh, float(np.linalg.norm(shin)), float(np.linalg.norm(foot)))

    @property
    def length(self) -> float:
        """Of the straight leg, metres."""
        return self.thigh + self.shin


def highest_hip(
    leg: Leg, ankle: Float[np.ndarray, "frames 3"], hip_xy: Float[np.ndarray, "frames 2"]
) -> Float[np.ndarray, " frames"]:
    """Return the height (metres) up to which a hip above `hip_xy` reaches the ankle; NaN where it never does."""
    aside = np.linalg.norm(ankle[:, :2] - hip_xy, axis=-1)
    with np.errstate(invalid="ignore"):
        return ankle[:, 2] + np.sqrt((STRAIGHTEST_STANDING * leg.length) ** 2 - aside**2)


def pull_within_reach(
    leg: Leg, hip: Float[np.ndarray, "frames 3"], ankle: Float[np.ndarray, "frames 3"]
) -> Float[np.ndarray, "frames 3"]:
    """Move an ankle that is too far from the hip towards it, without a corner in its way; a standing one stays."""
    soft, hard = STRAIGHTEST_STANDING * leg.length, STRAIGHTEST_SWINGING * leg.length
    way = ankle - hip
    distance = np.linalg.norm(way, axis=-1, keepdims=True)
    over = np.maximum(distance - soft - 1e-9, 0)
    pulled = soft + (hard - soft) * -np.expm1(-over / (hard - soft))
    return np.where(over > 0, hip + way * pulled / distance, ankle)


def bend_leg(
    leg: Leg,
    hip: Float[np.ndarray, "frames 3"],
    ankle: Float[np.ndarray, "frames 3"],
    forward: Float[np.ndarray, "frames 3"],
) -> tuple[Float[np.ndarray, "frames 3 3"], Float[np.ndarray, "frames 3 3"]]:
    """Return the world rotations (matrices) of thigh and shin that bring the foot to `ankle`, the knee bent forward.

    Args:
        leg: its lengths; law of cosines.
        hip, ankle: world, metres; their distance is within the leg's length.
        forward: the direction into which the knee points, roughly; unit vectors.
    """
    down = ankle - hip
    distance = np.linalg.norm(down, axis=-1, keepdims=True)
    down = down / distance
    axis = np.cross(-down, forward)
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    front = np.cross(axis, -down)
    along = (leg.thigh**2 + distance**2 - leg.shin**2) / (2 * distance)
    knee = hip + along * down + np.sqrt(np.maximum(leg.thigh**2 - along**2, 0)) * front
    return _bone(hip, knee, axis), _bone(knee, ankle, axis)


def _bone(
    top: Float[np.ndarray, "frames 3"], bottom: Float[np.ndarray, "frames 3"], axis: Float[np.ndarray, "frames 3"]
) -> Float[np.ndarray, "frames 3 3"]:
    """Return a rotation whose z points up the bone and whose y is the knee's axis."""
    up = top - bottom
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    return np.stack([np.cross(axis, up), axis, up], axis=-1)
