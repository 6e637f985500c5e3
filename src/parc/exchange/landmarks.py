"""The landmarks of a captured body: what they are called, where they are on our humanoid, and how large the body is."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.character import Character
from parc.configuration.errors import UserError

SIDES = ("left", "right")
NEEDED_LANDMARKS = tuple(
    f"{side}_{joint}" for side in SIDES for joint in ("shoulder", "elbow", "hand", "hip", "knee", "ankle", "toe")
)
OPTIONAL_LANDMARKS = ("spine", "neck", "head")
LANDMARKS = NEEDED_LANDMARKS + OPTIONAL_LANDMARKS
"""Names of the landmarks that a fit looks at; positions under other names are not looked at.

hip, knee, ankle, shoulder, elbow: the joints. hand: the wrist. toe: the joint between foot and toes. spine: a joint above the
hips that goes with the pelvis. neck: where the neck begins. head: where the neck ends.
"""

_LIMB_BODIES = ("upper_arm", "lower_arm", "hand", "thigh", "shin", "foot")
BODIES_OF_HUMANOID = ("pelvis", "torso", "head", *(f"{side}_{body}" for side in SIDES for body in _LIMB_BODIES))
_BODY_OF = {
    "shoulder": "upper_arm", "elbow": "lower_arm", "hand": "hand",
    "hip": "thigh", "knee": "shin", "ankle": "foot", "toe": "foot",
    "spine": "pelvis", "neck": "torso", "head": "head",
}  # fmt: skip
# How much a landmark's distance counts against the others': the ends of limbs are what meets the ground; shoulders and neck
# are built differently in every skeleton.
_WEIGHTS = {
    "shoulder": 0.5, "elbow": 1.0, "hand": 3.0, "hip": 2.0, "knee": 1.0, "ankle": 10.0, "toe": 10.0,
    "spine": 0.5, "neck": 0.5, "head": 0.5,
}  # fmt: skip
TOE_HEIGHT = 0.024  # of the toe joint above the sole, as a share of the leg: 2 cm of ours
STANDING = 0.2  # share of frames, those in which a foot moves least, in which it is thought to stand flat


@dataclass(frozen=True)
class Attached:
    """Where on our humanoid a body's landmarks are.

    Attributes:
        names: of the landmarks, in order.
        points: of each landmark, in the frame of its body, metres.
        bodies: the body of each.
        weights: how much the squared distance of each counts.
    """

    names: list[str]
    points: Float[Tensor, "landmarks 3"]
    bodies: Int[Tensor, " landmarks"]
    weights: Float[Tensor, " landmarks"]


@dataclass(frozen=True)
class FootBuild:
    """How a captured foot is built.

    Attributes:
        length: from ankle to toe joint, metres.
        drop: of the toe joint below the ankle when the foot is flat, metres.
        toe_height: of the toe joint above the sole, metres.
    """

    length: float
    drop: float
    toe_height: float

    @property
    def ankle_height(self) -> float:
        """Height of the ankle above the sole of a flat foot, metres."""
        return self.drop + self.toe_height


def refuse_other_characters(character: Character) -> None:
    """Check that a character is built of the humanoid's bodies.

    Raises:
        UserError: it is not; names its bodies.
    """
    if sorted(character.body_names) != sorted(BODIES_OF_HUMANOID):
        raise UserError(
            f"the character has the bodies {', '.join(character.body_names)}, expected those of humanoid.xml "
            f"({', '.join(BODIES_OF_HUMANOID)}); other people's motions are put onto no other"
        )


def refuse_other_positions(positions: dict[str, Float[Tensor, "frames 3"]]) -> None:
    """Check that positions have every landmark that is needed, in as many frames each, and are numbers.

    Raises:
        UserError: they do not; names the landmark.
    """
    for name in NEEDED_LANDMARKS:
        if name not in positions:
            raise UserError(f"the captured motion has no landmark '{name}', expected {', '.join(NEEDED_LANDMARKS)}")
    frames = len(positions[NEEDED_LANDMARKS[0]])
    for name, places in positions.items():
        if len(places) != frames or frames < 2:
            raise UserError(
                f"the captured motion has {len(places)} frames of '{name}', expected at least 2, as many of each"
            )
        if not torch.isfinite(places).all():
            raise UserError(f"the captured motion has positions of '{name}' that are not finite numbers, expected none")


def scale_by_legs(character: Character, positions: dict[str, Float[Tensor, "frames 3"]]) -> float:
    """Return our leg's length over theirs, from the hip to the sole: the factor for their positions, and for all they stand on.

    Args:
        character: the humanoid.
        positions: of the landmarks, metres, z up; only legs are looked at.

    Raises:
        UserError: the character is none of ours, landmarks are missing, or legs have no length.
    """
    refuse_other_characters(character)
    refuse_other_positions(positions)
    ours = sum(float(character.offsets[character.body_index(f"left_{part}")].norm()) for part in ("shin", "foot"))
    ours += sole_depth(character)
    theirs = sum(_leg_length(positions, side) + foot_build(positions, side).ankle_height for side in SIDES) / 2
    if theirs < 1e-3:
        raise UserError(
            f"the captured motion's legs are {theirs:.2g} m long, expected legs; are these positions joints?"
        )
    return ours / theirs


def sole_depth(character: Character) -> float:
    """Return how far the sole is below the ankle of our foot, metres."""
    (box,) = [geom for geom in character.bodies[character.body_index("left_foot")].geoms if geom.kind == "box"]
    return box.size[2] - box.centre[2]


def foot_build(positions: dict[str, Float[Tensor, "frames 3"]], side: str) -> FootBuild:
    """Measure a captured foot (see `FootBuild`) in the frames in which it moves least.

    Args:
        positions: of the landmarks, metres, z up.
        side: left or right.
    """
    ankle, toe = positions[f"{side}_ankle"], positions[f"{side}_toe"]
    steps = ankle.diff(dim=0).norm(dim=-1) + toe.diff(dim=0).norm(dim=-1)
    standing = steps <= steps.quantile(STANDING)
    drops = (ankle - toe)[1:][standing][:, 2]
    length = float((ankle - toe).norm(dim=-1).median())
    drop = min(max(float(drops.median()), 0.0), 0.9 * length)
    return FootBuild(length, drop, TOE_HEIGHT * _leg_length(positions, side))


def attached(character: Character, positions: dict[str, Float[Tensor, "frames 3"]]) -> Attached:
    """Return where on our humanoid the landmarks of a captured body are.

    Joints of limbs are at our joints. Toes, ankles, spine, neck and head are where they are in the captured body: a foot that
    stands flat there stands flat here, however high its ankle is.

    Args:
        character: the humanoid.
        positions: of the captured body, in our size, metres.
    """
    names = [name for name in LANDMARKS if name in positions]
    joints = [name.removeprefix("left_").removeprefix("right_") for name in names]
    points = torch.zeros(len(names), 3)
    middle = (positions["left_hip"] + positions["right_hip"]) / 2
    for index, name in enumerate(names):
        side = name.split("_")[0]
        if joints[index] in ("ankle", "toe"):
            foot = foot_build(positions, side)
            points[index, 2] = foot.ankle_height - sole_depth(character)
            if joints[index] == "toe":
                points[index] += torch.tensor([math.sqrt(foot.length**2 - foot.drop**2), 0.0, -foot.drop])
        elif name == "spine":
            points[index, 2] = (positions["spine"] - middle).norm(dim=-1).mean()
        elif name == "neck":
            points[index] = _neck(character, positions)
        elif name == "head" and "neck" in positions:
            above = _neck(character, positions) - character.offsets[character.body_index("head")]
            points[index] = above + torch.tensor(
                [0.0, 0.0, (positions["head"] - positions["neck"]).norm(dim=-1).mean()]
            )
    bodies = [
        character.body_index(_BODY_OF[joint] if name == joint else f"{name.split('_')[0]}_{_BODY_OF[joint]}")
        for name, joint in zip(names, joints, strict=True)
    ]
    return Attached(names, points, torch.tensor(bodies), torch.tensor([_WEIGHTS[joint] for joint in joints]))


def _neck(character: Character, positions: dict[str, Float[Tensor, "frames 3"]]) -> Float[Tensor, "3"]:
    """Return the neck's place in our torso's frame: as far before and above our shoulders as it is in the captured body."""
    left, right, neck = positions["left_shoulder"], positions["right_shoulder"], positions["neck"]
    shoulders = (left + right) / 2
    up = shoulders - (positions["left_hip"] + positions["right_hip"]) / 2
    up = up / up.norm(dim=-1, keepdim=True)
    forward = torch.linalg.cross(left - right, up)
    forward = forward / forward.norm(dim=-1, keepdim=True)
    along = [((neck - shoulders) * axis).sum(-1).median() for axis in (forward, up)]
    ours = sum(character.offsets[character.body_index(f"{side}_upper_arm")] for side in SIDES) / 2
    return ours + torch.stack([along[0], torch.zeros(()), along[1]])


def _leg_length(positions: dict[str, Float[Tensor, "frames 3"]], side: str) -> float:
    hip, knee, ankle = (positions[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    return float(((hip - knee).norm(dim=-1) + (knee - ankle).norm(dim=-1)).median())
