"""Terrains drawn at random: level ground, boxes, ridges that wander about, flights of stairs, gaps."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import maximum_filter

from parc.terrain.generators import random_boxes
from parc.terrain.heightfield import Heightfield
from parc.terrain.terrain_generator import MadeOnGrid, refuse_below, refuse_empty_ranges


@dataclass(frozen=True)
class Flat(MadeOnGrid):
    """Level ground.

    Attributes:
        height: of all cells, metres.
    """

    height: float

    def generate(self, random: np.random.Generator) -> Heightfield:
        """Return the same level ground every time."""
        return self.heightfield(np.full(self.shape, self.height))


@dataclass(frozen=True)
class Boxes(MadeOnGrid):
    """A floor at 0 with boxes on it and pits in it, along the axes, later ones over earlier ones.

    Attributes:
        boxes: how many.
        min_side: shortest side, cells.
        max_side: longest side, cells.
        min_height: lowest top, metres.
        max_height: highest top, metres.
    """

    boxes: int
    min_side: float
    max_side: float
    min_height: float
    max_height: float

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below(0, boxes=self.boxes, min_side=self.min_side)
        refuse_empty_ranges(side=(self.min_side, self.max_side), height=(self.min_height, self.max_height))

    def generate(self, random: np.random.Generator) -> Heightfield:
        """Return a terrain of boxes."""
        sides, heights = (self.min_side, self.max_side), (self.min_height, self.max_height)
        return self.heightfield(random_boxes(random, self.shape, self.boxes, sides, heights))


class Blocks(Boxes):
    """Boxes that can be stepped on: a kind of its own, whose motions are named after it."""


@dataclass(frozen=True)
class Paths(MadeOnGrid):
    """Ridges over a low floor, each along a random walk; where they meet, the higher one goes on top.

    Attributes:
        ridges: how many.
        steps: of each walk.
        step_length: metres; a ridge's steps are sqrt(1 + g^2) times as long, with one g of N(0, 1) a ridge.
        turn: standard deviation of the angle by which each step turns from the last, radians.
        min_height: lowest top, metres.
        max_height: highest top, metres.
        floor: height of the ground between ridges, metres.
        width: of a ridge that runs straight, cells: the heights are max-pooled over squares of this side.
    """

    ridges: int
    steps: int
    step_length: float
    turn: float
    min_height: float
    max_height: float
    floor: float
    width: int

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below(0, ridges=self.ridges, step_length=self.step_length, turn=self.turn)
        refuse_below(1, steps=self.steps, width=self.width)
        refuse_empty_ranges(height=(self.min_height, self.max_height))

    def generate(self, random: np.random.Generator) -> Heightfield:
        """Return a terrain of ridges."""
        heights = np.full(self.shape, self.floor)
        for _ in range(self.ridges):
            walk = random_walk(random, self.random_point(random), self.steps, self.step_length, self.turn)
            cells = np.round(walk / self.cell_size).astype(int)
            # A walk that leaves the map leaves no mark there, and may come back.
            rows, columns = cells[((cells >= 0) & (cells < self.shape)).all(axis=1)].T
            heights[rows, columns] = random.uniform(self.min_height, self.max_height)
        return self.heightfield(maximum_filter(heights, size=self.width, mode="nearest"))


@dataclass(frozen=True)
class Stairs(MadeOnGrid):
    """A floor at 0 with flights of stairs, each rising from one random point to another, later ones over earlier ones.

    Attributes:
        flights: how many.
        min_step_height: lowest step, metres.
        max_step_height: highest step, metres; all steps of a flight are alike.
        min_width: narrowest flight, metres.
        max_width: widest flight, metres.
        min_start: lowest first step, metres.
        max_start: highest first step, metres.
    """

    flights: int
    min_step_height: float
    max_step_height: float
    min_width: float
    max_width: float
    min_start: float
    max_start: float

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below(0, flights=self.flights, min_step_height=self.min_step_height, min_width=self.min_width)
        refuse_empty_ranges(
            step_height=(self.min_step_height, self.max_step_height),
            width=(self.min_width, self.max_width),
            start=(self.min_start, self.max_start),
        )

    def generate(self, random: np.random.Generator) -> Heightfield:
        """Return a terrain of stairs."""
        heights = np.zeros(self.shape)
        centres = np.moveaxis(np.indices(self.shape), 0, -1) * self.cell_size
        for _ in range(self.flights):
            bottom, top = self.random_point(random), self.random_point(random)
            length = float(np.linalg.norm(top - bottom))
            ahead = (top - bottom) / length
            aside = np.array([-ahead[1], ahead[0]])
            step = np.floor((centres - bottom) @ ahead / self.cell_size)
            width = random.uniform(self.min_width, self.max_width)
            on_flight = (step >= 0) & (step < math.ceil(length / self.cell_size))
            on_flight &= np.abs((centres - bottom) @ aside) < width / 2
            start = random.uniform(self.min_start, self.max_start)
            step_height = random.uniform(self.min_step_height, self.max_step_height)
            heights[on_flight] = (start + step * step_height)[on_flight]
        return self.heightfield(heights)


@dataclass(frozen=True)
class Flights(MadeOnGrid):
    """Flights of stairs up and down with landings between them, one after the other along x or along y, from border to border.

    Attributes:
        min_steps: fewest steps of a flight; a step is a cell long.
        max_steps: most steps of a flight.
        min_step_height: lowest step, metres; all steps of a flight are alike.
        max_step_height: highest step, metres.
        min_landing: shortest landing, cells.
        max_landing: longest landing, cells.
    """

    min_steps: int
    max_steps: int
    min_step_height: float
    max_step_height: float
    min_landing: int
    max_landing: int

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below(1, min_steps=self.min_steps)
        refuse_below(0, min_step_height=self.min_step_height, min_landing=self.min_landing)
        refuse_empty_ranges(
            steps=(self.min_steps, self.max_steps),
            step_height=(self.min_step_height, self.max_step_height),
            landing=(self.min_landing, self.max_landing),
        )

    def generate(self, random: np.random.Generator) -> Heightfield:
        """Return a terrain of flights."""
        along_x = bool(random.integers(2))
        rises: list[float] = []
        while len(rises) < max(self.shape):
            rises += [0.0] * int(random.integers(self.min_landing, self.max_landing + 1))
            rise = random.choice([-1, 1]) * random.uniform(self.min_step_height, self.max_step_height)
            rises += [rise] * int(random.integers(self.min_steps, self.max_steps + 1))
        levels = np.cumsum(rises)
        heights = levels[: self.cells_x, None] if along_x else levels[: self.cells_y]
        return self.heightfield(np.broadcast_to(heights, self.shape).copy())


@dataclass(frozen=True)
class Gaps(MadeOnGrid):
    """Level plateaus with trenches between them, which run straight from border to border along both axes.

    Attributes:
        min_width: narrowest trench, cells.
        max_width: widest trench, cells.
        min_plateau: shortest side of a plateau, cells.
        max_plateau: longest side of a plateau, cells.
        min_depth: of the shallowest trenches, metres; all trenches of a terrain are as deep.
        max_depth: of the deepest trenches, metres.
    """

    min_width: int
    max_width: int
    min_plateau: int
    max_plateau: int
    min_depth: float
    max_depth: float

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below(1, min_width=self.min_width, min_plateau=self.min_plateau)
        refuse_below(0, min_depth=self.min_depth)
        refuse_empty_ranges(
            width=(self.min_width, self.max_width),
            plateau=(self.min_plateau, self.max_plateau),
            depth=(self.min_depth, self.max_depth),
        )

    def generate(self, random: np.random.Generator) -> Heightfield:
        """Return a terrain of plateaus and trenches."""
        in_trench = [self._trenches(random, cells) for cells in self.shape]
        depth = random.uniform(self.min_depth, self.max_depth)
        return self.heightfield(np.where(in_trench[0][:, None] | in_trench[1], -depth, 0.0))

    def _trenches(self, random: np.random.Generator, cells: int) -> Bool[np.ndarray, " cells"]:
        """Say which cells along one axis lie in a trench."""
        in_trench = np.zeros(cells, dtype=bool)
        # The first plateau may reach beyond the border.
        place = int(random.integers(1, self.max_plateau + 1))
        while place < cells:
            width = int(random.integers(self.min_width, self.max_width + 1))
            in_trench[place : place + width] = True
            place += width + int(random.integers(self.min_plateau, self.max_plateau + 1))
        return in_trench


def random_walk(
    random: np.random.Generator, start: Float[np.ndarray, "2"], steps: int, step_length: float, turn: float
) -> Float[np.ndarray, "points 2"]:
    """Return a walk at random: first direction and length of its steps are drawn once, a turn before every further step.

    Args:
        random: where every draw comes from.
        start: where it begins, metres.
        steps: how many.
        step_length: sqrt(1 + g^2) times this with a g of N(0, 1) is how long its steps are, metres.
        turn: standard deviation of a turn, radians.
    """
    length = step_length * math.hypot(1.0, random.normal())
    turns = turn * random.normal(size=steps - 1)
    headings = random.uniform(0.0, 2 * np.pi) + np.concatenate([[0.0], np.cumsum(turns)])
    way = length * np.stack([np.cos(headings), np.sin(headings)], axis=-1)
    return start + np.concatenate([np.zeros((1, 2)), np.cumsum(way, axis=0)])
