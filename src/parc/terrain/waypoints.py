"""Paths that are given: a list of waypoints."""

import itertools
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_planner import PlannedPath, as_path, subdivided


class Waypoints:
    """The same way over every terrain, straight from point to point; its nodes are on the ground.

    Points that lie further apart than sqrt(2) cells get nodes in between. Whether a character can go there is not looked at.

    Args:
        points: x and y of each in the frame of the terrain, where the centre of cell (0, 0) is at x = y = 0, metres; in order.

    Raises:
        UserError: there are fewer than two, one is no point, or one is the same as the next.
    """

    def __init__(self, points: list[list[float]]) -> None:
        if len(points) < 2:
            raise UserError(f"path.points has {len(points)}, expected two or more points [x, y], in metres")
        for point in points:
            if len(point) != 2 or not all(map(math.isfinite, point)):
                raise UserError(f"path.points: {point} is no point, expected [x, y], in metres")
        for point, following in itertools.pairwise(points):
            if point == following:
                raise UserError(f"path.points: {point} comes twice in a row, expected to go on from there")
        self.points = points

    def plan(self, terrain: Heightfield, random: np.random.Generator) -> PlannedPath:
        """Return the way over a terrain, which stays as it is.

        Raises:
            UserError: a point lies beside the terrain.
        """
        try:
            return straight_way(terrain, torch.tensor(self.points, dtype=torch.float64))
        except UserError as error:
            raise UserError(f"path.points: {error}") from error


def straight_way(terrain: Heightfield, places: Float[Tensor, "places 2"]) -> PlannedPath:
    """Return the way straight from place to place, nodes on the ground; whether a character can go there is not looked at.

    Args:
        terrain: to go over; it stays as it is.
        places: x, y (world, metres), one or more; the first is where it begins. One that is the same as the last gives no node.

    Raises:
        UserError: a place lies beside the terrain.
    """
    points = places.double().cpu().numpy()
    refuse_places_beside(terrain, points)
    return as_path(terrain, on_ground(terrain, subdivided(without_pauses(points), terrain.cell_size)))


def refuse_places_beside(terrain: Heightfield, places: Float[np.ndarray, "places 2"]) -> None:
    """Check that places, x, y (world, metres), lie on a terrain.

    Raises:
        UserError: names one that does not, and how far the terrain reaches.
    """
    half_cell = terrain.cell_size / 2
    lowest = terrain.min_point.double().cpu().numpy() - half_cell
    highest = lowest + np.array(terrain.heights.shape) * terrain.cell_size
    beside = ~((places >= lowest) & (places <= highest)).all(axis=1)
    if beside.any():
        reach = " and ".join(f"{axis} from {a:g} to {b:g}" for axis, a, b in zip("xy", lowest, highest, strict=True))
        raise UserError(f"{places[int(beside.argmax())].tolist()} lies beside the terrain, expected {reach}, in metres")


def on_ground(terrain: Heightfield, places: Float[np.ndarray, "places 2"]) -> Float[np.ndarray, "places 3"]:
    """Return places, x, y (world, metres), with the height of the ground there."""
    heights = terrain.heights_at(torch.from_numpy(places).to(terrain.min_point))
    return np.concatenate([places, heights.double().cpu().numpy()[:, None]], axis=1)


def without_pauses(points: Float[np.ndarray, "points axes"]) -> Float[np.ndarray, "others axes"]:
    """Return points without those that are the same as the one before."""
    return points[np.append(True, (np.diff(points, axis=0) != 0).any(axis=1))]
