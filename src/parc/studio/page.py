"""Pages that play motions: one HTML file that needs no server and no internet."""

import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import viser

from parc.anim.character import Character
from parc.configuration.files import write_text_whole
from parc.pictures.camera import axes_facing
from parc.studio.address import THIS_MACHINE
from parc.studio.ground import THICKNESS, near_the_motion
from parc.studio.motion_list import Version
from parc.studio.server import running_server
from parc.studio.shown_motions import Layers, MotionsInScene

MARGIN = 1.2  # metres of ground around each motion
TOWARDS_CAMERA = np.array([0.25, -1.0, 0.6])  # from the middle of all grounds
FIELD_OF_VIEW = 0.7  # radians from the lower to the upper border of the picture
ASPECT = 1.2  # width of the picture over its height, at least
ABOVE = 0.8  # metres above the root of a motion that are to be seen, wherever it is
STAYS = 0.7  # seconds for which the last frame is shown before the page begins again
CAPTION = (
    '<div style="position:fixed;right:12px;top:10px;z-index:9;pointer-events:none;font:600 15px system-ui,sans-serif;'
    'color:#1F2328;background:#ffffffc0;padding:6px 10px;border-radius:6px">{}</div>'
)


def write_page(path: Path, motions: Sequence[Version], character: Character, title: str) -> None:
    """Write a page that plays motions beside one another, at the speed of the first one's clip.

    Whoever opens it can pause, go to any time, choose the speed, and look from anywhere.

    Args:
        path: the file to write.
        motions: at least one.
        character: who moves.
        title: of the page.

    Raises:
        UserError: the file cannot be written.
    """
    shown = [
        dataclasses.replace(motion, clip=dataclasses.replace(motion.clip, terrain=near_the_motion(motion.clip, MARGIN)))
        for motion in motions
    ]
    with running_server(THIS_MACHINE, 0, title) as server:
        scene = MotionsInScene(server, character)
        scene.show(shown, Layers(), beside=True)
        look_at_all(server, scene)
        recording = server.get_scene_serializer()
        for frame in range(scene.num_frames):
            scene.at(frame)
            recording.insert_sleep(1 / scene.fps)
        recording.insert_sleep(STAYS)
        page = recording.as_html()
    write_text_whole(path, _with_caption(page, title))


def look_at_all(server: viser.ViserServer, scene: MotionsInScene) -> None:
    """Have browsers that are opened look at all grounds and motions at once (see `view_of_all`)."""
    server.initial_camera.fov = FIELD_OF_VIEW
    server.initial_camera.position, server.initial_camera.look_at = view_of_all(scene, ASPECT)


def view_of_all(scene: MotionsInScene, aspect: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return where a camera stands that sees all grounds and motions, from the front and above, and where it looks.

    Args:
        scene: that is seen, with a field of view of `FIELD_OF_VIEW`.
        aspect: width of the picture over its height.
    """
    highest = max(float(moving.body_pos[:, 0, 2].max()) for moving in scene.characters) + ABOVE
    corners = []
    for ground in scene.grounds:
        terrain = ground.terrain
        low = terrain.min_point.numpy() - terrain.cell_size / 2
        size = np.array(terrain.heights.shape) * terrain.cell_size
        heights = (float(terrain.heights.min()) - THICKNESS, max(highest, float(terrain.heights.max())))
        corners += [
            np.array([*(low + size * (x, y)), z]) + ground.offset for x in (0, 1) for y in (0, 1) for z in heights
        ]
    middle = (np.min(corners, axis=0) + np.max(corners, axis=0)) / 2
    axes = axes_facing(TOWARDS_CAMERA)
    right, up, near = ((np.array(corners) - middle) @ axes.T).T
    half_height = np.tan(FIELD_OF_VIEW / 2)
    distance = np.max(near + np.maximum(abs(right) / (half_height * aspect), abs(up) / half_height))
    return tuple((middle + distance * axes[2]).tolist()), tuple(middle.tolist())


def _with_caption(page: str, title: str) -> str:
    title = html.escape(title)
    page = page.replace("<title>Viser</title>", f"<title>{title}</title>", 1)
    return page.replace("<body>", f"<body>{CAPTION.format(title)}", 1)
