"""A motion clip: a character's frames, its contact labels and the terrain they were made on."""

from dataclasses import dataclass, replace
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.anim.making import Making
from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield

UNREFINED = "unrefined."  # before the names of the fields of frames as they were before refinement
UNIT_TOLERANCE = 1e-3  # how far a quaternion's length may be from 1


class LoopMode(str, Enum):
    """What happens beyond a clip's end: its last frame stays, or it begins again where it ended."""

    CLAMP = "CLAMP"
    WRAP = "WRAP"


@dataclass(frozen=True)
class MotionClip:
    """A motion on a terrain. Build one with `checked_clip`, which refuses broken data.

    Attributes:
        name: the clip's file name without folder and extension.
        root_pos: position of the root body in the world, metres.
        root_rot: rotation of the root body, (x, y, z, w).
        joint_rot: rotation of each body but the root against its parent.
        contacts: soft contact label, 0..1, of every body.
        fps: frames a second.
        loop_mode: what happens beyond the end.
        terrain: the heightfield under the motion.
        height_bounds: upper (`[..., 0]`) and lower (`[..., 1]`) height that augmentation may give each cell, as stored
            with the clip. Training computes them again.
        path_nodes: the path that the motion was asked to follow (world, metres), where it was.
        made: how a generator made it, where one did.
        unrefined: the same frames before they were refined, where they were.
    """

    name: str
    root_pos: Float[Tensor, "frames 3"]
    root_rot: Float[Tensor, "frames 4"]
    joint_rot: Float[Tensor, "frames joints 4"]
    contacts: Float[Tensor, "frames bodies"]
    fps: float
    loop_mode: LoopMode
    terrain: Heightfield
    height_bounds: Float[Tensor, "X Y 2"] | None = None
    path_nodes: Float[Tensor, "nodes 3"] | None = None
    made: Making | None = None
    unrefined: Frames | None = None

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.root_pos)

    @property
    def seconds(self) -> float:
        """What the clip weighs in a dataset: frames / fps, seconds."""
        return self.num_frames / self.fps

    @property
    def frames(self) -> Frames:
        """Poses and contact labels of all frames."""
        return Frames(self.root_pos, self.root_rot, self.joint_rot, self.contacts)

    def with_frames(self, frames: Frames) -> "MotionClip":
        """Return this clip with other poses and contact labels; what they were before refinement stays."""
        return replace(self, **vars(frames))

    def part(self, first: int, end: int) -> "MotionClip":
        """Return frames `first` to `end` - 1 as a clip; what they were before refinement is left out of what is not all of it."""
        if (first, end) == (0, self.num_frames):
            return self
        return replace(self.with_frames(self.frames.each(lambda values: values[first:end])), unrefined=None)


def checked_clip(
    source: object,
    character: Character,
    *,
    name: str,
    root_pos: Tensor,
    root_rot: Tensor,
    joint_rot: Tensor,
    contacts: Tensor,
    fps: float,
    loop_mode: str,
    heights: Tensor,
    min_point: Tensor,
    cell_size: float,
    height_bounds: Tensor | None = None,
    path_nodes: Tensor | None = None,
    made: Making | None = None,
    unrefined: dict[str, Tensor] | None = None,
) -> MotionClip:
    """Make a clip from raw fields (see `MotionClip` for shapes and units) after checking every one of them.

    Args:
        source: the file, for messages.
        character: whose joints and bodies the clip must have.
        unrefined: as `root_pos`, `root_rot`, `joint_rot` and `contacts` are, by these names.

    Raises:
        UserError: names the source, the field and what was expected.
    """
    if root_pos.ndim != 2 or len(root_pos) < 2:
        raise UserError(f"{source}: root_pos has shape {list(root_pos.shape)}, expected [n, 3] with n >= 2 frames")
    raw = {"root_pos": root_pos, "root_rot": root_rot, "joint_rot": joint_rot, "contacts": contacts}
    frames = _checked_frames(source, "", raw, character, len(root_pos))
    before = None
    if unrefined is not None:
        before = _checked_frames(source, UNREFINED, unrefined, character, len(root_pos))
    if not 1e-6 < fps < 1e6:
        raise UserError(f"{source}: fps is {fps}, expected a positive number of frames a second")
    if loop_mode not in LoopMode.__members__:
        raise UserError(f"{source}: loop_mode is {loop_mode!r}, expected 'CLAMP' or 'WRAP'")
    if heights.ndim != 2 or heights.numel() == 0:
        raise UserError(f"{source}: hf has shape {list(heights.shape)}, expected a terrain of at least one cell [X, Y]")
    heights = _checked_field(source, "hf", heights, tuple(heights.shape))
    min_point = _checked_field(source, "min_point", min_point, (2,))
    if not 1e-6 < cell_size < 1e6:
        raise UserError(f"{source}: dx is {cell_size}, expected a positive cell size in metres")
    if height_bounds is not None:
        height_bounds = _checked_field(source, "hf_maxmin", height_bounds, (*heights.shape, 2))
    if path_nodes is not None:
        path_nodes = _checked_field(source, "path_nodes", path_nodes, (len(path_nodes) if path_nodes.ndim else 0, 3))
    return MotionClip(
        name=name,
        **vars(frames),
        fps=float(fps),
        loop_mode=LoopMode(loop_mode),
        terrain=Heightfield(heights, min_point, float(cell_size)),
        height_bounds=height_bounds,
        path_nodes=path_nodes,
        made=made,
        unrefined=before,
    )


def _checked_frames(
    source: object, prefix: str, raw: dict[str, Tensor], character: Character, num_frames: int
) -> Frames:
    """Make frames from raw fields, whose names begin with a prefix in messages."""
    values = {}
    for name, shape in (
        ("root_pos", (num_frames, 3)),
        ("root_rot", (num_frames, 4)),
        ("joint_rot", (num_frames, character.num_joints, 4)),
        ("contacts", (num_frames, character.num_bodies)),
    ):
        field = f"{prefix}{name}"
        if name not in raw:
            raise UserError(f"{source}: {field} is missing, expected every clip with {prefix} fields to have it")
        values[name] = _checked_field(source, field, raw[name], shape)
        if name.endswith("_rot"):
            values[name] = _unit(source, field, values[name])
    contacts = values["contacts"]
    if contacts.min() < -UNIT_TOLERANCE or contacts.max() > 1 + UNIT_TOLERANCE:
        span = f"{contacts.min():g} to {contacts.max():g}"
        raise UserError(f"{source}: {prefix}contacts has labels from {span}, expected soft labels in 0..1")
    return Frames(**{**values, "contacts": contacts.clamp(0, 1)})


def _checked_field(source: object, field: str, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(values.shape) != shape:
        raise UserError(f"{source}: {field} has shape {list(values.shape)}, expected {list(shape)}")
    values = values.float()
    if not torch.isfinite(values).all():
        raise UserError(f"{source}: {field} holds numbers that are not finite, expected none")
    return values


def _unit(source: object, field: str, rotations: Tensor) -> Tensor:
    lengths = torch.linalg.norm(rotations, dim=-1, keepdim=True)
    worst = float((lengths - 1).abs().max())
    if worst > UNIT_TOLERANCE:
        raise UserError(
            f"{source}: {field} holds quaternions whose length is off 1 by {worst:.2g}, expected at most {UNIT_TOLERANCE}"
        )
    # Those that are unit already stay as they are, so that a clip read and written again does not change.
    return torch.where((lengths - 1).abs() > 1e-6, rotations / lengths, rotations)
