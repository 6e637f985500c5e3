"""A contact sheet: a row for each class of a dataset, with a few of its clips."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from parc.anim.character import Character
from parc.anim.clip_files import read_clip
from parc.anim.dataset import ClipEntry, by_class, evenly_spread
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.pictures import palette
from parc.pictures.figure_files import write_figure
from parc.pictures.filmstrip import picture_axes
from parc.pictures.motion_scene import build_scene, camera_on_motion, render_scene
from parc.pictures.posed_bodies import frames_apart, frames_spread_over

WIDTH, DPI = 1920, 120  # pixels: as wide as a slide, as high as there are classes
BORDER, HEADER, LABELS, GAP = 36, 104, 236, 14  # pixels
THUMBNAIL_HEIGHT, CAPTION = 236, 34  # pixels
CLIPS_PER_CLASS = 4
MOST_CLASSES = 200  # a picture that can still be opened
POSES = 5  # of a thumbnail, at most
POSE_DISTANCE = 0.6  # metres between them, at least


@dataclass(frozen=True)
class ClassTotal:
    """What a dataset holds of a class.

    Attributes:
        clips: number of clips.
        seconds: how long they take together.
    """

    clips: int
    seconds: float


def read_classes(
    entries: list[ClipEntry], character: Character
) -> tuple[dict[str, list[MotionClip]], dict[str, ClassTotal]]:
    """Read a dataset for its contact sheet: a few clips of every class, evenly spread over it, and what it holds in all.

    Only the clips to draw are kept in memory.

    Raises:
        UserError: a clip is broken.
    """
    clips_by_class, totals = {}, {}
    for name, members in by_class(entries).items():
        drawn = evenly_spread(range(len(members)), CLIPS_PER_CLASS)
        clips, seconds = [], 0.0
        for number, entry in enumerate(members):
            clip = read_clip(entry.path, character)
            seconds += clip.seconds
            clips += [clip] if number in drawn else []
        clips_by_class[name], totals[name] = clips, ClassTotal(len(members), seconds)
    return clips_by_class, totals


def draw_contact_sheet(
    clips_by_class: dict[str, list[MotionClip]],
    character: Character,
    path: Path,
    *,
    title: str,
    totals: dict[str, ClassTotal],
) -> None:
    """Draw a few clips of every class, each with some of its poses on its terrain, as a PNG 1920 pixels wide.

    Args:
        clips_by_class: the clips to draw, a row for each class; at most `CLIPS_PER_CLASS` of each are drawn.
        character: who moves.
        path: the picture to write.
        title: the dataset's name.
        totals: what the whole dataset holds of every class.

    Raises:
        UserError: there are more than `MOST_CLASSES` classes, or the picture cannot be written.
    """
    write_figure(contact_sheet_figure(clips_by_class, character, title=title, totals=totals), path)


def contact_sheet_figure(
    clips_by_class: dict[str, list[MotionClip]], character: Character, *, title: str, totals: dict[str, ClassTotal]
) -> Figure:
    """Return the figure that `draw_contact_sheet` writes: one axes for each clip, class after class."""
    if len(clips_by_class) > MOST_CLASSES:
        raise UserError(
            f"{title}: {len(clips_by_class)} classes, expected at most {MOST_CLASSES} on a contact sheet; "
            "give a folder with fewer"
        )
    height = HEADER + len(clips_by_class) * (THUMBNAIL_HEIGHT + CAPTION + GAP) + BORDER - GAP
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI)
    _write_header(figure, title, totals)
    for row, (name, clips) in enumerate(clips_by_class.items()):
        top = HEADER + row * (THUMBNAIL_HEIGHT + CAPTION + GAP)
        _write_class(figure, top, name, totals[name])
        for column, clip in enumerate(clips[:CLIPS_PER_CLASS]):
            _draw_thumbnail(figure, top, column, clip, character)
    return figure


def _write_header(figure: Figure, title: str, totals: dict[str, ClassTotal]) -> None:
    height = figure.get_size_inches()[1] * DPI
    clips, seconds = sum(total.clips for total in totals.values()), sum(total.seconds for total in totals.values())
    left, line = BORDER / WIDTH, 1 - 30 / height
    size = min(21.0, 21.0 * 70 / max(len(title), 1))
    figure.text(left, line, title, fontsize=size, weight="bold", va="top", color=palette.TEXT, parse_math=False)
    facts = f"{_count(len(totals), 'class')}  ·  {_count(clips, 'clip')}  ·  {_duration(seconds)}"
    figure.text(left, line - 38 / height, facts, fontsize=13, va="top", color=palette.FAINT_TEXT)


def _write_class(figure: Figure, top: int, name: str, total: ClassTotal) -> None:
    height = figure.get_size_inches()[1] * DPI
    left, line = BORDER / WIDTH, 1 - (top + 8) / height
    rule = 1 - top / height
    figure.add_artist(Line2D([left, 1 - left], [rule, rule], color="#D5D9DD", linewidth=0.8))
    lines = textwrap.wrap(name.replace("_", "_\N{ZERO WIDTH SPACE}"), 17, break_long_words=True)[:4] or ["(no class)"]
    text = "\n".join(lines).replace("\N{ZERO WIDTH SPACE}", "")
    figure.text(
        left, line, text, fontsize=15, weight="bold", va="top", color=palette.TEXT, parse_math=False, linespacing=1.15
    )
    below = line - (len(lines) * 29 + 10) / height
    facts = f"{_count(total.clips, 'clip')}\n{_duration(total.seconds)}"
    figure.text(left, below, facts, fontsize=12, va="top", color=palette.FAINT_TEXT, linespacing=1.4)


def _draw_thumbnail(figure: Figure, top: int, column: int, clip: MotionClip, character: Character) -> None:
    width = (WIDTH - 2 * BORDER - LABELS + GAP) // CLIPS_PER_CLASS - GAP
    scene = build_scene(clip, character, width, THUMBNAIL_HEIGHT)
    camera = camera_on_motion(scene, width, THUMBNAIL_HEIGHT)
    way = float(np.ptp(scene.posed.positions[:, 0] @ scene.axes[0]))
    frames = frames_apart(scene.posed, scene.axes, frames_spread_over(clip, 3 * POSES), max(POSE_DISTANCE, way / POSES))
    axes = picture_axes(figure, BORDER + LABELS + column * (width + GAP), top + 4, camera)
    axes.imshow(render_scene(scene, camera, frames).colours, interpolation="none")
    name = clip.name if len(clip.name) <= 40 else f"{clip.name[:22]}…{clip.name[-17:]}"
    below = {"transform": axes.transAxes, "va": "top", "fontsize": 10}
    axes.text(0.02, -0.02, name, ha="left", color=palette.TEXT, parse_math=False, **below)
    axes.text(0.98, -0.02, f"{clip.seconds:.1f} s", ha="right", color=palette.FAINT_TEXT, **below)


def _count(number: int, noun: str) -> str:
    plural = {"class": "classes"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
