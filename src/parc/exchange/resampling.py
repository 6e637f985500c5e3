"""Captured motion at 30 frames a second."""

import torch
from jaxtyping import Float
from torch import Tensor

FPS = 30.0


def resampled(values: Float[Tensor, "frames *size"], fps: float | int) -> Float[Tensor, "resampled *size"]:
    """Return values of every 1/30 s from values at `fps` frames a second, linearly between frames; from the first on."""
    count = int((len(values) - 1) * FPS / fps + 1e-6) + 1
    at = torch.arange(count) * (fps / FPS)
    before = at.long().clamp(max=len(values) - 2)
    share = (at - before).reshape(-1, *[1] * (values.ndim - 1))
    return values[before] + share * (values[before + 1] - values[before])
