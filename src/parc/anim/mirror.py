"""Mirror images of clips: left and right swapped, terrain included."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield

Item = TypeVar("Item")
MIRRORED = "_mirrored"  # at the end of a mirror image's name
_SYMMETRY_TOLERANCE = 1e-4  # metres and quaternion parts by which a character's sides may differ
_SWAPPED = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}


def mirror_clip(clip: MotionClip, character: Character) -> MotionClip:
    """Return the mirror image of a clip about the plane y = 0, under its mirrored name. Twice it is the clip again.

    Positions' y is negated, that of path nodes too, rotations (x, y, z, w) become (-x, y, -z, w), left and right bodies and
    their labels are swapped, in frames before refinement too, and the terrain with its bounds runs the other way along y.

    Args:
        clip: a clip of `character`.
        character: whose left side is the mirror image of its right side.

    Raises:
        UserError: the character is not symmetric; names the body.
    """
    bodies = torch.tensor(mirror_bodies(character))
    terrain = clip.terrain
    columns = terrain.heights.shape[1]
    min_x, min_y = terrain.min_point
    mirrored_terrain = Heightfield(
        terrain.heights.flip(1), torch.stack([min_x, -(min_y + (columns - 1) * terrain.cell_size)]), terrain.cell_size
    )
    return replace(
        clip,
        name=mirrored_name(clip.name),
        **vars(_mirror_frames(clip.frames, bodies)),
        unrefined=None if clip.unrefined is None else _mirror_frames(clip.unrefined, bodies),
        terrain=mirrored_terrain,
        height_bounds=None if clip.height_bounds is None else clip.height_bounds.flip(1),
        path_nodes=None if clip.path_nodes is None else _mirror_points(clip.path_nodes),
        made=None if clip.made is None else replace(clip.made, mirrored=not clip.made.mirrored),
    )


def mirrored_name(name: str) -> str:
    """Return what the mirror image of a clip is called: its name with `MIRRORED` at the end, or without it where it is there."""
    return name.removesuffix(MIRRORED) if name.endswith(MIRRORED) else f"{name}{MIRRORED}"


def without_mirror_images(items: Sequence[Item], name: Callable[[Item], str]) -> list[Item]:
    """Leave out the mirror images of what is there itself: they show nothing new.

    Args:
        items: clips, or what stands for them.
        name: returns that of an item's clip, with its folder where clips of several folders may be called the same.
    """
    names = {name(item) for item in items}
    return [item for item in items if not (name(item).endswith(MIRRORED) and mirrored_name(name(item)) in names)]


def mirror_rotations(rotations: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return quaternions (x, y, z, w) seen in a mirror in the plane y = 0."""
    return rotations * rotations.new_tensor([-1.0, 1.0, -1.0, 1.0])


def mirror_bodies(character: Character) -> list[int]:
    """Return for every body the one on the other side: left and right are told by the names, others are their own.

    Raises:
        UserError: a body has none, or it is built otherwise; names the body.
    """
    others = []
    for name in character.body_names:
        other = _other_side(name)
        if other not in character.body_names:
            raise UserError(
                f"the character has a body '{name}' but no '{other}', expected both sides; it has no mirror image"
            )
        others.append(character.body_index(other))
    for body, other in enumerate(others):
        parent, other_parent = character.parents[body], character.parents[other]
        same_parent = parent == other_parent == -1 or (parent >= 0 and others[parent] == other_parent)
        offset = _mirror_points(character.offsets[body]) - character.offsets[other]
        turned = mirror_rotations(character.rest_rotations[body]) - character.rest_rotations[other]
        if not same_parent or max(float(offset.abs().max()), float(turned.abs().max())) > _SYMMETRY_TOLERANCE:
            raise UserError(
                f"the character's body '{character.body_names[body]}' is not the mirror image of "
                f"'{character.body_names[other]}', expected a symmetric character; it has no mirror image"
            )
    return others


def _mirror_frames(frames: Frames, bodies: Int[Tensor, " bodies"]) -> Frames:
    return Frames(
        _mirror_points(frames.root_pos),
        mirror_rotations(frames.root_rot),
        mirror_rotations(frames.joint_rot)[:, bodies[1:] - 1],
        frames.contacts[:, bodies],
    )


def _mirror_points(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    return points * points.new_tensor([1.0, -1.0, 1.0])


def _other_side(name: str) -> str:
    for side, other in _SWAPPED.items():
        if side in name:
            return name.replace(side, other)
    return name
