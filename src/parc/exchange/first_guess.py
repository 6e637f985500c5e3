"""A first guess of the humanoid's pose from captured landmarks: each bone points where the captured one does."""

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.exchange.landmarks import SIDES, FootBuild

Points = Float[Tensor, "frames 3"]
STRAIGHT = 0.1  # sine of the bend of a limb below which the bend's plane is that of the body it hangs on


def guessed_poses(character: Character, positions: dict[str, Points], feet: dict[str, FootBuild]) -> Frames:
    """Return poses whose bones point where captured bones do, within joint limits; no contacts.

    Args:
        character: the humanoid.
        positions: of the landmarks, in our size, metres.
        feet: how the captured feet are built, by side.
    """
    hips = (positions["left_hip"] + positions["right_hip"]) / 2
    shoulders = (positions["left_shoulder"] + positions["right_shoulder"]) / 2
    forward, left, up = torch.eye(3)
    across = positions["left_hip"] - positions["right_hip"]
    pelvis = _turned(left, up, across, positions.get("spine", shoulders) - hips)
    torso = _turned(left, up, positions["left_shoulder"] - positions["right_shoulder"], shoulders - hips)
    rotations = {"pelvis": pelvis, "torso": torso, "head": torso}
    for side in SIDES:
        places = {
            joint: positions[f"{side}_{joint}"]
            for joint in ("shoulder", "elbow", "hand", "hip", "knee", "ankle", "toe")
        }
        limbs = (
            ("upper_arm", "lower_arm", "hand", torso, "shoulder", "elbow", "hand"),
            ("thigh", "shin", "foot", pelvis, "hip", "knee", "ankle"),
        )
        for upper, lower, end, holder, first, middle, last in limbs:
            upper_bone, lower_bone = places[middle] - places[first], places[last] - places[middle]
            axis, sign = _hinge(character, f"{side}_{lower}")
            rest = character.offsets[character.body_index(f"{side}_{lower}")]
            rotations[f"{side}_{upper}"], bend = _limb(holder, rest, sign * axis, upper_bone, lower_bone)
            bent = roma.rotvec_to_unitquat(bend[:, None] * sign * axis)
            rotations[f"{side}_{lower}"] = roma.quat_product(rotations[f"{side}_{upper}"], bent)
            rotations[f"{side}_{end}"] = rotations[f"{side}_{lower}"]
        foot = feet[side]
        toe_at_rest = (foot.length**2 - foot.drop**2) ** 0.5 * forward - foot.drop * up
        shin_left = roma.quat_action(rotations[f"{side}_shin"], left.expand(len(hips), 3))
        rotations[f"{side}_foot"] = _turned(toe_at_rest, left, places["toe"] - places["ankle"], shin_left)
    world = torch.stack([rotations[name] for name in character.body_names], dim=1)
    above = roma.quat_conjugation(world[:, character.parents[1:]])
    dofs = character.dofs_from_rotations(roma.quat_product(above, world[:, 1:]))
    dofs = torch.minimum(torch.maximum(dofs, character.dof_lower), character.dof_upper)
    contacts = torch.zeros(len(hips), character.num_bodies)
    return Frames(hips, pelvis, character.rotations_from_dofs(dofs), contacts)


def _hinge(character: Character, body: str) -> tuple[Float[Tensor, "3"], float]:
    """Return the axis of a body's hinge, and the sign of the angles by which it bends."""
    index = character.body_index(body)
    lower, upper = character.bodies[index].dof_ranges[0]
    return character.hinge_axes[index], 1.0 if lower + upper > 0 else -1.0


def _limb(
    holder: Float[Tensor, "frames 4"], rest: Float[Tensor, "3"], axis: Float[Tensor, "3"], upper: Points, lower: Points
) -> tuple[Float[Tensor, "frames 4"], Float[Tensor, " frames"]]:
    """Return the rotation of a limb's upper half, and by how much the lower half is bent (radians).

    Args:
        holder: rotation of what the limb hangs on.
        rest: the upper bone when the limb is at rest, in the holder's frame.
        axis: about which the lower half bends, by positive angles.
        upper: the captured upper bone.
        lower: the captured lower bone.
    """
    count = len(upper)
    upper, lower = _unit(upper), _unit(lower)
    at_rest = roma.quat_action(holder, _unit(rest).expand(count, 3))
    swing = roma.quat_product(_shortest(at_rest, upper), holder)
    normal = torch.linalg.cross(upper, lower)
    bend = torch.atan2(normal.norm(dim=-1), (upper * lower).sum(-1))
    # A straight limb does not say about what it would bend: that is then as if it had swung there the shortest way.
    normal = normal + STRAIGHT * roma.quat_action(swing, axis.expand(count, 3))
    return _turned(rest, axis, upper, normal), bend


def _turned(
    first: Float[Tensor, "3"], second: Float[Tensor, "3"], to_first: Points, to_second: Points
) -> Float[Tensor, "frames 4"]:
    """Return the rotations that take one direction to another, and a second one as near as then possible to another."""
    rest = _axes(first[None], second[None])
    return roma.rotmat_to_unitquat(_axes(to_first, to_second) @ rest.mT)


def _axes(first: Points, second: Points) -> Float[Tensor, "frames 3 3"]:
    return roma.special_gramschmidt(torch.stack([first, second], dim=-1), epsilon=1e-8)  # pyright: ignore[reportArgumentType]


def _shortest(start: Points, end: Points) -> Float[Tensor, "frames 4"]:
    """Return the shortest rotation from one unit vector to another; opposite ones are as good as the same."""
    axis, cosine = torch.linalg.cross(start, end), (start * end).sum(-1, keepdim=True)
    quaternion = torch.cat([axis, 1 + cosine + 1e-6], dim=-1)
    return quaternion / quaternion.norm(dim=-1, keepdim=True)


def _unit(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-9)
