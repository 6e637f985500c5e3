"""The loss on held-out clips, with the averaged weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from parc.motion_generator.mdm import MDM
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler
from parc.stages.randomness import generator_for


class HeldoutLoss:
    """The loss on fixed windows of held-out clips, with fixed noise: comparable between runs on the same clips.

    Args:
        sampler: whose held-out clips are measured on; there may be none.
        model: draws the noise.
        windows: how many windows are measured on.
        device: of the model.
    """

    def __init__(
        self, sampler: MDMHeightfieldContactMotionSampler, model: MDM, windows: int, device: torch.device
    ) -> None:
        self.clips = sampler.heldout_clips
        if self.has_clips:
            # The seed is no setting: every run measures on the same windows with the same noise.
            self.windows = sampler.fixed_windows(self.clips, windows, generator_for(0, "held-out windows", 0)).to(
                device
            )
            count = len(self.windows.clips)
            self.draws = model.draw(generator_for(0, "held-out diffusion", 0), count).to(device)

    @property
    def has_clips(self) -> bool:
        """Whether any clips are held out."""
        return len(self.clips) > 0

    @torch.no_grad()
    def measure(self, model: MDM, averaged: nn.Module) -> float | None:
        """Return the loss of the averaged weights; None where no clips are held out."""
        if not self.has_clips:
            return None
        with _denoising_with(model, averaged):
            return float(model(self.windows, self.draws).sum())


@contextmanager
def _denoising_with(model: MDM, denoiser: nn.Module) -> Iterator[None]:
    """Let the model use another denoiser for a while, without dropout."""
    own, model.denoiser = model.denoiser, denoiser  # type: ignore[assignment]
    model.denoiser.eval()
    try:
        yield
    finally:
        model.denoiser = own
