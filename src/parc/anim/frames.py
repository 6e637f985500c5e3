"""Frames: poses of a character with their contact labels, of one motion or of a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Frames:
    """Poses at some times, in the world.

    Attributes:
        root_pos: metres.
        root_rot: (x, y, z, w).
        joint_rot: (x, y, z, w), body j at index j - 1.
        contacts: soft contact labels, 0..1.
    """

    root_pos: Float[Tensor, "*batch 3"]
    root_rot: Float[Tensor, "*batch 4"]
    joint_rot: Float[Tensor, "*batch joints 4"]
    contacts: Float[Tensor, "*batch bodies"]

    def each(self, function: Callable[[Tensor], Tensor]) -> "Frames":
        """Return what a function makes of each tensor."""
        return Frames(*(function(getattr(self, field.name)) for field in fields(self)))

    def part(self, first: int | None, last: int | None) -> "Frames":
        """Return frames `first` to `last` - 1 of each of a batch of windows."""
        return self.each(lambda values: values[:, first:last])

    def same_as(self, other: "Frames") -> bool:
        """Say whether all numbers are those of other frames; what is no number is the same nowhere."""
        return all(torch.equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))


def joined(parts: Sequence[Frames], dim: int) -> Frames:
    """Return frames one after the other: of one motion along axis 0, of a batch of motions along axis 1."""
    return Frames(*(torch.cat([getattr(part, field.name) for part in parts], dim=dim) for field in fields(Frames)))
