"""From shapes to a picture: light, shadows and outlines."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from parc.pictures.camera import Camera, axes_facing, camera_around
from parc.pictures.ray_casting import Box, Kind, Shapes, cast_rays, nearest_shapes

SAMPLES_PER_SIDE = 2  # rays along each side of a pixel, averaged: smooth edges and fine outlines
SHADOW_PIXELS = 1800  # along the longer side of the sun's own picture, at most
OUTLINE_STEP = 0.06  # metres of depth between neighbouring rays that make a border a strong one
SHADOW_STEP = 0.02  # metres towards the sun by which one surface must be before another to shade it


@dataclass(frozen=True)
class Rendering:
    """A picture, and what is seen at the middle of each of its pixels.

    Attributes:
        colours: red, green, blue, 0..1; white where nothing is.
        kinds: `Kind` of what is seen.
        groups: its group; -1 where nothing is.
    """

    colours: Float[np.ndarray, "rows columns 3"]
    kinds: Int[np.ndarray, "rows columns"]
    groups: Int[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class Surfaces:
    """What each ray of a camera meets.

    Attributes:
        nearness: of the point met, metres towards the viewer; minus infinity where there is none.
        normals: of the surface there, in the world, unit; zeros where there is none.
        kinds: `Kind` of what it belongs to.
        groups: its group; -1 where there is none.
        colours: of the surface in full light, red, green, blue, 0..1; white where there is none.
    """

    nearness: Float[np.ndarray, "rows columns"]
    normals: Float[np.ndarray, "rows columns 3"]
    kinds: Int[np.ndarray, "rows columns"]
    groups: Int[np.ndarray, "rows columns"]
    colours: Float[np.ndarray, "rows columns 3"]

    def part(self, box: Box) -> "Surfaces":
        """Return what the rays of a box meet; the arrays are views."""
        return Surfaces(*(getattr(self, field.name)[box] for field in fields(Surfaces)))

    def copy(self) -> "Surfaces":
        """Return the same with arrays of its own."""
        return Surfaces(*(getattr(self, field.name).copy() for field in fields(Surfaces)))

    def put(self, box: Box, others: "Surfaces") -> Bool[np.ndarray, "box_rows box_columns"]:
        """Let the rays of a box meet others where those are nearer to the viewer, and say where they are. Changes the arrays."""
        nearer = others.nearness > self.nearness[box]
        for field in fields(Surfaces):
            getattr(self, field.name)[box][nearer] = getattr(others, field.name)[nearer]
        return nearer


@dataclass(frozen=True)
class SunPlaces:
    """Where the sun sees points, should nothing be before them.

    Attributes:
        rows: of the sun's picture; the first or last for points beyond it.
        columns: likewise.
        nearness: of the points, metres towards the sun.
    """

    rows: Int[np.ndarray, "*points"]
    columns: Int[np.ndarray, "*points"]
    nearness: Float[np.ndarray, "*points"]

    def part(self, box: Box) -> "SunPlaces":
        """Return those of a box of points that are laid out as a picture; the arrays are views."""
        return SunPlaces(self.rows[box], self.columns[box], self.nearness[box])


@dataclass(frozen=True)
class Sunlight:
    """What the sun sees, from which follows what lies in shadow.

    Attributes:
        camera: the sun's.
        nearness: of what it sees, metres towards the sun; minus infinity where that is nothing.
        corner: row and column of the camera's picture at which `nearness` begins, where that is of a part only.
    """

    camera: Camera
    nearness: Float[np.ndarray, "rows columns"]
    corner: tuple[int, int] = (0, 0)

    def places(self, points: Float[np.ndarray, "points 3"]) -> SunPlaces:
        """Return where the sun sees points of the world."""
        columns, rows, nearness = self.camera.project(points).T
        return SunPlaces(
            rows.clip(0, self.camera.height - 1).astype(np.int16),
            columns.clip(0, self.camera.width - 1).astype(np.int16),
            nearness,
        )

    def reaches(self, places: SunPlaces) -> Bool[np.ndarray, "*points"]:
        """Say which points lie in the sun, as far as is known: beyond a part nothing shades them."""
        rows, columns = places.rows - self.corner[0], places.columns - self.corner[1]
        height, width = self.nearness.shape
        lit = np.ones(rows.shape, dtype=bool)
        known = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        lit[known] = places.nearness[known] >= self.nearness[rows[known], columns[known]] - SHADOW_STEP
        return lit


def render(shapes: Shapes, camera: Camera) -> Rendering:
    """Draw the shapes as the camera sees them, lit by a sun at its upper left."""
    fine = camera.magnified(SAMPLES_PER_SIDE)
    surfaces = look_at(shapes, fine)
    lit = np.zeros(surfaces.kinds.shape, dtype=bool)
    met = surfaces.kinds != Kind.BACKGROUND
    if met.any():
        points = surface_points(surfaces, fine, met)
        sun = sun_camera(points, fine)
        sunlight = Sunlight(sun, nearest_shapes(shapes, sun)[1])
        lit[met] = sunlight.reaches(sunlight.places(points))
    middle = slice(SAMPLES_PER_SIDE // 2, None, SAMPLES_PER_SIDE)
    return Rendering(shade(surfaces, lit, fine), surfaces.kinds[middle, middle], surfaces.groups[middle, middle])


def look_at(shapes: Shapes, camera: Camera) -> Surfaces:
    """Return what each ray of the camera meets of the shapes."""
    hits = cast_rays(shapes, camera)
    return Surfaces(
        nearness=hits.nearness,
        normals=hits.normals,
        kinds=np.append(shapes.kinds, Kind.BACKGROUND).astype(np.int8)[hits.shapes],
        groups=np.append(shapes.groups, -1).astype(np.int32)[hits.shapes],
        colours=np.concatenate([shapes.colours, np.ones((1, 3))]).astype(np.float32)[hits.shapes],
    )


def surface_points(
    surfaces: Surfaces, camera: Camera, met: Bool[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "points 3"]:
    """Return the points of the world that some rays meet, a little above the surface, so that none shades itself."""
    rows, columns = np.nonzero(met)
    points = camera.unproject(np.stack([columns + 0.5, rows + 0.5, surfaces.nearness[met]], axis=-1))
    return points + SHADOW_STEP * surfaces.normals[met]


def sun_axes(camera: Camera) -> Float[np.ndarray, "3 3"]:
    """Return the axes of the sun's camera: it stands at the upper left of the picture, a little before it."""
    up = np.array([0.0, 0.0, 1.0])
    to_viewer = np.cross(camera.axes[0], up)  # level
    return axes_facing(-0.5 * camera.axes[0] + 0.25 * to_viewer + up)


def sun_camera(points: Float[np.ndarray, "points 3"], camera: Camera) -> Camera:
    """Return the sun's camera that holds all the points, about as fine as the camera that they are seen by."""
    axes = sun_axes(camera)
    plane = points @ axes[:2].T
    extremes = points[np.concatenate([plane.argmin(0), plane.argmax(0)])]
    sides = np.ptp(extremes @ axes[:2].T, axis=0)
    pixels_along = min(SHADOW_PIXELS, 1.2 * max(camera.width, camera.height))
    width, height = np.ceil(pixels_along * sides / sides.max()).clip(1).astype(int)
    return camera_around(extremes, axes, int(width), int(height), margin=0.05)


def shade(
    surfaces: Surfaces, lit: Bool[np.ndarray, "fine_rows fine_columns"], camera: Camera
) -> Float[np.ndarray, "rows columns 3"]:
    """Return the picture of what rays meet, an average of `SAMPLES_PER_SIDE` squared rays a pixel: light and outlines.

    Args:
        surfaces: what each ray meets.
        lit: where the sun reaches it.
        camera: that of the rays.
    """
    light = np.where(surfaces.kinds != Kind.BACKGROUND, _brightness(surfaces.normals, lit, camera), np.float32(1))
    colours = (surfaces.colours * (light * (1 - _outlines(surfaces)))[..., None]).clip(0, 1)
    every = SAMPLES_PER_SIDE
    mean = sum(colours[row::every, column::every] for row in range(every) for column in range(every)) / every**2
    return np.asarray(mean)


def _brightness(
    normals: Float[np.ndarray, "rows columns 3"], lit: Bool[np.ndarray, "rows columns"], camera: Camera
) -> Float[np.ndarray, "rows columns"]:
    facing = (normals @ sun_axes(camera)[2].astype(np.float32)).clip(0, 1)
    sky = 0.5 + 0.5 * normals[..., 2]
    return 0.44 + 0.18 * sky + 0.48 * facing * lit


def _outlines(surfaces: Surfaces) -> Float[np.ndarray, "rows columns"]:
    """Return how dark the lines between solids are: strong around bodies and where the ground steps, faint between cells."""
    kinds, groups, normals = surfaces.kinds, surfaces.groups, surfaces.normals
    strength = np.zeros(kinds.shape, dtype=np.float32)
    nearness = np.where(np.isfinite(surfaces.nearness), surfaces.nearness, -1e3)
    here, right, below = np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1]
    for there in (right, below):
        border = (groups[here] != groups[there]) & (kinds[here] != Kind.PATH) & (kinds[there] != Kind.PATH)
        body = (kinds[here] == Kind.BODY) | (kinds[there] == Kind.BODY)
        step = np.abs(nearness[here] - nearness[there]) > OUTLINE_STEP
        bend = np.einsum("rcx,rcx->rc", normals[here], normals[there]) < 0.9
        strong = np.where(body, np.float32(0.75), np.where(step | bend, np.float32(0.45), np.float32(0.2)))
        strength[here] = np.maximum(strength[here], strong * border)
    return strength
