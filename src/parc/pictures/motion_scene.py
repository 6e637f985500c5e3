"""A motion on its terrain, ready to be seen from any side, and the side from which it is seen best."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.pictures.camera import Camera, camera_around, view_axes
from parc.pictures.palette import EARLY_POSE, LATE_POSE, blend
from parc.pictures.posed_bodies import PosedBodies, body_shapes, node_shapes, path_shapes, pose_bodies
from parc.pictures.ray_casting import Shapes, joined, nearest_shapes
from parc.pictures.shading import Rendering, render
from parc.pictures.terrain_blocks import TerrainBlocks, block_shapes, blocks_near

ELEVATION = math.radians(30)
AZIMUTHS = 16  # directions that are tried; none runs along the cells, where steps would be seen edge-on
BODY_RADIUS = 0.08  # metres around a body's origin that its shapes fill, about
LOWEST_BODIES = 4  # of a frame: those that stand on the ground, which the picture is about
PATH_PIXELS = 1.1  # half the width of the root path, but at least
PATH_RADIUS = 0.012  # metres
NODE_PIXELS = 2.2  # likewise of the nodes of the path that was to be followed
NODE_RADIUS = 0.035  # metres


@dataclass(frozen=True)
class MotionScene:
    """A motion on the blocks near it.

    Attributes:
        clip: the motion.
        character: who moves.
        posed: the bodies at all frames.
        blocks: the ground that is drawn.
        ground: the shapes of that ground.
        nodes: of the path that the motion was to follow, as far as they lie over that ground, metres; none where it has no path.
        axes: those of the camera from which the motion is seen best (see `Camera`).
    """

    clip: MotionClip
    character: Character
    posed: PosedBodies
    blocks: TerrainBlocks
    ground: Shapes
    nodes: Float[np.ndarray, "nodes 3"]
    axes: Float[np.ndarray, "3 3"]


def build_scene(clip: MotionClip, character: Character, width: int, height: int) -> MotionScene:
    """Pose the bodies, cut out the ground near them, and choose the best side for a picture of width x height pixels."""
    posed = pose_bodies(clip, character)
    blocks = blocks_near(clip.terrain, posed.positions.reshape(-1, 3))
    ground = block_shapes(blocks)
    axes = _best_axes(posed, ground, width / height)
    return MotionScene(clip, character, posed, blocks, ground, _nodes_over(blocks, clip), axes)


def camera_on_motion(scene: MotionScene, width: int, height: int) -> Camera:
    """Return the camera that sees the whole motion and the ground around it, as large as the picture allows."""
    points = np.concatenate([scene.posed.positions.reshape(-1, 3), scene.ground.corners])
    return camera_around(points, scene.axes, width, height, margin=0.3)


def pose_colours(scene: MotionScene, frames: list[int]) -> Float[np.ndarray, "frames 3"]:
    """Return the colours of poses: the later, the darker."""
    return blend(EARLY_POSE, LATE_POSE, np.array(frames) / max(scene.clip.num_frames - 1, 1))


def render_scene(scene: MotionScene, camera: Camera, frames: list[int]) -> Rendering:
    """Draw the ground, the path that was to be followed, the root path and the poses at some frames."""
    path = path_shapes(scene.posed, max(PATH_RADIUS, PATH_PIXELS / camera.pixels_per_metre))
    bodies = body_shapes(scene.posed, scene.character, frames, pose_colours(scene, frames))
    nodes = node_shapes(scene.nodes, max(NODE_RADIUS, NODE_PIXELS / camera.pixels_per_metre))
    return render(joined([scene.ground, nodes, path, bodies]), camera)


def _nodes_over(blocks: TerrainBlocks, clip: MotionClip) -> Float[np.ndarray, "nodes 3"]:
    """Return the nodes of a clip's path that are over drawn ground; those in pits are raised to where the pits are cut off."""
    if clip.path_nodes is None:
        return np.zeros((0, 3))
    nodes = clip.path_nodes.double().numpy()
    cells = np.round((nodes[:, :2] - blocks.min_point) / blocks.cell_size).astype(int)
    inside = ((cells >= 0) & (cells < blocks.drawn.shape)).all(axis=1)
    over = np.zeros(len(nodes), dtype=bool)
    over[inside] = blocks.drawn[cells[inside, 0], cells[inside, 1]]
    return np.maximum(nodes, [-np.inf, -np.inf, blocks.floor])[over]


def _best_axes(posed: PosedBodies, ground: Shapes, aspect: float) -> Float[np.ndarray, "3 3"]:
    """Choose the direction in which the ground hides least of the motion, of no frame much, and the picture is well filled."""
    bodies = posed.positions[:: max(1, len(posed.positions) // 40)]
    points = np.concatenate([bodies.reshape(-1, 3), ground.corners])
    turns = (np.arange(AZIMUTHS) + 0.5) * 2 * math.pi / AZIMUTHS
    all_axes = [view_axes(azimuth, ELEVATION) for azimuth in turns]
    sizes = np.array([np.ptp(points @ axes[:2].T, axis=0) for axes in all_axes])
    scales = np.minimum(aspect / sizes[:, 0], 1 / sizes[:, 1])
    spreads = np.array([np.ptp(bodies[:, 0] @ axes[0]) + 1.0 for axes in all_axes])  # metres, poses side by side
    seen = np.stack([_share_seen(bodies, ground, axes) for axes in all_axes])
    way = posed.positions[-1, 0] - posed.positions[0, 0]
    rightward = np.array([way @ axes[0] > 0 for axes in all_axes])  # as one reads; decides between mirrored views
    filled = scales / scales.max() * np.sqrt(spreads / spreads.max())
    return all_axes[int((seen.mean(1) * seen.min(1) * filled * (1 + 0.05 * rightward)).argmax())]


def _share_seen(
    bodies: Float[np.ndarray, "frames bodies 3"], ground: Shapes, axes: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, " frames"]:
    """Return the share of the bodies of each frame that the ground does not hide; the lowest ones count as much as all."""
    camera = camera_around(bodies.reshape(-1, 3), axes, 160, 160)
    _, nearness = nearest_shapes(ground, camera)
    pixels = camera.project(bodies)
    columns, rows = (pixels[..., axis].astype(int).clip(0, 159) for axis in (0, 1))
    seen = pixels[..., 2] + BODY_RADIUS >= nearness[rows, columns]
    lowest = np.argsort(bodies[..., 2], axis=1)[:, :LOWEST_BODIES]
    return (seen.mean(axis=1) + np.take_along_axis(seen, lowest, axis=1).mean(axis=1)) / 2
