"""Text on moving pictures, drawn without matplotlib's figures: a frame is written in a millisecond."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from parc.pictures import palette

Frame = UInt8[np.ndarray, "height width 3"]


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Return how wide a line of text is, pixels."""
    return int(np.ceil(_font(size, bold).getlength(text)))


def shortened(text: str, size: int, width: int, *, bold: bool = False) -> str:
    """Return the text as it is where it fits into `width` pixels, else with an ellipsis for its middle."""
    for kept in range(len(text), 0, -1):
        shown = text if kept == len(text) else f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if text_width(shown, size, bold=bold) <= width:
            return shown
    return ""


def wrapped(parts: list[str], size: int, width: int) -> list[str]:
    """Return lines of parts with dots between them, each line at most `width` pixels wide."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}  ·  {part}" if lines else part
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(part, size, width))
    return lines


def write(
    frame: Frame, text: str, left: int, top: int, size: int, colour: str = palette.TEXT, *, bold: bool = False
) -> None:
    """Write a line of text into a frame, which must be white there; what does not fit is cut off.

    Args:
        frame: changed in place.
        text: what to write.
        left: of the first letter, pixels.
        top: of the line, pixels.
        size: of the letters, pixels.
        colour: of the letters.
        bold: whether they are.
    """
    rows, columns = slice(top, top + size + size // 2), slice(left, left + text_width(text, size, bold=bold) + 1)
    image = Image.fromarray(np.ascontiguousarray(frame[rows, columns]))
    ImageDraw.Draw(image).text((0, 0), text, font=_font(size, bold), fill=colour)
    frame[rows, columns] = np.asarray(image)


def write_legend(frame: Frame, entries: list[tuple[str, str]], left: int, top: int, size: int) -> None:
    """Write colours and what they mean side by side, as far as they fit."""
    for colour, meaning in entries:
        if left + 2 * size + text_width(meaning, size) > frame.shape[1]:
            return
        square = np.s_[top + size // 5 + 1 : top + size + size // 5 - 1, left : left + size - 2]
        frame[square] = np.round(palette.rgb(colour) * 255)
        write(frame, meaning, left + size + 3, top, size, palette.FAINT_TEXT)
        left += 3 * size + text_width(meaning, size)
