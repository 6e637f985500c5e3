"""What makes terrains: a piece of a config that draws one from a random generator."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float

from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield


@runtime_checkable
class TerrainGenerator(Protocol):
    """A way to make terrains. One of your own is a class with this method, and an option that names it as `_target_`.

    What its constructor takes by position or name are its settings. Constructors read no files.
    """

    def generate(self, random: np.random.Generator) -> Heightfield:
        """Return a terrain: a function of the settings and of what `random` gives, and of nothing else.

        Nothing may be kept from one call to the next but what is always the same (the content of a file): any terrain can be
        made again alone.

        Raises:
            UserError: a file that it is made from is missing or broken.
        """
        ...


@dataclass(frozen=True)
class MadeOnGrid:
    """The settings that all generators of new terrain share.

    Attributes:
        cells_x: cells along x.
        cells_y: cells along y.
        cell_size: side of a cell, metres.
    """

    cells_x: int
    cells_y: int
    cell_size: float

    def __post_init__(self) -> None:
        refuse_below(1, cells_x=self.cells_x, cells_y=self.cells_y)
        refuse_cell_size(self.cell_size)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along x and y."""
        return self.cells_x, self.cells_y

    def random_point(self, random: np.random.Generator) -> Float[np.ndarray, "2"]:
        """Return a point anywhere on the map, metres from the centre of cell (0, 0)."""
        return (random.uniform(0.0, self.shape) - 0.5) * self.cell_size

    def heightfield(self, heights: Float[np.ndarray, "X Y"]) -> Heightfield:
        """Return a terrain of some heights (metres), with the centre of cell (0, 0) at x = y = 0."""
        return Heightfield(torch.from_numpy(heights).float(), torch.zeros(2), self.cell_size)


def refuse_below(least: int, **settings: float | int) -> None:
    """Check that settings of a terrain are at least so large.

    Raises:
        UserError: names the setting that is not.
    """
    for name, value in settings.items():
        if value < least:
            raise UserError(f"terrain.{name} is {value}, expected at least {least}")


def refuse_empty_ranges(**ranges: tuple[float | int, float | int]) -> None:
    """Check that the ends of ranges of a terrain's settings are in order: of `side` those of `min_side` and `max_side`.

    Raises:
        UserError: names both ends of the first that are not.
    """
    for name, (low, high) in ranges.items():
        if high < low:
            raise UserError(f"terrain.max_{name} is {high}, expected at least min_{name} ({low})")


def refuse_cell_size(cell_size: float) -> None:
    """Check the side of a terrain's cells.

    Raises:
        UserError: it is no length.
    """
    if not 1e-3 <= cell_size <= 1e3:
        raise UserError(f"terrain.cell_size is {cell_size}, expected metres from 0.001 to 1000")
