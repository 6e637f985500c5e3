"""Which shape is seen at each pixel: exact, because every pixel keeps the shape nearest to the viewer.

Sorting faces by distance, as matplotlib's 3-D axes do, fails where shapes pierce or enclose each other; a picture of a body
on blocks is full of those. Under an orthographic camera a ray is a pixel, so rays meet flat and round shapes in closed form.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from jaxtyping import Float, Int

from parc.pictures.camera import Camera

_SHORTEST = 1e-9  # metres: of a capsule's axis; a sphere's is shorter


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
    seen, nearness = nearest_shapes(shapes, camera)
    return Hits(seen, nearness, _normals(shapes, camera, seen, nearness))


def nearest_shapes(
    shapes: Shapes, camera: Camera
) -> tuple[Int[np.ndarray, "rows columns"], Float[np.ndarray, "rows columns"]]:
    """Return `Hits.shapes` and `Hits.nearness`, which is all that shadows need."""
    nearness = np.full((camera.height, camera.width), -np.inf)
    seen = np.full((camera.height, camera.width), -1, dtype=np.int64)
    with np.errstate(invalid="ignore"):  # of square roots where rays miss
        for index, box, depth in _all_hits(shapes, camera):
            nearer = depth > nearness[box]
            nearness[box][nearer] = depth[nearer]
            seen[box][nearer] = index
    return seen, nearness


def pixels_of(shapes: Shapes, camera: Camera) -> Box | None:
    """Return rows and columns of the pixels that may show the shapes; None where the camera sees none of them."""
    boxes = np.concatenate(_boxes_of(_turned(shapes, camera), camera))
    boxes = boxes[(boxes[:, 0] < boxes[:, 1]) & (boxes[:, 2] < boxes[:, 3])]
    if not len(boxes):
        return None
    return _slices(np.stack([boxes[:, 0].min(), boxes[:, 1].max(), boxes[:, 2].min(), boxes[:, 3].max()]))


def _turned(shapes: Shapes, camera: Camera) -> Shapes:
    """Return the shapes in the camera's axes."""
    return replace(
        shapes,
        **{name: getattr(shapes, name) @ camera.axes.T for name in ("corners", "sides", "starts", "ends")},
    )


def _all_hits(shapes: Shapes, camera: Camera) -> Iterator[tuple[int, Box, Float[np.ndarray, "rows columns"]]]:
    """Yield each shape's pixels: its index, rows and columns, and nearness (minus infinity or not a number off it)."""
    turned = _turned(shapes, camera)
    boxes_of_faces, boxes_of_capsules = _boxes_of(turned, camera)
    x, y = _pixel_centres(camera)
    for index in np.nonzero(_face_normals(turned)[:, 2] > 1e-9)[0]:
        if box := _slices(boxes_of_faces[index]):
            yield (
                int(index),
                box,
                _meet_parallelogram(turned.corners[index], turned.sides[index], x[:, box[1]], y[box[0]]),
            )
    for index, radius in enumerate(turned.radii):
        if box := _slices(boxes_of_capsules[index]):
            ends = (turned.starts[index], turned.ends[index])
            yield len(turned.corners) + index, box, _meet_capsule(*ends, float(radius), x[:, box[1]], y[box[0]])


def _normals(
    shapes: Shapes,
    camera: Camera,
    seen: Int[np.ndarray, "rows columns"],
    nearness: Float[np.ndarray, "rows columns"],
) -> Float[np.ndarray, "rows columns 3"]:
    """Return `Hits.normals` of what is seen."""
    turned = _turned(shapes, camera)
    normals = np.zeros((*seen.shape, 3), dtype=np.float32)
    faces = len(turned.corners)
    on_face = (seen >= 0) & (seen < faces)
    normals[on_face] = (_face_normals(turned) @ camera.axes)[seen[on_face]]
    rows, columns = np.nonzero(seen >= faces)
    capsules = seen[rows, columns] - faces
    x, y = _pixel_centres(camera)
    from_start = np.stack([x[0, columns], y[rows, 0], nearness[rows, columns]], axis=1) - turned.starts[capsules]
    ways = turned.ends - turned.starts
    lengths = np.linalg.norm(ways, axis=1)
    axes = ways / np.maximum(lengths, _SHORTEST)[:, None]
    places = np.einsum("px,px->p", from_start, axes[capsules]).clip(0, lengths[capsules])
    out = (from_start - places[:, None] * axes[capsules]) / turned.radii[capsules, None]
    normals[rows, columns] = out @ camera.axes
    return normals


def _face_normals(turned: Shapes) -> Float[np.ndarray, "faces 3"]:
    """Return the unit normals of parallelograms; zeros of those without area."""
    normals = np.cross(turned.sides[:, 0], turned.sides[:, 1])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)


def _boxes_of(turned: Shapes, camera: Camera) -> tuple[Int[np.ndarray, "faces 4"], Int[np.ndarray, "capsules 4"]]:
    sides = turned.sides
    steps = np.stack([0 * sides[:, 0], sides[:, 0], sides[:, 1], sides.sum(1)], axis=1)
    all_corners = turned.corners[:, None] + steps
    faces = _pixel_boxes(all_corners.min(1)[:, :2], all_corners.max(1)[:, :2], camera)
    radii = turned.radii[:, None]
    low = np.minimum(turned.starts, turned.ends)[:, :2] - radii
    high = np.maximum(turned.starts, turned.ends)[:, :2] + radii
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


def _pixel_centres(camera: Camera) -> tuple[Float[np.ndarray, "1 columns"], Float[np.ndarray, "rows 1"]]:
    """Return x and y of pixel centres in the picture plane, metres."""
    x = camera.left + (np.arange(camera.width) + 0.5) / camera.pixels_per_metre
    y = camera.top - (np.arange(camera.height) + 0.5) / camera.pixels_per_metre
    return x[None, :], y[:, None]


def _meet_parallelogram(corner: np.ndarray, sides: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    (ax, ay, az), (bx, by, bz) = sides
    x, y = x - corner[0], y - corner[1]
    area = ax * by - ay * bx
    along_a, along_b = (x * by - y * bx) / area, (y * ax - x * ay) / area
    tolerance = 1e-9  # neighbours share their border: no pixel may fall between them
    inside = (along_a >= -tolerance) & (along_a <= 1 + tolerance) & (along_b >= -tolerance) & (along_b <= 1 + tolerance)
    return np.where(inside, corner[2] + along_a * az + along_b * bz, -np.inf)


def _meet_capsule(start: np.ndarray, end: np.ndarray, radius: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the nearness of a capsule's surface; not a number where rays miss it.

    The surface is the nearest of two spheres and, between them, the points w + z e_z whose distance from the axis is the
    radius: a quadratic equation in z.
    """
    way = end - start
    length = float(np.linalg.norm(way))
    x, y = x - start[0], y - start[1]
    off = x**2 + y**2
    z = np.sqrt(radius**2 - off)
    if length <= _SHORTEST:
        return start[2] + z
    z = np.fmax(z, way[2] + np.sqrt(radius**2 - ((x - way[0]) ** 2 + (y - way[1]) ** 2)))
    axis = way / length
    across = 1 - axis[2] ** 2
    if across > 1e-9:
        along = x * axis[0] + y * axis[1]
        root = np.sqrt((along * axis[2]) ** 2 - across * (off - along**2 - radius**2))
        side = (along * axis[2] + root) / across
        place = along + side * axis[2]
        z = np.fmax(z, np.where((place >= 0) & (place <= length), side, np.nan))
    return start[2] + z
