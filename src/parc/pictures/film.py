"""A moving picture before it is a file: its frames one by one, and how fast they follow each other."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

HIGHEST_RATE = 30.0  # frames a second: of clips that have more, every second (third...) frame is shown


@dataclass(frozen=True)
class Film:
    """A moving picture.

    Attributes:
        width: of every frame, pixels.
        height: likewise.
        num_frames: how many there are.
        rate: frames a second.
        frame: returns one of them, red, green, blue, 0..255; quickest in order.
    """

    width: int
    height: int
    num_frames: int
    rate: float
    frame: Callable[[int], UInt8[np.ndarray, "height width 3"]]

    def delays(self, unit: float) -> list[int]:
        """Return how long each frame is shown, in whole units of so many seconds; at least one, and over all as long as it takes.

        A format that counts hundredths of a second shows 30 frames a second for 3, 4, 3, 3, 4... of them.
        """
        times = np.round(np.arange(self.num_frames + 1) / (self.rate * unit)).astype(np.int64)
        return np.diff(times).clip(1, None).tolist()


def rate_of(fps: float, highest: float = HIGHEST_RATE) -> float:
    """Return how many frames a second are shown of a clip: every one, or every second (third...), `highest` at most."""
    return fps / max(1, math.ceil(fps / highest - 1e-6))


def frames_at(fps: float, num_frames: int, rate: float, count: int) -> Int[np.ndarray, " count"]:
    """Return the frames of a clip to show at `rate` a second; its last one stays."""
    return np.round(np.arange(count) * fps / rate).astype(int).clip(0, num_frames - 1)
