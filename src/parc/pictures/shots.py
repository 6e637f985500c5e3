"""Where the camera of a moving picture stands at each frame: still where it can, and gliding on where the motion leads away."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import ndimage

from parc.pictures.camera import Camera, camera_at
from parc.pictures.motion_scene import MotionScene, camera_on_motion

WIDEST_VIEW = 8.0  # metres from the lower to the upper border, above which the character would be too small
FOLLOWING_VIEW = 5.5  # metres likewise, of a camera that follows
FREE_SHARE = 0.15  # of the view along each border, into which no body comes while the camera stands still
AIR = 0.25  # metres that bodies reach beyond their origins, about
GLIDE = 1.0  # seconds in which the camera goes from one place to the next
LARGEST_SHOT = 1.6  # times the width and the height of a frame that a backdrop has, at most


@dataclass(frozen=True)
class Shot:
    """Frames that share a backdrop.

    Attributes:
        first: of the frames.
        camera: that of the backdrop.
        corners: row and column of each frame's upper left corner in the backdrop, pixels.
    """

    first: int
    camera: Camera
    corners: Int[np.ndarray, "frames 2"]


def shots_of(
    scene: MotionScene, frames: Int[np.ndarray, " frames"], rate: float, width: int, height: int
) -> list[Shot]:
    """Return the shots of a moving picture of width x height pixels that shows some frames of a clip, `rate` of them a second.

    A motion that is short of `WIDEST_VIEW` is seen as a whole, in one shot. Over a longer one the camera is nearer: it stands
    still as long as the bodies stay in view, then glides on.
    """
    whole = camera_on_motion(scene, width, height)
    if height / whole.pixels_per_metre <= WIDEST_VIEW:
        return [Shot(0, whole, np.zeros((len(frames), 2), dtype=int))]
    scale = height / FOLLOWING_VIEW
    planes = scene.posed.positions[frames] @ scene.axes[:2].T
    view = np.array([width, height]) / scale
    middles = _middles(planes.min(1) - AIR, planes.max(1) + AIR, (1 - 2 * FREE_SHARE) * view, rate)
    # Whole pixels, so that what stands still looks the same wherever the camera is.
    corners = np.round(np.stack([-middles[:, 1], middles[:, 0]], axis=1) * scale).astype(int)
    size = np.array([height, width])
    shots, start = [], 0
    while start < len(corners):
        low, high = np.minimum.accumulate(corners[start:]), np.maximum.accumulate(corners[start:])
        stop = start + _how_many(high - low + size, LARGEST_SHOT * size)
        (rows, columns), spread = low[stop - start - 1], (high - low)[stop - start - 1] + size
        middle = np.array([columns + (spread[1] - width) / 2, -(rows + (spread[0] - height) / 2)]) / scale
        camera = camera_at(middle, scene.axes, scale, int(spread[1]), int(spread[0]))
        shots.append(Shot(start, camera, corners[start:stop] - [rows, columns]))
        start = stop
    return shots


def _middles(
    low: Float[np.ndarray, "frames 2"], high: Float[np.ndarray, "frames 2"], room: Float[np.ndarray, " 2"], rate: float
) -> Float[np.ndarray, "frames 2"]:
    """Return the middle of the view at each frame, from boxes around the bodies; at rest the boxes have `room`."""
    middles, start = np.zeros_like(low), 0
    while start < len(low):
        lowest, highest = np.minimum.accumulate(low[start:]), np.maximum.accumulate(high[start:])
        count = max(1, _how_many(highest - lowest, room))
        middles[start : start + count] = (lowest[count - 1] + highest[count - 1]) / 2
        start += count
    weights = np.hanning(max(1, round(GLIDE * rate)) + 2)[1:-1]
    return ndimage.convolve1d(middles, weights / weights.sum(), axis=0, mode="nearest")


def _how_many(growing: Real[np.ndarray, "frames 2"], room: Float[np.ndarray, " 2"]) -> int:
    """Return for how many frames from the first both sides of what grows fit into the room."""
    return int(np.logical_and.accumulate((growing <= room).all(axis=1)).sum())
