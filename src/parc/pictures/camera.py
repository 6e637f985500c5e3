"""An orthographic camera: the world seen from far away, with one scale for near and far."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Camera:
    """An orthographic camera and its picture.

    Attributes:
        axes: unit vectors in the world, one a row: to the right in the picture, up in it, and from it towards the viewer.
        left: the picture's left border along the right axis, metres.
        top: the picture's upper border along the up axis, metres.
        pixels_per_metre: scale of the picture.
        width: of the picture, pixels.
        height: of the picture, pixels.
    """

    axes: Float[np.ndarray, "3 3"]
    left: float
    top: float
    pixels_per_metre: float
    width: int
    height: int

    def project(self, points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """Return column and row (pixels, from the upper left corner) and nearness (metres) of points of the world.

        Of two points at the same column and row, the one with the greater nearness hides the other.
        """
        right, up, nearness = np.moveaxis(points @ self.axes.T, -1, 0)
        columns = (right - self.left) * self.pixels_per_metre
        rows = (self.top - up) * self.pixels_per_metre
        return np.stack([columns, rows, nearness], axis=-1)

    def unproject(self, pixels: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """Return the points of the world (metres) at columns, rows and nearness: undoes `project`."""
        right = self.left + pixels[..., 0] / self.pixels_per_metre
        up = self.top - pixels[..., 1] / self.pixels_per_metre
        return np.stack([right, up, pixels[..., 2]], axis=-1) @ self.axes

    def magnified(self, factor: int) -> "Camera":
        """Return the camera of the same view with `factor` times as many pixels along both sides."""
        return Camera(
            self.axes, self.left, self.top, self.pixels_per_metre * factor, self.width * factor, self.height * factor
        )

    def part(self, rows: slice, columns: slice) -> "Camera":
        """Return the camera whose picture is a box of this one's pixels, which may reach beyond it."""
        left = self.left + columns.start / self.pixels_per_metre
        top = self.top - rows.start / self.pixels_per_metre
        size = (columns.stop - columns.start, rows.stop - rows.start)
        return Camera(self.axes, left, top, self.pixels_per_metre, *size)


def view_axes(azimuth: float, elevation: float) -> Float[np.ndarray, "3 3"]:
    """Return the axes of a camera that stands in a direction (radians) and looks back from it.

    Args:
        azimuth: where it stands, seen from above: 0 along x, pi / 2 along y.
        elevation: how high it stands: 0 looks along the ground, pi / 2 straight down.
    """
    towards = np.array(
        [math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def axes_facing(towards: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Return the axes of a camera that stands in the direction `towards` (any length)."""
    x, y, z = towards / np.linalg.norm(towards)
    return view_axes(math.atan2(y, x), math.asin(z))


def camera_around(
    points: Float[np.ndarray, "points 3"],
    axes: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    margin: float = 0.0,
) -> Camera:
    """Return the camera with these axes whose picture of width x height pixels holds all points, as large as they can be.

    Args:
        points: in the world, metres.
        axes: see `Camera`.
        width: of the picture, pixels.
        height: of the picture, pixels.
        margin: free space around the points, metres.
    """
    plane = points @ axes[:2].T
    low, high = plane.min(axis=0) - margin, plane.max(axis=0) + margin
    scale = float(min(np.array([width, height]) / np.maximum(high - low, 1e-6)))
    return camera_at((low + high) / 2, axes, scale, width, height)


def camera_at(
    centre: Float[np.ndarray, " 2"], axes: Float[np.ndarray, "3 3"], pixels_per_metre: float, width: int, height: int
) -> Camera:
    """Return the camera whose picture has its middle at `centre`, metres along the right and the up axis."""
    half_width, half_height = width / 2 / pixels_per_metre, height / 2 / pixels_per_metre
    return Camera(axes, float(centre[0]) - half_width, float(centre[1]) + half_height, pixels_per_metre, width, height)
