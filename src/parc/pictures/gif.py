"""Animated GIF files: one palette for the whole film, and of each frame only what differs from the one before.

Pillow writes such files too, but keeps all frames in memory and chooses a palette for each; here frames come one by one.
Format: CompuServe Incorporated, Graphics Interchange Format, version 89a (1990).
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from parc.pictures.drawn_frames import Frame, drawn_frames
from parc.pictures.film import Film

CENTISECOND = 0.01  # seconds, in which delays are counted
LONGEST_DELAY = 2**16 - 1
COLOURS = 255  # of the palette; one index more is for what stays as it was
UNCHANGED = UNKNOWN = 255  # of pixels, and of colours that were not looked for yet
SAMPLES = 8  # frames, evenly spread, from which the palette is made
BITS = 6  # of each channel that the nearest colour of the palette is looked up by


def write_gif(film: Film, frames: Iterable[Frame], path: Path) -> None:
    """Write the frames of a film as a GIF that plays again and again. The same frames give the same bytes.

    Delays are whole hundredths of a second; they take turns so that the film as a whole has its own pace.
    """
    samples = np.unique(np.linspace(0, film.num_frames - 1, SAMPLES).astype(int)).tolist()
    palette = palette_of(list(drawn_frames(film, samples)))
    table = np.full(2 ** (3 * BITS), UNKNOWN, dtype=np.uint8)
    with path.open("wb") as file:
        file.write(b"GIF89a" + struct.pack("<HHBBB", film.width, film.height, 0b1111_0111, 0, 0))
        file.write(np.concatenate([palette, np.zeros((256 - len(palette), 3), dtype=np.uint8)]).tobytes())
        file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # again and again
        shown = np.full((film.height, film.width), UNCHANGED, dtype=np.uint8)
        for frame, delay in zip(frames, film.delays(CENTISECOND), strict=True):
            indices = _indices_in(palette, frame, table)
            _write_change(file, shown, indices, min(delay, LONGEST_DELAY))
            shown = indices
        file.write(b"\x3b")


def palette_of(frames: list[Frame]) -> UInt8[np.ndarray, "colours 3"]:
    """Return up to `COLOURS` colours that stand for those of the frames."""
    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames]).astype(np.int32)
    values, counts = np.unique((pixels[:, 0] << 16) | (pixels[:, 1] << 8) | pixels[:, 2], return_counts=True)
    # Of the wide even faces a few pixels are enough: bodies are small, and have most of the shades.
    values = np.repeat(values, np.ceil(np.sqrt(counts)).astype(int))
    colours = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1).astype(np.uint8)
    image = Image.fromarray(colours[None]).quantize(COLOURS - 1, Image.Quantize.MEDIANCUT, kmeans=1)
    chosen = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)[: COLOURS - 1]
    # White is around everything, and next to pages that are white.
    return np.unique(np.concatenate([chosen, [[255, 255, 255]]]).astype(np.uint8), axis=0)


def _indices_in(
    palette: UInt8[np.ndarray, "colours 3"], frame: Frame, table: UInt8[np.ndarray, " cells"]
) -> UInt8[np.ndarray, "height width"]:
    """Return the nearest colour of the palette for each pixel, looked up in a table that is filled in as colours come up."""
    channels = (frame >> (8 - BITS)).astype(np.int32)
    cells = (channels[..., 0] << 2 * BITS) | (channels[..., 1] << BITS) | channels[..., 2]
    indices = table[cells]
    new = np.unique(cells[indices == UNKNOWN])
    if not len(new):
        return indices
    levels = np.round(np.linspace(0, 255, 2**BITS)).astype(int)  # their ends are black and white themselves
    colours = np.stack([levels[new >> place * BITS & (2**BITS - 1)] for place in (2, 1, 0)], axis=1)
    distances = sum((colours[:, None, axis] - palette[:, axis].astype(int)) ** 2 for axis in range(3))
    table[new] = np.argmin(distances, axis=1)
    return table[cells]


def _write_change(
    file: BinaryIO, shown: UInt8[np.ndarray, "height width"], indices: UInt8[np.ndarray, "height width"], delay: int
) -> None:
    """Write a frame: the box within which it differs from what is shown, with what stays as it was left out."""
    changed = shown != indices
    rows, columns = np.nonzero(changed.any(1))[0], np.nonzero(changed.any(0))[0]
    top, left = (int(rows[0]), int(columns[0])) if len(rows) else (0, 0)
    box = np.s_[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1] if len(rows) else np.s_[:1, :1]
    image = np.where(changed[box], indices[box], np.uint8(UNCHANGED))
    # Leave the frame in place when the next one comes; `UNCHANGED` is transparent.
    file.write(b"\x21\xf9\x04" + struct.pack("<BHBB", 0b0000_0101, delay, UNCHANGED, 0))
    file.write(b"\x2c" + struct.pack("<HHHHB", left, top, image.shape[1], image.shape[0], 0))
    file.write(b"\x08" + Image.fromarray(image).tobytes("gif", "L") + b"\x00")
