"""Where a motion goes: smooth routes seen from above, and blocky terrains along them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree

from parc.terrain.generators import random_boxes
from parc.terrain.heightfield import Heightfield

CELL_SIZE = 0.4  # metres
SPACING = 0.02  # metres between the points of a route
MARGIN = 2.0  # metres of terrain around the routes
CORRIDOR = (0.5, 0.8)  # half the width, in metres, of the ground that is kept clear along a route: narrowest and widest

Profile = Callable[[Float[np.ndarray, " points"]], Float[np.ndarray, " points"]]


@dataclass(frozen=True)
class Route:
    """A curve on the ground, points `SPACING` apart.

    Attributes:
        points: world, metres.
        headings: direction of travel at each point, radians, continuous.
    """

    points: Float[np.ndarray, "points 2"]
    headings: Float[np.ndarray, " points"]

    @property
    def length(self) -> float:
        """Metres from first to last point."""
        return (len(self.points) - 1) * SPACING

    def at(self, distance: float) -> tuple[Float[np.ndarray, "2"], float]:
        """Return point and heading after `distance` metres."""
        place = np.arange(len(self.points)) * SPACING
        x, y, heading = (np.interp(distance, place, values) for values in (*self.points.T, self.headings))
        return np.array([x, y]), float(heading)

    def part(self, start: float, end: float) -> "Route":
        """Return the route between two distances, metres."""
        span = slice(round(start / SPACING), round(end / SPACING) + 1)
        return Route(self.points[span], self.headings[span])


def straight_route(start: Float[np.ndarray, "2"], heading: float, length: float) -> Route:
    """Return a straight route from `start` (world, metres) along `heading` (radians) of `length` metres."""
    return route_of_headings(start, np.full(round(length / SPACING) + 1, heading))


def winding_route(
    random: np.random.Generator, start: Float[np.ndarray, "2"], heading: float, length: float, sharpest: float
) -> Route:
    """Return a route that winds at random; `sharpest` is its strongest curvature, radians a metre."""
    count = round(length / SPACING) + 1
    curvature = gaussian_filter1d(random.normal(size=count), 0.5 / SPACING, mode="nearest")
    curvature *= random.uniform(0.3, 1) * sharpest / max(np.abs(curvature).max(), 1e-6)
    return route_of_headings(start, heading + np.cumsum(curvature) * SPACING)


def route_of_headings(start: Float[np.ndarray, "2"], headings: Float[np.ndarray, " points"]) -> Route:
    """Return the route from `start` (world, metres) that goes `SPACING` into each of some directions (radians)."""
    way = SPACING * np.stack([np.cos(headings), np.sin(headings)], axis=-1)[:-1]
    points = start + np.concatenate([np.zeros((1, 2)), np.cumsum(way, axis=0)])
    return Route(points, headings)


def terrain_along(
    random: np.random.Generator,
    routes: list[Route],
    profile: Profile | None = None,
    bumps: float = 0.0,
    anywhere: bool = False,
) -> Heightfield:
    """Return random blocks with a corridor along routes laid end to end.

    Args:
        random: where every draw comes from.
        routes: the ways that the character takes.
        profile: height (metres) of the corridor at distances along the routes (metres); level ground by default.
        bumps: how far patches of 2 x 2 cells in the corridor rise at most, each by a height of its own, metres.
        anywhere: the routes begin anywhere in a cell; in the middle of one otherwise, so that edges across a way along the
            cells lie half a cell further.
    """
    points = np.concatenate([route.points for route in routes])
    within = random.uniform(-0.5, 0.5, size=2) if anywhere else np.zeros(2)
    lowest = points[0] + CELL_SIZE * within - CELL_SIZE * np.ceil((points[0] - points.min(axis=0) + MARGIN) / CELL_SIZE)
    rows, columns = (math.ceil(extent / CELL_SIZE) for extent in points.max(axis=0) + MARGIN - lowest)
    boxes = max(4, rows * columns // 40)
    heights = random_boxes(random, (rows, columns), boxes, sides=(2.0, 7.0), heights=(-1.0, 1.2))
    centres = lowest + CELL_SIZE * np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
    away, nearest = KDTree(points).query(centres)
    distances = np.arange(len(points)) * SPACING
    level = np.zeros(len(points)) if profile is None else profile(distances)
    corridor = level[nearest]
    if bumps > 0:
        patches = bumps * random.beta(0.5, 0.5, size=(rows // 2 + 1, columns // 2 + 1))
        corridor = corridor + patches.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns]
    heights = np.where(away < random.uniform(*CORRIDOR), corridor, heights) + random.uniform(-0.5, 0.5)
    return Heightfield(torch.from_numpy(heights).float(), torch.from_numpy(lowest).float(), CELL_SIZE)


def ground_heights(terrain: Heightfield, points: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch"]:
    """Return the height of the terrain (metres) at each x, y (world, metres)."""
    return terrain.heights_at(torch.from_numpy(points).float()).double().numpy()
