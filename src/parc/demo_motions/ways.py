"""Ways: lines with corners, as paths over terrains are; and the rounded routes along which somebody follows them."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parc.demo_motions.routes import SPACING, Route, route_of_headings

LEAST_CORNER, SHARPEST_CORNER = math.radians(30), math.radians(90)
# All headings of a way lie within this: below half a turn no way crosses itself, whatever its lengths.
WIDEST_FAN = math.radians(150)


@dataclass(frozen=True)
class Way:
    """A line with one corner or more, seen from above.

    Attributes:
        start: world, metres.
        headings: direction of each straight part, radians, continuous.
        lengths: of each straight part from corner to corner, metres.
    """

    start: Float[np.ndarray, "2"]
    headings: Float[np.ndarray, " parts"]
    lengths: Float[np.ndarray, " parts"]

    @property
    def points(self) -> Float[np.ndarray, "points 2"]:
        """Start, corners and end, world, metres."""
        parts = self.lengths[:, None] * np.stack([np.cos(self.headings), np.sin(self.headings)], axis=-1)
        return self.start + np.concatenate([np.zeros((1, 2)), np.cumsum(parts, axis=0)])

    def rounded(self, radius: float) -> tuple[Route, Float[np.ndarray, " corners"]]:
        """Return the route that rounds each corner, and how far along it the middle of each corner is, metres.

        An arc of radius r that turns by a begins and ends r tan(a / 2) from its corner; where the parts are too short for
        that, the arc is as large as half of the shorter one allows.

        Args:
            radius: of the arcs, metres.
        """
        turns = np.diff(self.headings)
        room = np.minimum(self.lengths[:-1], self.lengths[1:]) / 2
        cut = np.minimum(radius * np.tan(np.abs(turns) / 2), room)
        arcs = cut / np.tan(np.abs(turns) / 2) * np.abs(turns)
        straight = self.lengths - np.concatenate([[0.0], cut]) - np.concatenate([cut, [0.0]])
        pieces = np.zeros(2 * len(turns) + 1)
        pieces[0::2], pieces[1::2] = straight, arcs
        ends = np.cumsum(pieces)
        begins = ends - pieces
        # Heading turns evenly along every arc, and stays along every straight part.
        corners = np.stack([begins[1::2], ends[1::2]], axis=-1).ravel()
        around = np.stack([self.headings[:-1], self.headings[1:]], axis=-1).ravel()
        distances = np.arange(round(ends[-1] / SPACING) + 1) * SPACING
        headings = np.interp(distances + SPACING / 2, corners, around)
        return route_of_headings(self.start, headings), (begins + ends)[1::2] / 2


def random_way(
    random: np.random.Generator,
    start: Float[np.ndarray, "2"],
    heading: float,
    corners: int,
    lengths: tuple[float, float],
    sharpest: float = SHARPEST_CORNER,
    finest: float = 0.0,
) -> Way:
    """Draw a way that never comes back to itself.

    Args:
        random: where every draw comes from.
        start: world, metres.
        heading: at the start, radians.
        corners: how many, 1 to 3.
        lengths: shortest and longest straight part, metres.
        sharpest: largest turn of a corner, radians; the least is 30 degrees.
        finest: turns are whole multiples of this, radians; any where it is 0.
    """
    while True:
        turns = random.choice([-1, 1], size=corners) * random.uniform(LEAST_CORNER, sharpest, size=corners)
        if finest:
            turns = finest * np.sign(turns) * np.maximum(np.round(np.abs(turns) / finest), 1)
        headings = heading + np.concatenate([[0.0], np.cumsum(turns)])
        if np.ptp(headings) <= WIDEST_FAN:
            return Way(start, headings, random.uniform(*lengths, size=corners + 1))


def after_turn(route: Route, angle: float, radius: float) -> tuple[Route, float]:
    """Return the route that begins where another does and turns to it by `angle` (radians, left is positive) on an arc.

    Args:
        route: the other one; it follows the arc.
        angle: 0 for no arc.
        radius: of the arc, metres.

    Returns:
        The whole, and the length of the arc, metres.
    """
    count = round(abs(angle) * radius / SPACING)
    before = route.headings[0] - angle * (1 - (np.arange(count) + 0.5) / max(count, 1))
    return route_of_headings(route.points[0], np.concatenate([before, route.headings])), count * SPACING
