"""Captured motions in BVH files of LAFAN1 and of the CMU database, onto our humanoid on flat ground."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.configuration.errors import UserError
from parc.exchange.bvh_document import ROTATION, BvhDocument
from parc.exchange.bvh_file import read_bvh_file
from parc.exchange.fitted_clips import clips_of_take, with_mirror_images
from parc.exchange.flat_ground import flat_ground
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.landmarks import SIDES, foot_build, scale_by_legs
from parc.exchange.resampling import FPS, resampled
from parc.exchange.y_up import z_up

FARTHEST = 1000.0  # metres, in our size, from where a motion begins
LONGEST = 600.0  # seconds of a take: a gigabyte of memory, or a few, while it is fitted
LOWEST = 0.1  # share of frames whose lower toe is lower than a toe that stands


@dataclass(frozen=True)
class Skeleton:
    """A kind of skeleton that other people's files have.

    Attributes:
        name: of the kind.
        joints: names of the joints that are our landmarks, by landmark; those of a side without "left" or "right".
    """

    name: str
    joints: dict[str, str]

    def joint_of(self) -> dict[str, str]:
        """Return the name of the joint of each landmark (`parc.exchange.landmarks.LANDMARKS`)."""
        middle = {landmark: joint for landmark, joint in self.joints.items() if landmark in ("spine", "neck", "head")}
        sides = {
            f"{side}_{landmark}": f"{side.capitalize()}{joint}"
            for side in SIDES
            for landmark, joint in self.joints.items()
            if landmark not in middle
        }
        return sides | middle


_LIMBS = {"shoulder": "Arm", "elbow": "ForeArm", "hand": "Hand", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot"}
SKELETONS = (
    Skeleton("LAFAN1", {**_LIMBS, "toe": "Toe", "spine": "Spine", "neck": "Neck", "head": "Head"}),
    Skeleton("CMU", {**_LIMBS, "toe": "ToeBase", "spine": "Spine", "neck": "Neck", "head": "Head"}),
)


def read_bvh(path: Path, character: Character) -> list[ImportedClip]:
    """Return the clips of a BVH file with a skeleton of LAFAN1 or CMU, each followed by its mirror image.

    The person is scaled so that the legs are as long as ours: the file's unit of length does not matter (LAFAN1's is a
    centimetre; CMU's, as converted to BVH, about 5.6 cm). A first frame without any rotation is left out, the rest pose that
    CMU's files begin with. Flat ground is at height 0, where the feet stand (see `clips_of_take`).

    Args:
        path: of the file, whose y points up.
        character: the humanoid.

    Raises:
        UserError: the file is broken, has another skeleton, or no motion; or the character is none of ours.
    """
    document = read_bvh_file(path)
    landmarks = _in_our_size(path, character, _landmarks(path, document))
    ground = flat_ground(torch.stack(list(landmarks.values())))
    return with_mirror_images(clips_of_take(path.stem, landmarks, ground, character), character)


def skeleton_of(path: Path, names: list[str]) -> Skeleton:
    """Return the kind of skeleton that has joints of these names.

    Raises:
        UserError: none has; names the joints that it lacks of the kind that it is nearest to.
    """
    lacks = [[joint for joint in kind.joint_of().values() if joint not in names] for kind in SKELETONS]
    nearest = min(range(len(SKELETONS)), key=lambda number: len(lacks[number]))
    if lacks[nearest]:
        raise UserError(
            f"{path}: the skeleton lacks {', '.join(lacks[nearest])}, expected the joints of "
            f"{' or '.join(kind.name for kind in SKELETONS)}; rename its joints as they are there ({SKELETONS[nearest].name})"
        )
    return SKELETONS[nearest]


def _landmarks(path: Path, document: BvhDocument) -> dict[str, Float[Tensor, "frames 3"]]:
    """Return the positions of the landmarks, z up, 30 frames a second, from where the take begins, in the file's unit."""
    names = [joint.name.rpartition(":")[2] for joint in document.joints]  # without a namespace, as "mixamorig:"
    joint_of = skeleton_of(path, names).joint_of()
    fps = 1 / document.frame_time
    if _begins_with_rest_pose(document):
        document = replace(document, values=document.values[1:])
    seconds = len(document.values) * document.frame_time
    if not 2 / FPS < seconds <= LONGEST:
        raise UserError(
            f"{path}: lasts {seconds:.3g} s, expected a motion of more than {2 / FPS:.2g} s and up to {LONGEST:g} s"
        )
    places = document.joint_positions()
    places = places - places[0, 0] * torch.tensor([1.0, 0.0, 1.0])
    found = {landmark: places[:, names.index(joint)] for landmark, joint in joint_of.items()}
    found["spine"] = _above_hips(document, places[:, 0], found)
    return {landmark: resampled(z_up(of_landmark), fps).float() for landmark, of_landmark in found.items()}


def _above_hips(
    document: BvhDocument, root: Float[Tensor, "frames 3"], found: dict[str, Float[Tensor, "frames 3"]]
) -> Float[Tensor, "frames 3"]:
    """Return a place straight above the middle of the hips when the pelvis is upright, as far from it as the spine begins.

    Where their spine begins is behind the hips (LAFAN1) or turns with the back (CMU), so it does not say how the pelvis leans.
    That of the root's axes does which leads most nearly to it.
    """
    rotations = document.local_poses()[1][:, 0]
    way = roma.quat_action(roma.quat_conjugation(rotations), found["spine"] - root).mean(0)
    up = torch.zeros_like(way)
    up[way.abs().argmax()] = way[way.abs().argmax()].sign() * way.norm()
    middle = (found["left_hip"] + found["right_hip"]) / 2
    return middle + roma.quat_action(rotations, up.expand_as(middle))


def _begins_with_rest_pose(document: BvhDocument) -> bool:
    channels = [channel for joint in document.joints for channel in joint.channels]
    turning = [number for number, channel in enumerate(channels) if channel.endswith(ROTATION)]
    return bool(np.all(document.values[0, turning] == 0))


def _in_our_size(
    path: Path, character: Character, landmarks: dict[str, Float[Tensor, "frames 3"]]
) -> dict[str, Float[Tensor, "frames 3"]]:
    """Return the landmarks in metres of our humanoid's size, standing on ground at height 0."""
    try:
        scale = scale_by_legs(character, landmarks)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    scaled = {landmark: places * scale for landmark, places in landmarks.items()}
    lower_toe = torch.minimum(scaled["left_toe"][:, 2], scaled["right_toe"][:, 2])
    toe_height = sum(foot_build(scaled, side).toe_height for side in SIDES) / 2
    ground = lower_toe.quantile(LOWEST) - toe_height
    grounded = {landmark: places - torch.stack([ground * 0, ground * 0, ground]) for landmark, places in scaled.items()}
    if not all(bool((places.abs() <= FARTHEST).all()) for places in grounded.values()):
        raise UserError(
            f"{path}: goes farther than {FARTHEST:.0f} m, taking legs for as long as ours; expected a captured motion"
        )
    return grounded
