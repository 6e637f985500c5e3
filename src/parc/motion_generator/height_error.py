"""Windows that begin at a wrong height and put it right, so that a model learns at which height a body belongs."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.frames import Frames
from parc.configuration.errors import UserError

NO_CONTACT = 0.1  # metres: an error from which on nothing is in contact that was


@dataclass(frozen=True)
class HeightError:
    """How often, and how far, windows begin too high or too low.

    In clips a body has its right height over the ground from first to last. A model that has seen nothing else goes on at
    whatever height it is: errors add up from window to window, until its motions walk on air or in the ground.

    Contact labels fade with the error that is left. A model that is told of whole contact in frames that are moved learns to
    label feet in the air, and to let labelled feet slide; one that is told of none at all, to stand about where it should walk.

    Attributes:
        chance: that a window has an error, 0..1.
        deviation: standard deviation of an error, metres.
        frames: after how many frames from the last previous state on it is put right.
    """

    chance: float
    deviation: float
    frames: int

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise UserError(f"sampler.height_error.chance is {self.chance}, expected a chance in 0..1")
        if not 0 <= self.deviation < math.inf:
            raise UserError(f"sampler.height_error.deviation is {self.deviation}, expected 0 or more")
        if self.frames < 1:
            raise UserError(f"sampler.height_error.frames is {self.frames}, expected at least 1")

    def draw(self, generator: torch.Generator, batch: int) -> Float[Tensor, " batch"]:
        """Draw the errors of a batch of windows, metres; without a chance of any, nothing is drawn."""
        if not self.chance:
            return torch.zeros(batch)
        has_one = torch.rand(batch, generator=generator) < self.chance
        return has_one * torch.randn(batch, generator=generator) * self.deviation

    def put_in(self, frames: Frames, errors: Float[Tensor, " batch"], num_previous: int) -> Frames:
        """Raise the previous states by the errors (metres); frames after them come down again along a smooth step.

        Their contact labels are those of the clip times 1 - (what is left of the error) / `NO_CONTACT`.

        Args:
            frames: of windows in the world.
            errors: of each window; below 0 it begins too low.
            num_previous: frames that are previous states.
        """
        after = torch.arange(frames.root_pos.shape[1]) - (num_previous - 1)
        share = (after / self.frames).clamp(0, 1)
        left = 1 - share.square() * (3 - 2 * share)
        off = errors[:, None] * left
        root_pos = frames.root_pos.clone()
        root_pos[..., 2] += off
        contacts = frames.contacts * (1 - off.abs() / NO_CONTACT).clamp(min=0)[..., None]
        return replace(frames, root_pos=root_pos, contacts=contacts)


NO_HEIGHT_ERROR = HeightError(chance=0.0, deviation=0.0, frames=8)
