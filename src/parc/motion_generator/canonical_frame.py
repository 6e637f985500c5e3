"""Canonical frames: where the character is and looks is the origin and heading 0 of what the denoiser sees."""

from enum import Enum

import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.frames import Frames
from parc.anim.rotations import heading, rotate_xy, turn_about_z
from parc.terrain.heightfield import Heightfields


class RelativeZStyle(str, Enum):
    """What heights are relative to: the root position at the canonical frame, or the terrain below it."""

    RELATIVE_TO_ROOT = "RELATIVE_TO_ROOT"
    RELATIVE_TO_ROOT_FLOOR = "RELATIVE_TO_ROOT_FLOOR"


def canonical_frames(
    style: RelativeZStyle,
    terrains: Heightfields,
    which: Int[Tensor, " batch"],
    root_pos: Float[Tensor, "batch 3"],
    root_rot: Float[Tensor, "batch 4"],
) -> tuple[Float[Tensor, "batch 3"], Float[Tensor, " batch"]]:
    """Return origin (world, metres) and heading (radians) of the canonical frames at some poses.

    Args:
        style: what heights are relative to.
        terrains: what the characters stand on.
        which: the terrain of each of them.
        root_pos: world, metres.
        root_rot: world, (x, y, z, w).
    """
    origin = root_pos
    if style is RelativeZStyle.RELATIVE_TO_ROOT_FLOOR:
        floor = terrains.heights_at(which, root_pos[:, None, :2])
        origin = torch.cat([root_pos[:, :2], floor], dim=1)
    return origin, heading(root_rot)


def frames_to_canonical(world: Frames, origin: Float[Tensor, "batch 3"], turn: Float[Tensor, " batch"]) -> Frames:
    """Move frames so that `origin` (world, metres) is at zero, and turn them by minus `turn` (radians) about z."""
    root_pos, root_rot = to_canonical(world.root_pos, origin, turn), turned_to_canonical(world.root_rot, turn)
    return Frames(root_pos, root_rot, world.joint_rot, world.contacts)


def frames_to_world(canonical: Frames, origin: Float[Tensor, "batch 3"], turn: Float[Tensor, " batch"]) -> Frames:
    """Return frames of canonical frames in the world: what `frames_to_canonical` takes back."""
    root_rot = roma.quat_product(turn_about_z(turn)[:, None].expand_as(canonical.root_rot), canonical.root_rot)
    return Frames(to_world(canonical.root_pos, origin, turn), root_rot, canonical.joint_rot, canonical.contacts)


def to_canonical(
    points: Float[Tensor, "batch points 3"], origin: Float[Tensor, "batch 3"], turn: Float[Tensor, " batch"]
) -> Float[Tensor, "batch points 3"]:
    """Move points (world, metres) so that `origin` is at zero, and turn them by minus `turn` (radians) about z."""
    moved = points - origin[:, None]
    return torch.cat([rotate_xy(moved[..., :2], -turn[:, None]), moved[..., 2:]], dim=-1)


def to_world(
    points: Float[Tensor, "batch points 3"], origin: Float[Tensor, "batch 3"], turn: Float[Tensor, " batch"]
) -> Float[Tensor, "batch points 3"]:
    """Return points (canonical frame, metres) in the world: turned by `turn` (radians) about z, then moved by `origin`."""
    turned = torch.cat([rotate_xy(points[..., :2], turn[:, None]), points[..., 2:]], dim=-1)
    return turned + origin[:, None]


def turned_to_canonical(
    rotation: Float[Tensor, "batch frames 4"], turn: Float[Tensor, " batch"]
) -> Float[Tensor, "batch frames 4"]:
    """Turn rotations (world) by minus `turn` (radians) about z."""
    return roma.quat_product(turn_about_z(-turn)[:, None].expand_as(rotation), rotation)
