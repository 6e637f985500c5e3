"""What plans paths: a piece of a config that leads a way over a terrain; and paths, which are nodes on it."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield
from parc.terrain.terrain_generator import TerrainGenerator


@dataclass(frozen=True)
class PlannedPath:
    """A path over a terrain.

    Attributes:
        terrain: that the path leads over: as it was given, or made ready for the path.
        nodes: x, y, z of where the root is to pass over, in order, on the ground or in the air of a jump, metres in the frame of
            the terrain. No two neighbours are much further apart than a cell.
    """

    terrain: Heightfield
    nodes: Float[Tensor, "nodes 3"]

    @property
    def length(self) -> float:
        """Length of the path as seen from above, metres."""
        return float(self.nodes[:, :2].diff(dim=0).norm(dim=1).sum())


@runtime_checkable
class PathPlanner(Protocol):
    """A way to plan paths. One of your own is a class with this method, and an option that names it as `_target_`.

    What its constructor takes by position or name are its settings. Constructors read no files.
    """

    def plan(self, terrain: Heightfield, random: np.random.Generator) -> PlannedPath | None:
        """Return a path over a terrain; None where this terrain has none, and another one is to be drawn.

        The path is a function of the settings, the terrain and what `random` gives, and of nothing else, so that it can be
        made again alone. The terrain that is given stays as it is; one that is changed for the path is another one.

        Raises:
            UserError: no terrain like this one can ever have a path.
        """
        ...


class NoPathError(UserError):
    """None of many terrains had a path as asked for; others may."""


def terrain_with_path(
    terrains: TerrainGenerator, planner: PathPlanner, random: np.random.Generator, max_terrains: int
) -> PlannedPath:
    """Draw terrains until one has a path.

    Args:
        terrains: makes them.
        planner: plans the path.
        random: where every draw comes from. The same numbers give the same terrain and path.
        max_terrains: how many terrains are drawn before it is given up.

    Raises:
        NoPathError: none of them has a path.
        UserError: a piece cannot do its work.
    """
    for _ in range(max_terrains):
        path = planner.plan(terrains.generate(random), random)
        if path is not None:
            return path
    raise NoPathError(
        f"path: none of {max_terrains} terrains has a path as asked for; give other terrain (terrain=flat always has one), or "
        "allow more (path.moves, path.max_cost, path.min_distance)"
    )


def subdivided(points: Float[np.ndarray, "points axes"], cell_size: float) -> Float[np.ndarray, "nodes axes"]:
    """Return a way whose legs of more than sqrt(2) cells (seen from above) are ceil(length / cell size) legs of one length.

    Args:
        points: x, y, and what else is to be interpolated, metres.
        cell_size: metres.
    """
    legs = np.diff(points, axis=0)
    # A hair less, so that a leg of three cells is three legs whatever way its length was rounded.
    cells = np.linalg.norm(legs[:, :2], axis=1) / cell_size - 1e-6
    parts = np.where(cells <= math.sqrt(2), 1, np.ceil(cells)).astype(int)
    number = np.arange(parts.sum()) - (parts.cumsum() - parts).repeat(parts)
    share = (number + 1) / parts.repeat(parts)
    nodes = points[:-1].repeat(parts, axis=0) + share[:, None] * legs.repeat(parts, axis=0)
    return np.concatenate([points[:1], nodes])


def as_path(terrain: Heightfield, nodes: Float[np.ndarray, "nodes 3"]) -> PlannedPath:
    """Return a path of some nodes (metres) over a terrain."""
    return PlannedPath(terrain, torch.from_numpy(nodes).to(terrain.heights.dtype))
