"""Paths that are given: a list of waypoints."""

import itertools
import math

import numpy as np
import torch

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
        points = np.array(self.points, dtype=np.float64)
        half_cell = terrain.cell_size / 2
        lowest = terrain.min_point.double().numpy() - half_cell
        highest = lowest + np.array(terrain.heights.shape) * terrain.cell_size
        beside = ((points < lowest) | (points > highest)).any(axis=1)
        if beside.any():
            reach = " and ".join(
                f"{axis} from {a:g} to {b:g}" for axis, a, b in zip("xy", lowest, highest, strict=True)
            )
            raise UserError(
                f"path.points: {self.points[int(beside.argmax())]} lies beside the terrain, expected {reach}, in metres"
            )
        way = subdivided(points, terrain.cell_size)
        ground = terrain.heights_at(torch.from_numpy(way).to(terrain.min_point.dtype)).double().numpy()
        return as_path(terrain, np.concatenate([way, ground[:, None]], axis=1))
