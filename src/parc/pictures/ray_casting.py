"""Which shape is seen at each pixel: exact, because every pixel keeps the shape nearest to the viewer.

Sorting faces by distance, as matplotlib's 3-D axes do, fails where shapes pierce or enclose each other; a picture of a body
on blocks is full of those. Under an orthographic camera a ray is a pixel, so rays meet flat and round shapes in closed form.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from jaxtyping import Float, Int

from parc.pictures.camera import Camera


class Kind(IntEnum):
    """What a shape, or a pixel, belongs to."""

    BACKGROUND = 0
    TERRAIN = 1
    BODY = 2
    PATH = 3


@dataclass(frozen=True)
class Shapes:
    """Parallelograms, seen from one side only, and capsules, in the world.

    Attributes:
        corners: a corner of each parallelogram, metres.
        sides: the two sides that leave that corner; side 0 x side 1 points out of the solid it bounds, metres.
        starts: one end of each capsule's axis, metres.
        ends: the other end, metres; where both are the same the capsule is a sphere.
        radii: of the capsules, metres.
        colours: red, green, blue, 0..1, of the parallelograms and then of the capsules.
        kinds: `Kind` of the same.
        groups: number of the solid that the same are part of (a cell of the terrain, a body of a pose).
    """

    corners: Float[np.ndarray, "faces 3"]
    sides: Float[np.ndarray, "faces 2 3"]
    starts: Float[np.ndarray, "capsules 3"]
    ends: Float[np.ndarray, "capsules 3"]
    radii: Float[np.ndarray, " capsules"]
    colours: Float[np.ndarray, "shapes 3"]
    kinds: Int[np.ndarray, " shapes"]
    groups: Int[np.ndarray, " shapes"]


Box = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class Hits:
    """What is seen at each pixel.

    Attributes:
        shapes: index of the shape (parallelograms first, then capsules); -1 where there is none.
        nearness: of the point seen, metres towards the viewer; minus infinity where there is none.
        normals: of the surface seen, in the world, unit; zeros where there is none.
    """

    shapes: Int[np.ndarray, "rows columns"]
    nearness: Float[np.ndarray, "rows columns"]
    normals: Float[np.ndarray, "rows columns 3"]


def joined(parts: list[Shapes]) -> Shapes:
    """Return all parts as one; groups are kept as they are."""
    values = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Shapes)}
    for name in ("colours", "kinds", "groups"):  # parallelograms come before capsules
        per_part = [(getattr(part, name), len(part.corners)) for part in parts]
        values[name] = np.concatenate([value[:n] for value, n in per_part] + [value[n:] for value, n in per_part])
    return Shapes(**values)


def cast_rays(shapes: Shapes, camera: Camera) -> Hits:
    """Find what the camera sees at the centre of each of its pixels."""
    nearness = np.full((camera.height, camera.width), -np.inf)
    seen = np.full((camera.height, camera.width), -1, dtype=np.int64)
    normals = np.zeros((camera.height, camera.width, 3), dtype=np.float32)
    for index, box, depth, normal in _all_hits(shapes, camera):
        nearer = depth > nearness[box]
        nearness[box][nearer] = depth[nearer]
        seen[box][nearer] = index
        normals[box][nearer] = normal if normal.ndim == 1 else normal[nearer]
    return Hits(seen, nearness, normals @ camera.axes.astype(np.float32))


def pixels_of(shapes: Shapes, camera: Camera) -> Box | None:
    """Return rows and columns of the pixels that may show the shapes; None where the camera sees none of them."""
    boxes = np.concatenate(_boxes_of(shapes, camera))
    boxes = boxes[(boxes[:, 0] < boxes[:, 1]) & (boxes[:, 2] < boxes[:, 3])]
    if not len(boxes):
        return None
    return _slices(np.stack([boxes[:, 0].min(), boxes[:, 1].max(), boxes[:, 2].min(), boxes[:, 3].max()]))


Hit = tuple[int, Box, np.ndarray, np.ndarray]


def _all_hits(shapes: Shapes, camera: Camera) -> Iterator[Hit]:
    """Yield each shape's pixels: its index, rows and columns, nearness (minus infinity off it), normals to the camera."""
    corners, sides = shapes.corners @ camera.axes.T, shapes.sides @ camera.axes.T
    starts, ends = shapes.starts @ camera.axes.T, shapes.ends @ camera.axes.T
    normals = np.cross(sides[:, 0], sides[:, 1])
    boxes_of_faces, boxes_of_capsules = _boxes_of(shapes, camera)
    for index in np.nonzero(normals[:, 2] > 1e-9 * np.linalg.norm(normals, axis=1))[0]:
        if box := _slices(boxes_of_faces[index]):
            depth = _meet_parallelogram(corners[index], sides[index], *_pixel_centres(box, camera))
            yield int(index), box, depth, normals[index] / np.linalg.norm(normals[index])
    for index, radius in enumerate(shapes.radii):
        if box := _slices(boxes_of_capsules[index]):
            pixels = _pixel_centres(box, camera)
            depth, normal = _meet_capsule(starts[index], ends[index], float(radius), *pixels)
            yield len(corners) + index, box, depth, normal


def _boxes_of(shapes: Shapes, camera: Camera) -> tuple[Int[np.ndarray, "faces 4"], Int[np.ndarray, "capsules 4"]]:
    corners, sides = shapes.corners @ camera.axes.T, shapes.sides @ camera.axes.T
    all_corners = corners[:, None] + np.stack([0 * sides[:, 0], sides[:, 0], sides[:, 1], sides.sum(1)], axis=1)
    faces = _pixel_boxes(all_corners.min(1)[:, :2], all_corners.max(1)[:, :2], camera)
    starts, ends = shapes.starts @ camera.axes.T, shapes.ends @ camera.axes.T
    radii = shapes.radii[:, None]
    low, high = np.minimum(starts, ends)[:, :2] - radii, np.maximum(starts, ends)[:, :2] + radii
    return faces, _pixel_boxes(low, high, camera)


def _pixel_boxes(
    low: Float[np.ndarray, "shapes 2"], high: Float[np.ndarray, "shapes 2"], camera: Camera
) -> Int[np.ndarray, "shapes 4"]:
    """Return first and last + 1 row and column of the pixels between two corners of the picture plane, metres."""
    scale = camera.pixels_per_metre
    columns = (np.stack([low[:, 0], high[:, 0]], axis=1) - camera.left) * scale
    rows = (camera.top - np.stack([high[:, 1], low[:, 1]], axis=1)) * scale
    boxes = np.concatenate([rows, columns], axis=1)
    boxes[:, 0::2] = np.floor(boxes[:, 0::2])
    boxes[:, 1::2] = np.ceil(boxes[:, 1::2])
    limits = np.array([camera.height, camera.height, camera.width, camera.width])
    return np.clip(boxes, 0, limits).astype(int)


def _slices(box: Int[np.ndarray, " 4"]) -> Box | None:
    top, bottom, left, right = (int(border) for border in box)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _pixel_centres(box: Box, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return x (one row) and y (one column) of pixel centres in the picture plane, metres."""
    rows, columns = box
    x = camera.left + (np.arange(columns.start, columns.stop) + 0.5) / camera.pixels_per_metre
    y = camera.top - (np.arange(rows.start, rows.stop) + 0.5) / camera.pixels_per_metre
    return x[None, :], y[:, None]


def _meet_parallelogram(corner: np.ndarray, sides: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    (ax, ay, az), (bx, by, bz) = sides
    x, y = x - corner[0], y - corner[1]
    area = ax * by - ay * bx
    along_a, along_b = (x * by - y * bx) / area, (y * ax - x * ay) / area
    tolerance = 1e-9  # neighbours share their border: no pixel may fall between them
    inside = (along_a >= -tolerance) & (along_a <= 1 + tolerance) & (along_b >= -tolerance) & (along_b <= 1 + tolerance)
    return np.where(inside, corner[2] + along_a * az + along_b * bz, -np.inf)


def _meet_capsule(
    start: np.ndarray, end: np.ndarray, radius: float, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearness of a capsule's surface, and its normals in the camera's axes.

    The surface is the nearest of two spheres and, between them, the points w + z e_z whose distance from the axis is the
    radius: a quadratic equation in z.
    """
    length = float(np.linalg.norm(end - start))
    axis = (end - start) / length if length > 1e-9 else np.zeros(3)
    x, y = np.broadcast_arrays(x - start[0], y - start[1])
    along = x * axis[0] + y * axis[1]
    with np.errstate(invalid="ignore", divide="ignore"):  # the square root is NaN where a ray misses
        z = np.sqrt(radius**2 - x**2 - y**2)
        if length > 1e-9:
            way = end - start
            z = np.fmax(z, way[2] + np.sqrt(radius**2 - (x - way[0]) ** 2 - (y - way[1]) ** 2))
        across = 1 - axis[2] ** 2
        if length > 1e-9 and across > 1e-9:
            root = np.sqrt((along * axis[2]) ** 2 - across * (x**2 + y**2 - along**2 - radius**2))
            side = (along * axis[2] + root) / across
            place = along + side * axis[2]
            z = np.fmax(z, np.where((place >= 0) & (place <= length), side, np.nan))
    hit = np.isfinite(z)
    z = np.where(hit, z, 0.0)
    nearest = np.clip(along + z * axis[2], 0, length)[..., None] * axis
    normals = (np.stack([x, y, z], axis=-1) - nearest) / radius
    return np.where(hit, start[2] + z, -np.inf), normals
