"""From shapes to a picture: light, shadows and outlines."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from parc.pictures.camera import Camera, axes_facing, camera_around
from parc.pictures.ray_casting import Hits, Kind, Shapes, cast_rays

SAMPLES_PER_SIDE = 2  # rays along each side of a pixel, averaged: smooth edges and fine outlines
SHADOW_PIXELS = 1800  # along the longer side of the sun's own picture, at most
OUTLINE_STEP = 0.06  # metres of depth between neighbouring rays that make a border a strong one


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


def render(shapes: Shapes, camera: Camera) -> Rendering:
    """Draw the shapes as the camera sees them, lit by a sun at its upper left."""
    fine = camera.magnified(SAMPLES_PER_SIDE)
    hits = cast_rays(shapes, fine)
    kinds = np.append(shapes.kinds, Kind.BACKGROUND)[hits.shapes]
    groups = np.append(shapes.groups, -1)[hits.shapes]
    colours = np.concatenate([shapes.colours, np.ones((1, 3))]).astype(np.float32)[hits.shapes]
    seen = kinds != Kind.BACKGROUND
    colours[seen] *= _brightness(shapes, hits, fine)[seen][:, None]
    colours *= 1 - _outlines(hits, kinds, groups)[..., None]
    np.clip(colours, 0, 1, out=colours)
    every = SAMPLES_PER_SIDE
    mean = sum(colours[row::every, column::every] for row in range(every) for column in range(every)) / every**2
    middle = slice(every // 2, None, every)
    return Rendering(np.asarray(mean), kinds[middle, middle], groups[middle, middle])


def _brightness(shapes: Shapes, hits: Hits, camera: Camera) -> Float[np.ndarray, "rows columns"]:
    up = np.array([0.0, 0.0, 1.0])
    to_viewer = np.cross(camera.axes[0], up)  # level
    sun = axes_facing(-0.5 * camera.axes[0] + 0.25 * to_viewer + up)
    facing = (hits.normals @ sun[2]).clip(0, 1)
    sky = 0.5 + 0.5 * hits.normals[..., 2]
    direct = facing * _lit(shapes, hits, camera, sun)
    return 0.44 + 0.18 * sky + 0.48 * direct


def _lit(
    shapes: Shapes, hits: Hits, camera: Camera, sun: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "rows columns"]:
    """Return 1 where the sun reaches the point seen and 0 in shadow, by comparing with what the sun itself sees."""
    rows, columns = np.nonzero(hits.shapes >= 0)
    lit = np.zeros(hits.shapes.shape)
    if not len(rows):
        return lit
    points = camera.unproject(np.stack([columns + 0.5, rows + 0.5, hits.nearness[rows, columns]], axis=-1))
    points += 0.02 * hits.normals[rows, columns]  # so that a surface does not shade itself by rounding
    extremes = points[np.concatenate([(points @ sun[:2].T).argmin(0), (points @ sun[:2].T).argmax(0)])]
    plane = extremes @ sun[:2].T
    sides = plane.max(0) - plane.min(0)
    pixels_along = min(SHADOW_PIXELS, 1.2 * max(camera.width, camera.height))
    width, height = np.ceil(pixels_along * sides / sides.max()).clip(1).astype(int)
    view = camera_around(extremes, sun, int(width), int(height), margin=0.05)
    nearness = cast_rays(shapes, view).nearness
    pixels = view.project(points)
    at_columns = pixels[:, 0].astype(int).clip(0, width - 1)
    at_rows = pixels[:, 1].astype(int).clip(0, height - 1)
    lit[rows, columns] = pixels[:, 2] >= nearness[at_rows, at_columns] - 0.02
    return lit


def _outlines(
    hits: Hits, kinds: Int[np.ndarray, "rows columns"], groups: Int[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "rows columns"]:
    """Return how dark the lines between solids are: strong around bodies and where the ground steps, faint between cells."""
    strength = np.zeros(kinds.shape)
    nearness = np.where(np.isfinite(hits.nearness), hits.nearness, -1e3)
    here, right, below = np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1]
    for there in (right, below):
        border = (groups[here] != groups[there]) & (kinds[here] != Kind.PATH) & (kinds[there] != Kind.PATH)
        body = (kinds[here] == Kind.BODY) | (kinds[there] == Kind.BODY)
        step = np.abs(nearness[here] - nearness[there]) > OUTLINE_STEP
        bend = np.einsum("rcx,rcx->rc", hits.normals[here], hits.normals[there]) < 0.9
        strong = np.where(body, 0.75, np.where(step | bend, 0.45, 0.2))
        strength[here] = np.maximum(strength[here], np.where(border, strong, 0.0))
    return strength
