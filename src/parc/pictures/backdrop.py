"""What stands still in a moving picture, looked at once, and the picture with moving shapes before it.

A frame costs what moves: the shapes and their shadows are drawn within the box of pixels that they can change, by the same
rules as a whole picture (`render`).
"""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from parc.pictures import shading
from parc.pictures.camera import Camera
from parc.pictures.ray_casting import Box, Kind, Shapes, nearest_shapes, pixels_of
from parc.pictures.shading import Sunlight, SunPlaces, Surfaces, look_at, shade, sun_camera, surface_points


@dataclass(frozen=True)
class Backdrop:
    """What a camera sees of shapes that stand still.

    Attributes:
        camera: that of the rays, `SAMPLES_PER_SIDE` along each side of a pixel.
        surfaces: what each ray meets.
        sunlight: what the sun sees of the shapes.
        places: where it sees what rays meet; in its first corner where that is nothing.
        lit: where the sun reaches what rays meet.
        picture: what `render` makes of the shapes, red, green, blue, 0..1.
    """

    camera: Camera
    surfaces: Surfaces
    sunlight: Sunlight
    places: SunPlaces
    lit: Bool[np.ndarray, "fine_rows fine_columns"]
    picture: Float[np.ndarray, "rows columns 3"]

    def with_shapes(self, shapes: Shapes) -> Float[np.ndarray, "rows columns 3"]:
        """Return the picture with some shapes more, which cast shadows and hide what is behind them."""
        picture = self.picture.copy()
        change = self._change(shapes)
        if change is not None:
            picture[change.drawn_box] = change.drawn
        return picture

    def joined_by(self, shapes: Shapes) -> "Backdrop":
        """Return a backdrop to which some shapes belong, too."""
        change = self._change(shapes)
        if change is None:
            return self
        surfaces = _with_part(self.surfaces, change.box, change.surfaces)
        part_of_places = _sun_places(change.surfaces, self.camera.part(*change.box), self.sunlight)
        places = _with_part(self.places, change.box, part_of_places)
        lit, picture, nearness = self.lit.copy(), self.picture.copy(), self.sunlight.nearness.copy()
        lit[change.box] = change.lit
        picture[change.drawn_box] = change.drawn
        if change.sunlight is not None:
            nearness[pixels_of(shapes, self.sunlight.camera)] = change.sunlight.nearness
        return Backdrop(self.camera, surfaces, Sunlight(self.sunlight.camera, nearness), places, lit, picture)

    def _change(self, shapes: Shapes) -> "_Change | None":
        """Return what some shapes more change; None where that is nothing."""
        box_of_sun = pixels_of(shapes, self.sunlight.camera)
        boxes = [pixels_of(shapes, self.camera)]
        sunlight = None
        if box_of_sun is not None:
            sunlight = self._sunlight_within(box_of_sun, shapes)
            boxes.append(self._shadows_within(box_of_sun, shapes))
        box = _hull([box for box in boxes if box is not None], self.camera)
        return self._change_within(box, shapes, sunlight) if box is not None else None

    def _sunlight_within(self, box: Box, shapes: Shapes) -> Sunlight:
        part = self.sunlight.camera.part(*box)
        nearness = np.maximum(self.sunlight.nearness[box], nearest_shapes(shapes, part)[1])
        return Sunlight(self.sunlight.camera, nearness, (box[0].start, box[1].start))

    def _shadows_within(self, box: Box, shapes: Shapes) -> Box | None:
        """Return the pixels on which shapes within a box of the sun's picture can cast shadows."""
        ground = self.sunlight.nearness[box]
        ground = ground[np.isfinite(ground)]
        if not len(ground):
            return None
        sun = self.sunlight.camera
        ends = np.concatenate([shapes.corners, shapes.starts, shapes.ends])
        highest = float((ends @ sun.axes[2]).max())
        corners = [
            (column, row, nearness)
            for column in (box[1].start, box[1].stop)
            for row in (box[0].start, box[0].stop)
            for nearness in (float(ground.min()), max(highest, float(ground.min())))
        ]
        places = self.camera.project(sun.unproject(np.array(corners)))
        low, high = np.floor(places.min(0)).astype(int).tolist(), np.ceil(places.max(0)).astype(int).tolist()
        return slice(low[1], high[1]), slice(low[0], high[0])

    def _change_within(self, box: Box, shapes: Shapes, sunlight: Sunlight | None) -> "_Change":
        camera = self.camera.part(*box)
        surfaces, lit = self.surfaces.part(box).copy(), self.lit[box].copy()
        if sunlight is not None:
            lit &= sunlight.reaches(self.places.part(box))
        own_box = pixels_of(shapes, camera)
        if own_box is not None:
            own_camera = camera.part(*own_box)
            seen = look_at(shapes, own_camera)
            nearer = surfaces.put(own_box, seen)
            places = self.sunlight.places(surface_points(seen, own_camera, nearer))
            reached = self.sunlight.reaches(places)
            lit[own_box][nearer] = reached if sunlight is None else reached & sunlight.reaches(places)
        every = shading.SAMPLES_PER_SIDE
        # Lines are drawn on the pixel before a border, so that the last ones of a box inside the picture are not whole.
        drawn_box = tuple(
            slice(side.start // every, side.stop // every - (side.stop < limit))
            for side, limit in zip(box, self.lit.shape, strict=True)
        )
        rows, columns = (slice(0, side.stop - side.start) for side in drawn_box)
        return _Change(
            box, surfaces, lit, (drawn_box[0], drawn_box[1]), shade(surfaces, lit, camera)[rows, columns], sunlight
        )


@dataclass(frozen=True)
class _Change:
    """What shapes change: rays of a box, pixels of a box, and what the sun sees of the box that they are in."""

    box: Box
    surfaces: Surfaces
    lit: Bool[np.ndarray, "fine_rows fine_columns"]
    drawn_box: Box
    drawn: Float[np.ndarray, "rows columns 3"]
    sunlight: Sunlight | None


def backdrop(shapes: Shapes, camera: Camera, moving: Float[np.ndarray, "points 3"]) -> Backdrop:
    """Look at shapes that stand still.

    Args:
        shapes: what stands still.
        camera: that of the picture.
        moving: points around all that will move before the backdrop, world, metres: the sun must see them, too.
    """
    fine = camera.magnified(shading.SAMPLES_PER_SIDE)
    surfaces = look_at(shapes, fine)
    points = surface_points(surfaces, fine, surfaces.kinds != Kind.BACKGROUND)
    sun = sun_camera(np.concatenate([points, moving]), fine)
    sunlight = Sunlight(sun, nearest_shapes(shapes, sun)[1])
    places = _sun_places(surfaces, fine, sunlight)
    lit = sunlight.reaches(places)
    return Backdrop(fine, surfaces, sunlight, places, lit, shade(surfaces, lit, fine))


def _sun_places(surfaces: Surfaces, camera: Camera, sunlight: Sunlight) -> SunPlaces:
    """Return where the sun sees what each ray meets."""
    met = surfaces.kinds != Kind.BACKGROUND
    places = sunlight.places(surface_points(surfaces, camera, met))
    values = []
    for field in fields(SunPlaces):
        value = getattr(places, field.name)
        values.append(np.zeros(met.shape, dtype=value.dtype))
        values[-1][met] = value
    return SunPlaces(*values)


T = TypeVar("T", Surfaces, SunPlaces)


def _with_part(whole: T, box: Box, part: T) -> T:
    """Return arrays with those of a part in place of a box."""
    values = []
    for field in fields(whole):
        values.append(getattr(whole, field.name).copy())
        values[-1][box] = getattr(part, field.name)
    return type(whole)(*values)


def _hull(boxes: list[Box], camera: Camera) -> Box | None:
    """Return whole pixels around some boxes, with one to spare, as far as they lie in the picture."""
    sides = []
    every = shading.SAMPLES_PER_SIDE
    for axis, limit in ((0, camera.height), (1, camera.width)):
        start = min((box[axis].start for box in boxes), default=0) // every - 1
        stop = -(-max((box[axis].stop for box in boxes), default=0) // every) + 1
        sides.append(slice(max(0, start * every), min(limit, stop * every)))
    return (sides[0], sides[1]) if all(side.start < side.stop for side in sides) and boxes else None
