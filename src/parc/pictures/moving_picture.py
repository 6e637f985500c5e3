"""Films of motions: one clip, or several side by side, each on its terrain with its name, its making and the time."""

import numpy as np
from jaxtyping import UInt8

from parc.anim.character import Character
from parc.anim.dataset import ClipEntry, by_class, evenly_spread
from parc.anim.motion_clip import MotionClip
from parc.pictures import palette
from parc.pictures.captions import losses_in_words, making_in_words, terrain_in_words
from parc.pictures.film import HIGHEST_RATE, Film, frames_at, rate_of
from parc.pictures.lettering import shortened, text_width, wrapped, write, write_legend
from parc.pictures.moving_scene import MovingScene

SIZE = (640, 360)  # pixels, of a film of one clip
CELL_SIZES = {4: (480, 320), 12: (320, 240)}  # pixels, of a clip among up to so many
MOST_CLIPS = max(CELL_SIZES)
COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 9: 3}  # for as many clips; four for any other number
BORDER = 8  # pixels around text
LARGE, SMALL = 14, 11  # pixels: of letters
LARGE_LINE, SMALL_LINE = 20, 16  # pixels: of lines of them
CONTACTS = (palette.CONTACT, "in contact")
WAYS = [(palette.PATH_NODES, "path to follow"), (palette.TARGET, "target now")]


class _Cell:
    """A clip's part of a film: captions above and below its scene."""

    def __init__(self, clip: MotionClip, character: Character, film: tuple[float, int], size: tuple[int, int]) -> None:
        rate, count = film
        self.frames = frames_at(clip.fps, clip.num_frames, rate, count)
        self.seconds = self.frames / clip.fps
        width, height = size
        below = _below(clip, width) if size == SIZE else _briefly_below(clip, width)
        legend = [(palette.ROOT_PATH, "root path"), CONTACTS, *(WAYS if clip.path_nodes is not None else [])]
        self.top = BORDER // 2 + LARGE_LINE + SMALL_LINE
        bottom = height - BORDER // 2 - SMALL_LINE * len(below) - (SMALL_LINE if size == SIZE else 0)
        self.blank = np.full((height, width, 3), 255, dtype=np.uint8)
        room = width - 3 * BORDER - text_width("000.0 s", LARGE)
        write(self.blank, shortened(clip.name, LARGE, room, bold=True), BORDER, BORDER // 2, LARGE, bold=True)
        facts = [
            f"{clip.seconds:.2f} s",
            f"{clip.num_frames} frames at {clip.fps:g} frames/s",
            terrain_in_words(clip.terrain),
        ]
        line = wrapped(facts if size == SIZE else facts[::2], SMALL, width - 2 * BORDER)[0]
        write(self.blank, line, BORDER, BORDER // 2 + LARGE_LINE, SMALL, palette.FAINT_TEXT)
        for number, text in enumerate(below):
            write(self.blank, text, BORDER, bottom + number * SMALL_LINE, SMALL, palette.FAINT_TEXT)
        if size == SIZE:
            write_legend(self.blank, legend, BORDER, height - BORDER // 2 - SMALL_LINE, SMALL)
        self.scene = MovingScene(clip, character, self.frames, rate, (width, bottom - self.top))
        self._last: tuple[int, UInt8[np.ndarray, "height width 3"]] | None = None

    def frame(self, number: int) -> UInt8[np.ndarray, "height width 3"]:
        if self._last is not None and self._last[0] == self.frames[number]:
            return self._last[1]  # over, while others go on
        frame = self.blank.copy()
        picture = self.scene.picture(number)
        frame[self.top : self.top + len(picture)] = np.round(picture * 255)
        text = f"{self.seconds[number]:.1f} s"
        write(frame, text, frame.shape[1] - BORDER - text_width(text, LARGE), BORDER // 2, LARGE)
        self._last = (self.frames[number], frame)
        return frame


def film_of_clip(clip: MotionClip, character: Character) -> Film:
    """Return the film of a motion on its terrain: contacts, its path and where on it the motion is going, and the time."""
    rate = rate_of(clip.fps)
    count = _count(clip, rate)
    return Film(*SIZE, count, rate, _Cell(clip, character, (rate, count), SIZE).frame)


def film_of_clips(
    clips: list[MotionClip],
    character: Character,
    title: str,
    *,
    size: tuple[int, int] | None = None,
    highest_rate: float = HIGHEST_RATE,
) -> Film:
    """Return the film of up to `MOST_CLIPS` motions at once, each as `film_of_clip` shows it; what ends early stays as it ends.

    Args:
        clips: the motions, in rows from the upper left.
        character: who moves.
        title: written above them.
        size: width and height of each, pixels; None for what so many of them have.
        highest_rate: frames a second at most. Half as many take half as long to draw.
    """
    rate = max(rate_of(clip.fps, highest_rate) for clip in clips)
    count = max(_count(clip, rate) for clip in clips)
    size = size or next(size for most, size in CELL_SIZES.items() if len(clips) <= most)
    cells = [_Cell(clip, character, (rate, count), size) for clip in clips]
    columns = COLUMNS.get(len(clips), 4)
    above = LARGE_LINE + BORDER
    width, height = columns * size[0], above + -(-len(clips) // columns) * size[1] + SMALL_LINE + BORDER
    blank = np.full((height, width, 3), 255, dtype=np.uint8)
    write(blank, shortened(title, LARGE, width - 2 * BORDER, bold=True), BORDER, BORDER // 2, LARGE, bold=True)
    legend = [(palette.ROOT_PATH, "root path"), CONTACTS]
    legend += WAYS if any(clip.path_nodes is not None for clip in clips) else []
    write_legend(blank, legend, BORDER, height - BORDER // 2 - SMALL_LINE, SMALL)

    def frame(number: int) -> UInt8[np.ndarray, "height width 3"]:
        whole = blank.copy()
        for place, cell in enumerate(cells):
            top, left = above + place // columns * size[1], place % columns * size[0]
            whole[top : top + size[1], left : left + size[0]] = cell.frame(number)
        return whole

    return Film(width, height, count, rate, frame)


def spread_over_classes(entries: list[ClipEntry], most: int = MOST_CLIPS) -> list[ClipEntry]:
    """Return up to `most` clips of a dataset: as many of each class as of any other where they last, evenly spread over it."""
    classes = evenly_spread(list(by_class(entries).values()), most)
    taken = [0] * len(classes)
    while sum(taken) < most and (left := [n for n, clips in enumerate(classes) if taken[n] < len(clips)]):
        taken[min(left, key=lambda number: taken[number])] += 1
    return [clip for clips, count in zip(classes, taken, strict=True) for clip in evenly_spread(clips, count)]


def _count(clip: MotionClip, rate: float) -> int:
    return max(1, int(np.floor((clip.num_frames - 1) * rate / clip.fps + 1e-6)) + 1)


def _below(clip: MotionClip, width: int) -> list[str]:
    return wrapped(making_in_words(clip.made), SMALL, width - 2 * BORDER) if clip.made is not None else []


def _briefly_below(clip: MotionClip, width: int) -> list[str]:
    if clip.made is None:
        return []
    parts = [f"motion {clip.made.number}, guidance {clip.made.guidance_scale:g}", losses_in_words(clip.made)]
    return wrapped([part for part in parts if part], SMALL, width - 2 * BORDER)
