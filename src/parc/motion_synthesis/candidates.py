"""Candidates: motions that a model made for paths over terrains, many in a batch, each with its own end."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from parc.anim.frames import Frames
from parc.terrain.heightfield import Heightfields, laid_end_to_end
from parc.terrain.path_planner import PlannedPath


@dataclass(frozen=True)
class Paths:
    """Paths over terrains, one each, as many as there are.

    Attributes:
        terrains: what they lead over.
        nodes: x, y, z (metres, in the frame of the terrain), the last one repeated to the length of the longest path.
        num_nodes: of each path.
    """

    terrains: Heightfields
    nodes: Float[Tensor, "paths nodes 3"]
    num_nodes: Int[Tensor, " paths"]

    @property
    def last_nodes(self) -> Float[Tensor, "paths 3"]:
        """Where each path ends, metres."""
        return self.nodes[:, -1]


def paths_of(planned: Sequence[PlannedPath], device: torch.device | str = "cpu") -> Paths:
    """Return planned paths as one batch, in order."""
    longest = max(len(path.nodes) for path in planned)
    nodes = [torch.cat([path.nodes, path.nodes[-1:].expand(longest - len(path.nodes), 3)]) for path in planned]
    return Paths(
        laid_end_to_end([path.terrain for path in planned]).to(torch.device(device)),
        torch.stack(nodes).to(device),
        torch.tensor([len(path.nodes) for path in planned], device=device),
    )


@dataclass(frozen=True)
class Candidates:
    """Motions along paths, each with an end of its own.

    Attributes:
        frames: the motions in the frames of their terrains; what is beyond a motion's end says nothing.
        num_frames: of each motion.
        finished: whether it reached the end of its path.
        path: which path it was asked to follow.
    """

    frames: Frames
    num_frames: Int[Tensor, " batch"]
    finished: Bool[Tensor, " batch"]
    path: Int[Tensor, " batch"]

    @property
    def exists(self) -> Bool[Tensor, "batch frames"]:
        """Which frames come before a motion's end."""
        return torch.arange(self.frames.root_pos.shape[1], device=self.path.device) < self.num_frames[:, None]

    @property
    def last_frames(self) -> Frames:
        """The frame that each motion ends with: one frame each."""
        motion = torch.arange(len(self.path), device=self.path.device)
        return self.frames.each(lambda values: values[motion, self.num_frames - 1][:, None])

    def frames_of(self, number: int) -> Frames:
        """Return the frames of one motion, as many as it has."""
        return self.frames.each(lambda values: values[number, : int(self.num_frames[number])])


def batch_of(motions: Sequence[Frames]) -> Candidates:
    """Return motions that have finished, each on a path of its own, as one batch, in order."""
    filled = [pad_sequence([getattr(each, field.name) for each in motions], True) for field in fields(Frames)]
    device = motions[0].root_pos.device
    count = len(motions)
    return Candidates(
        Frames(*filled),
        torch.tensor([len(each.root_pos) for each in motions], device=device),
        torch.ones(count, dtype=torch.bool, device=device),
        torch.arange(count, device=device),
    )
