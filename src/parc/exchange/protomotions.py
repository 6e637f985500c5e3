"""Clips for ProtoMotions, which trains trackers: motions as tensors, and the ground as the heightfield that it is."""

import io
import math
from pathlib import Path
from typing import Any

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield

HORIZONTAL_SCALE = 0.1  # metres between samples of the ground
VERTICAL_SCALE = 0.005  # metres a step of a sample's height
MARGIN = 5.0  # metres of ground around the bodies
MOST_SAMPLES = 2**26  # 128 MiB
_CONTACT = 0.5  # soft label from which on a body touches the ground


def write_protomotions(folder: Path, clip: MotionClip, character: CharacterFile) -> list[Path]:
    """Write `NAME_terrain.pt` and `NAME.motion`, both to be read by `torch.load(..., weights_only=True)`.

    A heightfield begins at x = y = 0. The ground here begins somewhere near the motion, so both are moved by the same x, y,
    which the terrain file has as `origin`: adding it leads back into the clip's world. Heights stay, but for the rounding of
    the ground's to steps of 5 mm.

    Raises:
        UserError: the motion goes too far, or the ground is too high or too deep.
    """
    bodies = character.read()
    body_pos, body_rot = bodies.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    origin, samples = _sampled(clip, body_pos[..., :2])
    moved = body_pos - torch.cat([origin, origin.new_zeros(1)]).float()
    ground = {
        "height_field_raw": samples,
        "horizontal_scale": HORIZONTAL_SCALE,
        "vertical_scale": VERTICAL_SCALE,
        "origin": origin,
    }
    terrain, motion = folder / f"{clip.name}_terrain.pt", folder / f"{clip.name}.motion"
    for file, content in ((terrain, ground), (motion, _motion(clip, bodies, moved, body_rot))):
        stream = io.BytesIO()  # torch tells no full disk from other faults
        torch.save(content, stream)
        file.write_bytes(stream.getvalue())
    return [terrain, motion]


def _motion(
    clip: MotionClip,
    character: Character,
    body_pos: Float[Tensor, "frames bodies 3"],
    body_rot: Float[Tensor, "frames bodies 4"],
) -> dict[str, Any]:
    """Return a motion, its bodies and DOFs depth first, rotations (x, y, z, w), velocities by forward differences.

    Velocities of bodies are in the world, those of joints as `Character.dof_velocities` has them.
    """
    turns = roma.quat_product(body_rot[1:], roma.quat_conjugation(body_rot[:-1]))
    rest = character.rest_rotations[1:].expand_as(clip.joint_rot)
    local_rot = torch.cat([clip.root_rot[:, None], roma.quat_product(rest, clip.joint_rot)], dim=1)
    return {
        "rigid_body_pos": body_pos,
        "rigid_body_rot": body_rot,
        "rigid_body_vel": _with_last_repeated(clip.fps * body_pos.diff(dim=0)),
        "rigid_body_ang_vel": _with_last_repeated(clip.fps * roma.unitquat_to_rotvec(turns)),
        "local_rigid_body_rot": local_rot,
        "dof_pos": character.dofs_from_rotations(clip.joint_rot),
        "dof_vel": character.dof_velocities(clip.joint_rot, clip.fps),
        "rigid_body_contacts": clip.contacts > _CONTACT,
        # A whole number where it is one, as others write it: it may be divided into steps of frames.
        "fps": int(clip.fps) if clip.fps.is_integer() else clip.fps,
    }


def _with_last_repeated(velocities: Float[Tensor, "steps bodies 3"]) -> Float[Tensor, "frames bodies 3"]:
    return torch.cat([velocities, velocities[-1:]])


def _sampled(clip: MotionClip, points: Float[Tensor, "frames bodies 2"]) -> tuple[Tensor, Tensor]:
    """Return where the samples of the ground around some points begin (x, y, world, metres), and their heights in steps.

    Samples stand for squares around them. The first is where it makes those squares fill cells, so that a cell whose side is
    a multiple of the samples' distance has that many of its height, and no other.

    Raises:
        UserError: there are too many samples, or heights that 16 bits cannot say.
    """
    terrain = clip.terrain
    low, high = points.amin((0, 1)).double() - MARGIN, points.amax((0, 1)).double() + MARGIN
    aligned = terrain.min_point.double() - terrain.cell_size / 2 + HORIZONTAL_SCALE / 2
    origin = aligned + torch.floor((low - aligned) / terrain.cell_size) * terrain.cell_size
    rows, columns = (math.ceil(length / HORIZONTAL_SCALE) + 1 for length in (high - origin).tolist())
    if rows * columns > MOST_SAMPLES:
        raise UserError(
            f"{clip.name}: the motion goes over ground of {rows} x {columns} samples, expected at most {MOST_SAMPLES} in all; "
            "cut it into shorter clips"
        )
    heights = _heights_on_grid(terrain, origin, rows, columns)
    steps = torch.round(heights.double() / VERTICAL_SCALE)
    limits = torch.iinfo(torch.int16)
    if steps.min() < limits.min or steps.max() > limits.max:
        raise UserError(
            f"{clip.name}: the ground goes from {float(heights.min()):g} to {float(heights.max()):g} m, expected heights within "
            f"{limits.max * VERTICAL_SCALE:.0f} m of 0; raise or level it"
        )
    return origin, steps.to(torch.int16)


def _heights_on_grid(
    terrain: Heightfield, origin: Float[Tensor, "2"], rows: int, columns: int
) -> Float[Tensor, "rows columns"]:
    """Return the heights (metres) on a grid of samples that begins at an origin; beside the map its border goes on."""
    along = origin + HORIZONTAL_SCALE * torch.arange(max(rows, columns))[:, None]
    cells = terrain.cells_at(along)
    return terrain.heights[cells[:rows, 0]][:, cells[:columns, 1]]
