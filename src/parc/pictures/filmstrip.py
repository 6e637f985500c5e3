"""A filmstrip: a whole motion on its terrain in one scene, and below it the poses one by one."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.pictures import palette
from parc.pictures.camera import Camera, camera_at
from parc.pictures.captions import making_in_words, terrain_in_words
from parc.pictures.figure_files import write_figure
from parc.pictures.motion_scene import MotionScene, build_scene, camera_on_motion, render_scene
from parc.pictures.posed_bodies import frames_apart, frames_spread_over
from parc.pictures.terrain_blocks import height_range

WIDTH, HEIGHT, DPI = 1920, 1080, 120  # pixels: a slide
BORDER = 36  # pixels around everything
SCENE_TOP, SCENE_HEIGHT = 112, 560  # pixels
PANEL_TOP, PANEL_HEIGHT, PANEL_GAP = 704, 304, 12  # pixels
POSES = 8
POSE_DISTANCE = 0.6  # metres between poses of the scene, as drawn, so that they can be told apart


def draw_filmstrip(clip: MotionClip, character: Character, path: Path, poses: int = POSES) -> None:
    """Draw a motion on the terrain near it, with contacts and the root path, as a PNG of 1920 x 1080 pixels.

    Args:
        clip: the motion.
        character: who moves.
        path: the picture to write.
        poses: how many panels, evenly spread over the clip; fewer where it has fewer frames.

    Raises:
        UserError: the picture cannot be written.
    """
    write_figure(filmstrip_figure(clip, character, poses), path)


def filmstrip_figure(clip: MotionClip, character: Character, poses: int = POSES) -> Figure:
    """Return the figure that `draw_filmstrip` writes: the scene's axes first, then one for each panel."""
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    scene = build_scene(clip, character, WIDTH - 2 * BORDER, SCENE_HEIGHT)
    panel_frames = [int(frame) for frame in frames_spread_over(clip, poses)]
    _write_title(figure, clip)
    _write_legend(figure, scene)
    _draw_whole_motion(figure, scene, panel_frames)
    width = (WIDTH - 2 * BORDER + PANEL_GAP) // poses - PANEL_GAP
    cameras = _panel_cameras(scene, panel_frames, width, PANEL_HEIGHT)
    start = (WIDTH - len(cameras) * (width + PANEL_GAP) + PANEL_GAP) // 2
    for number, (frame, camera) in enumerate(zip(panel_frames, cameras, strict=True)):
        axes = picture_axes(figure, start + number * (width + PANEL_GAP), PANEL_TOP, camera)
        axes.imshow(render_scene(scene, camera, [frame]).colours, interpolation="none")
        label = f"$\\bf{{{number + 1}}}$   {frame / clip.fps:.2f} s"
        axes.text(0.5, -0.03, label, transform=axes.transAxes, ha="center", va="top", fontsize=12, color=palette.TEXT)
        for spine in axes.spines.values():
            spine.set(visible=True, color="#C9CED3", linewidth=0.8)
    return figure


def picture_axes(figure: Figure, left: int, top: int, camera: Camera) -> Axes:
    """Return axes without ticks for the camera's picture, one to one in pixels, measured from the upper left corner."""
    width, height = figure.get_size_inches() * figure.dpi
    place = (left / width, 1 - (top + camera.height) / height, camera.width / width, camera.height / height)
    axes = figure.add_axes(place, xticks=[], yticks=[])
    axes.set_xlim(0, camera.width)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _write_title(figure: Figure, clip: MotionClip) -> None:
    left, line = BORDER / WIDTH, 1 - 30 / HEIGHT
    size = min(21.0, 21.0 * 70 / len(clip.name)) if clip.name else 21.0  # so that long names stay on the slide
    figure.text(left, line, clip.name, fontsize=size, weight="bold", va="top", color=palette.TEXT, parse_math=False)
    facts = f"{clip.seconds:.2f} s  ·  {clip.num_frames} frames at {clip.fps:g} frames/s"
    figure.text(left, line - 38 / HEIGHT, facts, fontsize=13, va="top", color=palette.FAINT_TEXT)
    if clip.made is not None:
        text = "  ·  ".join([terrain_in_words(clip.terrain), *making_in_words(clip.made)])
        size = min(11.0, 11.0 * 190 / len(text))
        figure.text(left, 12 / HEIGHT, text, fontsize=size, va="bottom", color=palette.FAINT_TEXT, parse_math=False)


def _write_legend(figure: Figure, scene: MotionScene) -> None:
    def patch(colour: str) -> Patch:
        return Patch(facecolor=colour, edgecolor="#55555599", linewidth=0.6)

    low, high = height_range(scene.blocks)
    entries = [
        ((patch(palette.EARLY_POSE), patch(palette.LATE_POSE)), "first to last pose"),
        (patch(palette.CONTACT), "in contact"),
        (Line2D([], [], color=palette.ROOT_PATH, linewidth=2), "root path"),
    ]
    if len(scene.nodes):
        dots = Line2D([], [], color=palette.PATH_NODES, marker="o", markersize=5, linestyle="none")
        entries.append((dots, "path to follow"))
    if high - low >= 0.005:
        ground = (patch(palette.LOW_GROUND), patch(palette.HIGH_GROUND))
        entries.append((ground, f"ground from {low + 0:.2f} to {high + 0:.2f} m"))
    else:
        entries.append((patch(palette.LOW_GROUND), f"ground at {low + 0:.2f} m"))
    if (scene.blocks.is_pit & scene.blocks.drawn).any():
        entries.append((patch(palette.PIT), f"below {scene.blocks.floor:.1f} m, cut off"))
    figure.legend(
        [handle for handle, _ in entries],
        [text for _, text in entries],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
        loc="upper right",
        bbox_to_anchor=(1 - BORDER / WIDTH, 1 - 70 / HEIGHT),
        ncols=len(entries),
        fontsize=11,
        frameon=False,
        borderaxespad=0,
        columnspacing=1.6,
        handletextpad=0.6,
    )


def _draw_whole_motion(figure: Figure, scene: MotionScene, panel_frames: list[int]) -> None:
    camera = camera_on_motion(scene, WIDTH - 2 * BORDER, SCENE_HEIGHT)
    frames = frames_apart(scene.posed, scene.axes, np.array(panel_frames), POSE_DISTANCE)
    axes = picture_axes(figure, BORDER, SCENE_TOP, camera)
    axes.imshow(render_scene(scene, camera, frames).colours, interpolation="none")
    for frame in frames:
        pixels = camera.project(scene.posed.positions[frame])
        above = pixels[:, 1].min() - 0.30 * camera.pixels_per_metre
        axes.text(
            float(pixels[pixels[:, 1].argmin(), 0]),
            max(float(above), 12.0),
            str(panel_frames.index(frame) + 1),
            fontsize=12,
            weight="bold",
            ha="center",
            va="bottom",
            color=palette.TEXT,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
    _draw_scale(axes, camera)


def _draw_scale(axes: Axes, camera: Camera) -> None:
    """Draw one metre of the picture plane into the lower left corner."""
    length, line = camera.pixels_per_metre, camera.height - 8
    axes.plot([4, 4 + length], [line, line], color=palette.TEXT, linewidth=2, solid_capstyle="butt")
    axes.text(4 + length / 2, line - 6, "1 m", ha="center", va="bottom", fontsize=11, color=palette.TEXT)


def _panel_cameras(scene: MotionScene, frames: list[int], width: int, height: int) -> list[Camera]:
    """Return a camera on each pose, all with one scale, at which the largest pose just fits."""
    planes = [scene.posed.positions[frame] @ scene.axes[:2].T for frame in frames]
    room = 0.45  # metres that bodies reach beyond their origins, and a little air
    largest = np.max([np.ptp(plane, axis=0) for plane in planes], axis=0) + room
    scale = float(min(np.array([width, height]) / largest))
    middles = [(plane.min(axis=0) + plane.max(axis=0)) / 2 + np.array([0.0, 0.04]) for plane in planes]
    return [camera_at(middle, scene.axes, scale, width, height) for middle in middles]
