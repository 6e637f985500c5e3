"""Ground along a route: how high it is at which distance."""

import math

import numpy as np
from jaxtyping import Float

from parc.demo_motions.routes import CELL_SIZE, Profile


def edge_after(cells: int) -> float:
    """Return how far (metres) the edge beyond so many whole cells is from the start of a route along the cells."""
    return (cells + 0.5) * CELL_SIZE


def steps_at(edges: Float[np.ndarray, " edges"], heights: Float[np.ndarray, " levels"]) -> Profile:
    """Return ground that changes at distances `edges` (metres) from one of `heights` (metres, one more) to the next."""
    return lambda distance: heights[np.searchsorted(edges, distance)]


def random_steps(
    random: np.random.Generator, length: float, treads: tuple[float, float], rises: tuple[float, float] = (0.12, 0.42)
) -> Profile:
    """Return ground that steps up and down by random heights at random distances.

    Args:
        random: where every draw comes from.
        length: of the route, metres.
        treads: shortest and longest level part, metres.
        rises: lowest and highest step, metres.
    """
    edges = np.cumsum(random.uniform(*treads, size=math.ceil(length / treads[0])))
    edges -= edges[0] - random.uniform(0.4, 0.8)
    edges = edges[edges < length - 0.3]
    steps = random.choice([-1, 1], size=len(edges)) * random.uniform(*rises, size=len(edges))
    return steps_at(edges, np.concatenate([[0.0], np.cumsum(steps)]))


def random_flights(random: np.random.Generator, length: float) -> Profile:
    """Return flights of stairs up and down, a step a cell, with landings, from anywhere to anywhere on `length` metres."""
    edges: list[float] = []
    steps: list[float] = []
    place = random.uniform(0.4, 0.8)
    while place < length - 0.3:
        rise = random.choice([-1, 1]) * random.uniform(0.12, 0.26)
        for _ in range(int(random.integers(2, 6))):
            edges.append(place)
            steps.append(rise)
            place += CELL_SIZE
        place += random.uniform(0.0, 0.6)
    edges_on_way = [edge for edge in edges if edge < length - 0.3]
    return steps_at(np.array(edges_on_way), np.concatenate([[0.0], np.cumsum(steps[: len(edges_on_way)])]))
