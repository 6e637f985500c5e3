"""Terrain in a viewer's scene: a column for each cell, which knows where it was clicked."""

import numpy as np
import viser
from jaxtyping import Float, UInt8

from parc.anim.motion_clip import MotionClip
from parc.pictures.palette import HIGH_GROUND, LOW_GROUND, blend
from parc.studio.body_meshes import unit_meshes
from parc.studio.placing import place
from parc.terrain.heightfield import Heightfield, cropped

THICKNESS = 0.3  # metres of solid ground below the lowest cell
LEAST_RANGE = 0.5  # metres: colours tell less difference in height than this by less than their whole span
MOST_CELLS, MARGIN = 20_000, 8.0  # of a terrain that is drawn as a whole; metres around the motion, of a larger one
JOINT = 0.004  # metres left open between columns, so that cells can be told apart


class Ground:
    """The terrain of a clip in a scene; of a large one, the part near the motion.

    Args:
        scene: where it is drawn.
        name: of its node.
        clip: whose terrain is drawn.
        offset: of the clip's world in the scene, metres.
    """

    def __init__(self, scene: viser.SceneApi, name: str, clip: MotionClip, offset: Float[np.ndarray, " 3"]) -> None:
        self.offset = offset
        self.terrain = drawn_terrain(clip)
        centres, half_sides = columns_of(self.terrain)
        mesh = unit_meshes()["boxes"]
        upright = np.tile(np.array([1.0, 0, 0, 0], dtype=np.float32), (len(centres), 1))
        self.node = scene.add_batched_meshes_simple(
            name,
            mesh.vertices,
            mesh.faces,
            batched_wxyzs=upright,
            batched_positions=centres,
            batched_scales=half_sides,
            batched_colors=ground_colours(self.terrain),
            flat_shading=True,
            lod="off",
        )
        place(self.node, offset)

    def place_at(self, event: viser.SceneNodePointerEvent) -> Float[np.ndarray, " 3"] | None:
        """Return where the ground was clicked, in the clip's world, metres; None where the click went past it."""
        return place_on_ray(self.terrain, np.array(event.ray_origin) - self.offset, np.array(event.ray_direction))


def drawn_terrain(clip: MotionClip) -> Heightfield:
    """Return the terrain of a clip; of a large one, the part near the motion."""
    return clip.terrain if clip.terrain.heights.numel() <= MOST_CELLS else near_the_motion(clip, MARGIN)


def near_the_motion(clip: MotionClip, margin: float) -> Heightfield:
    """Return the terrain of a clip up to a margin (metres) around the way of its root."""
    places = clip.root_pos[:, :2]
    return cropped(clip.terrain, places.amin(0) - margin, places.amax(0) + margin)


def columns_of(terrain: Heightfield) -> tuple[Float[np.ndarray, "cells 3"], Float[np.ndarray, "cells 3"]]:
    """Return middles and half sides of the columns of a terrain's cells, row after row (world, metres)."""
    heights = terrain.heights.numpy().astype(np.float32)
    bottom = heights.min() - THICKNESS
    rows, columns = np.indices(heights.shape).reshape(2, -1)
    places = terrain.min_point.numpy() + np.stack([rows, columns], axis=1) * terrain.cell_size
    tops = heights.reshape(-1)
    half = np.full(len(tops), terrain.cell_size / 2 - JOINT / 2)
    centres = np.column_stack([places, (tops + bottom) / 2])
    return centres.astype(np.float32), np.column_stack([half, half, (tops - bottom) / 2]).astype(np.float32)


def ground_colours(terrain: Heightfield) -> UInt8[np.ndarray, "cells 3"]:
    """Return red, green and blue of each cell: the higher, the lighter."""
    heights = terrain.heights.double().numpy().reshape(-1)
    shares = (heights - heights.min()) / max(float(np.ptp(heights)), LEAST_RANGE)
    return (255 * blend(LOW_GROUND, HIGH_GROUND, shares)).astype(np.uint8)


def place_on_ray(
    terrain: Heightfield,
    origin: Float[np.ndarray, " 3"],
    direction: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, " 3"] | None:
    """Return where a ray first meets a column of a terrain (world, metres); None where it meets none.

    Args:
        terrain: whose columns end `THICKNESS` below its lowest cell.
        origin: where the ray begins (world, metres).
        direction: where it goes, of any length.
    """
    centres, half_sides = columns_of(terrain)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = (centres - half_sides - origin) / direction
        far = (centres + half_sides - origin) / direction
    enter = np.nanmax(np.minimum(near, far), axis=1)
    leave = np.nanmin(np.maximum(near, far), axis=1)
    met = (enter <= leave) & (enter >= 0)
    if not met.any():
        return None
    return origin + enter[met].min() * direction
