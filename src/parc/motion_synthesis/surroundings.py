"""What windows are told of where they begin: the terrain around it, and where their path leads."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.motion_generator.canonical_frame import RelativeZStyle, canonical_frames, to_canonical
from parc.motion_generator.denoiser import MAX_HEIGHT
from parc.motion_generator.local_heightmap import HeightmapGrid, local_heightmaps
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import TargetSettings, direction_to
from parc.motion_synthesis.candidates import Paths


@runtime_checkable
class Sight(Protocol):
    """What a model sees by: a `TrainedModel`, or the settings of one."""

    @property
    def heightmap(self) -> HeightmapGrid:
        """The points of the local heightmap."""
        ...

    @property
    def relative_z_style(self) -> RelativeZStyle:
        """What the heights are relative to."""
        ...

    @property
    def target(self) -> TargetSettings:
        """How the direction to a target is told."""
        ...

    @property
    def num_previous(self) -> int:
        """Frames that windows go on from."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What a window is asked for beside its previous states: its canonical frame, and what is told in it.

    Attributes:
        origin: of the canonical frame (world, metres).
        turn: its heading, radians.
        heightmap: heights in the canonical frame, metres, clamped to `MAX_HEIGHT`.
        target: unit direction to the target in the canonical frame; zeros where it is near.
    """

    origin: Float[Tensor, "batch 3"]
    turn: Float[Tensor, " batch"]
    heightmap: Float[Tensor, "batch rows columns"]
    target: Float[Tensor, "batch 2"]


def surroundings_at(
    sight: Sight,
    paths: Paths,
    path: Int[Tensor, " batch"],
    root_pos: Float[Tensor, "batch 3"],
    root_rot: Float[Tensor, "batch 4"],
    node: Int[Tensor, " batch"],
) -> Surroundings:
    """Return what windows that begin at some root poses are told of their terrain and of a node (or the last) of their path.

    Args:
        sight: of whom.
        paths: with their terrains.
        path: which one each window follows.
        root_pos: world, metres.
        root_rot: world, (x, y, z, w).
        node: the target of each.
    """
    origin, turn = canonical_frames(sight.relative_z_style, paths.terrains, path, root_pos, root_rot)
    heightmap = local_heightmaps(paths.terrains, path, sight.heightmap, origin, turn).clamp(-MAX_HEIGHT, MAX_HEIGHT)
    target = paths.nodes[path, torch.minimum(node, paths.num_nodes[path] - 1)]
    position = to_canonical(target[:, None], origin, turn)[:, 0, :2]
    # Nobody says where to look at a node, so a near one asks for nothing.
    direction = direction_to(position, torch.zeros_like(turn), sight.target.near, sight.target.turning)
    return Surroundings(origin, turn, heightmap, direction)
