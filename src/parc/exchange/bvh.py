"""Clips as BVH files, for animation tools, with their terrain beside them as OBJ."""

import math
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Body, Character, Geom, Triple
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.exchange.bvh_document import BvhDocument, BvhJoint
from parc.exchange.bvh_file import write_bvh_file
from parc.exchange.terrain_mesh import terrain_mesh
from parc.exchange.y_up import y_up, y_up_points, y_up_rotations

CENTIMETRES = 100.0  # a metre, in the unit of the files
ROTATION_ORDER = "ZXY"  # of channels; axes of the tools: y up, z forward
SOLE = 0.02  # metres above the lowest point of a standing character up to which it may be in touch with the ground

_ROTATIONS = tuple(f"{axis}rotation" for axis in ROTATION_ORDER)
_POSITIONS = ("Xposition", "Yposition", "Zposition")


def write_bvh(folder: Path, clip: MotionClip, character: CharacterFile) -> list[Path]:
    """Write a clip as NAME.bvh and its terrain as NAME.obj, both in centimetres, y up and facing z.

    The first frame is the rest pose (the humanoid's T-pose), standing on the ground where the clip begins; the clip's frames
    follow. Contact labels, and what happens beyond the clip's end, have no place in these formats.

    Returns:
        both files, the BVH last.

    Raises:
        OSError: they cannot be written.
    """
    terrain, motion = folder / f"{clip.name}.obj", folder / f"{clip.name}.bvh"
    mesh = terrain_mesh(clip.terrain)
    mesh.vertices = CENTIMETRES * y_up_points(mesh.vertices)
    mesh.export(terrain)
    write_bvh_file(motion, bvh_document(clip, character.read()))
    return [terrain, motion]


def bvh_document(clip: MotionClip, character: Character) -> BvhDocument:
    """Return a clip as a BVH document (see `write_bvh`)."""
    joints = tuple(_joint(character, number) for number in range(character.num_bodies))
    root_pos = torch.cat([_standing_place(clip, character)[None], clip.root_pos])
    upright = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    joint_rot = torch.cat([upright.expand(1, character.num_joints, 4), clip.joint_rot])
    turned = roma.quat_product(character.rest_rotations[1:].expand_as(joint_rot), joint_rot)
    rotations = torch.cat([torch.cat([upright, clip.root_rot])[:, None], turned], dim=1)
    angles = np.stack([euler_angles(rotations[:, number]) for number in range(character.num_bodies)], axis=1)
    places = CENTIMETRES * y_up(root_pos.double()).numpy()
    values = np.concatenate([places, angles.reshape(len(angles), -1)], axis=1)
    return BvhDocument(joints, values, 1 / clip.fps)


def euler_angles(rotations: Float[Tensor, "frames 4"]) -> Float[np.ndarray, "frames 3"]:
    """Return rotations (x, y, z, w; our axes) as angles in degrees about the axes of `ROTATION_ORDER` of animation tools.

    They are continuous in time, beyond 180 degrees too, so that curves of the channels are smooth. Every rotation has two
    triples of angles within a turn: (a, b, c) and (a + 180, 180 - b, c + 180). Going from one to the other keeps all distances
    between triples, so whether a frame changes sides against the frame before does not depend on which side that one is on.
    """
    first = roma.unitquat_to_euler(ROTATION_ORDER, y_up_rotations(rotations.double())).numpy()  # pyright: ignore[reportAttributeAccessIssue]
    other = np.array([math.pi, math.pi, math.pi]) + first * np.array([1.0, -1.0, 1.0])
    stays = _turned_by(first[:-1], first[1:])
    changes = _turned_by(first[:-1], other[1:])
    on_other_side = np.cumsum(np.r_[False, changes < stays]) % 2 == 1
    chosen = np.where(on_other_side[:, None], other, first)
    return np.degrees(np.unwrap(chosen, axis=0))


def _turned_by(
    start: Float[np.ndarray, "frames 3"], end: Float[np.ndarray, "frames 3"]
) -> Float[np.ndarray, " frames"]:
    """Return the sum of the angles (radians) between triples, whole turns left out."""
    return np.abs((end - start + math.pi) % (2 * math.pi) - math.pi).sum(axis=1)


def _joint(character: Character, number: int) -> BvhJoint:
    body = character.bodies[number]
    return BvhJoint(
        name="_".join(body.name.split()),  # readers split lines at blanks
        parent=body.parent,
        offset=_in_file(body.offset),
        channels=_ROTATIONS if number else _POSITIONS + _ROTATIONS,
        end_site=None if number in character.parents else _in_file(_tip(body)),
    )


def _in_file(vector: Triple) -> Triple:
    x, y, z = (CENTIMETRES * y_up(torch.tensor(vector, dtype=torch.float64))).tolist()
    return x, y, z


def _tip(body: Body) -> Triple:
    """Return where the bone of a body without children ends: at the far side of its shape that is furthest from its joint."""
    tips = [_far_side(geom, body.offset) for geom in body.geoms]
    x, y, z = max(tips, key=np.linalg.norm).tolist() if tips else (0.0, 0.0, 0.0)
    return x, y, z


def _far_side(geom: Geom, bone: Triple) -> Float[np.ndarray, " 3"]:
    """Return the middle of what of a shape is furthest along the way from the joint to the shape's centre, in the body's frame.

    The way goes on along the bone that leads to the joint where the shape is centred on it.
    """
    centre = np.array(geom.centre)
    way = centre if np.linalg.norm(centre) > 1e-6 else np.array(bone)
    way = way / max(float(np.linalg.norm(way)), 1e-9)
    axes = roma.unitquat_to_rotmat(torch.tensor(geom.rotation, dtype=torch.float64)).numpy()
    along = np.round(way @ axes, 6)  # a side that the way does not lean to has no far end
    if geom.kind == "box":
        return centre + axes @ (np.sign(along) * np.array(geom.size))
    half_length = geom.size[1] if geom.kind == "capsule" else 0.0
    return centre + np.sign(along[2]) * half_length * axes[:, 2] + geom.size[0] * way


def _standing_place(clip: MotionClip, character: Character) -> Float[Tensor, "3"]:
    """Return where the root is when the rest pose stands on the ground where a clip begins (world, metres)."""
    start = torch.cat([clip.root_pos[0, :2], torch.zeros(1)])
    points = surface_points(character).placed(*_rest_pose(character, start))
    soles = points[points[:, 2] <= points[:, 2].min() + SOLE]
    lift = (clip.terrain.heights_at(soles[:, :2]) - soles[:, 2]).max()
    return start + torch.stack([torch.zeros(()), torch.zeros(()), lift])


def _rest_pose(
    character: Character, root_pos: Float[Tensor, "3"]
) -> tuple[Float[Tensor, "bodies 3"], Float[Tensor, "bodies 4"]]:
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0])
    return character.forward_kinematics(root_pos, upright, upright.expand(character.num_joints, 4))
