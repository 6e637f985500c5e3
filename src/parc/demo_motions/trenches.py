"""Trenches across the whole terrain, and straight routes over them, square or at an angle."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from parc.demo_motions.profiles import edge_after
from parc.demo_motions.routes import CELL_SIZE, Route, straight_route, terrain_along
from parc.terrain.heightfield import Heightfield

WIDTHS = (1, 3)  # cells, least and most
DEPTHS = (0.8, 2.0)  # metres below the lowest ground of the way, likewise
LANDINGS = (-0.3, 0.2)  # metres that the ground beyond a trench is higher, likewise
# The sharpest angle to the square way over a trench of one, two and three cells, degrees: so that none is over 1.25 m along
# the way, nor met too obliquely for a foot.
SHARPEST_ANGLES = (45.0, 34.0, 12.0)


@dataclass(frozen=True)
class TrenchedWay:
    """A straight route over trenches.

    Attributes:
        terrain: with the trenches.
        route: over them.
        begins: where each trench begins along the route, metres.
        ends: where it ends.
        slant: tangent of the angle between the route and the square way over them.
    """

    terrain: Heightfield
    route: Route
    begins: Float[np.ndarray, " trenches"]
    ends: Float[np.ndarray, " trenches"]
    slant: float


def way_over_trenches(random: np.random.Generator, axis: float, *, at_an_angle: bool) -> TrenchedWay:
    """Draw one or two trenches, .4 to 1.2 m wide and .8 to 2 m below the lowest ground of the way, and a way over them.

    Args:
        random: where every draw comes from.
        axis: the square way, along the cells, radians.
        at_an_angle: whether the route deviates from it.
    """
    count = int(random.integers(1, 3))
    widths = random.integers(WIDTHS[0], WIDTHS[1] + 1, size=count)
    plateaus = random.integers(2, 5, size=count - 1)
    begins = edge_after(int(random.integers(1, 5))) + CELL_SIZE * np.cumsum(np.append(0, widths[:-1] + plateaus))
    ends = begins + CELL_SIZE * widths
    sharpest = math.radians(SHARPEST_ANGLES[widths.max() - 1])
    angle = random.uniform(-sharpest, sharpest) if at_an_angle else 0.0
    length = float(ends[-1]) / math.cos(angle) + random.uniform(0.6, 1.4)
    route = straight_route(np.zeros(2), axis + angle, length)
    level = terrain_along(random, [route])
    landings = [random.uniform(*LANDINGS) if random.random() < 0.6 else 0.0 for _ in widths]
    terrain = _dug(level, axis, begins, ends, landings, depth=random.uniform(*DEPTHS))
    return TrenchedWay(terrain, route, begins / math.cos(angle), ends / math.cos(angle), abs(math.tan(angle)))


def _dug(
    level: Heightfield,
    axis: float,
    begins: Float[np.ndarray, " trenches"],
    ends: Float[np.ndarray, " trenches"],
    landings: list[float],
    depth: float,
) -> Heightfield:
    """Return a terrain with trenches square to an axis through the origin, so deep below the lowest ground of the way."""
    rows, columns = (torch.arange(count) for count in level.heights.shape)
    x, y = (level.min_point[at] + CELL_SIZE * cells for at, cells in enumerate((rows, columns)))
    along = x[:, None] * math.cos(axis) + y * math.sin(axis)
    ground = float(level.heights_at(torch.zeros(1, 2)))
    floor = ground + min(0.0, *np.cumsum(landings).tolist()) - depth
    heights = level.heights.clone()
    for begin, end, landing in zip(begins.tolist(), ends.tolist(), landings, strict=True):
        heights[along > end] += landing
        heights[(along > begin) & (along < end)] = floor
    return Heightfield(heights, level.min_point, CELL_SIZE)
