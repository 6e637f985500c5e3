"""Random blocky terrains."""

import numpy as np
from jaxtyping import Float


def random_boxes(
    random: np.random.Generator,
    shape: tuple[int, int],
    count: int,
    sides: tuple[float, float],
    heights: tuple[float, float],
) -> Float[np.ndarray, "X Y"]:
    """Return a floor at 0 with axis-aligned boxes set on it or sunk into it, later ones over earlier ones.

    Args:
        random: where every draw comes from.
        shape: cells along x and y.
        count: number of boxes.
        sides: shortest and longest side of a box, cells.
        heights: lowest and highest top of a box, metres.
    """
    terrain = np.zeros(shape)
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    for _ in range(count):
        row, column = random.uniform(0, shape[0]), random.uniform(0, shape[1])
        half_rows, half_columns = random.uniform(*sides, size=2) / 2
        inside = (np.abs(rows - row) < half_rows) & (np.abs(columns - column) < half_columns)
        terrain[inside] = random.uniform(*heights)
    return terrain
