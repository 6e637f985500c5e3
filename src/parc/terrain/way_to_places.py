"""Ways over a terrain as it is, from place to place: where somebody points, a character is to go."""

import itertools
import math

import numpy as np
from jaxtyping import Float
from torch import Tensor

from parc.terrain.heightfield import Heightfield
from parc.terrain.path_graph import EdgeCosts, Moves, path_graph
from parc.terrain.path_planner import NoPathError, PlannedPath, as_path, subdivided
from parc.terrain.shortest_path import cheapest_path
from parc.terrain.waypoints import on_ground, refuse_places_beside, without_pauses


def way_to_places(
    terrain: Heightfield,
    places: Float[Tensor, "places 2"],
    moves: Moves,
    costs: EdgeCosts,
    random: np.random.Generator,
) -> PlannedPath:
    """Return the cheapest way from the first of some places over all others, in order.

    It is planned as paths between random places are (see `ShortestPath`), but the terrain stays as it is: nothing is made
    simpler, and there are no level pads. It begins, turns and ends exactly at the places, on the ground, and goes over the
    centres of cells in between. Places where it is already give no nodes of their own.

    Args:
        terrain: to go over.
        places: x, y (world, metres), one or more; the first is where it begins.
        moves: what a character can do.
        costs: what that costs.
        random: where the random part of the costs comes from. The same numbers give the same way.

    Raises:
        NoPathError: there is no way from one of them to the next; names both.
        UserError: a place lies beside the terrain.
    """
    points = places.double().cpu().numpy()
    refuse_places_beside(terrain, points)
    stations = on_ground(terrain, points)
    heights = terrain.heights.double().cpu().numpy()
    corner = terrain.min_point.double().cpu().numpy()
    cells = terrain.cells_at(places.to(terrain.min_point)).cpu().numpy()
    numbers = np.ravel_multi_index((cells[:, 0], cells[:, 1]), heights.shape).tolist()
    graph = path_graph(heights, terrain.cell_size, moves, costs, random)
    legs = [stations[:1]]
    for leg, (start, goal) in enumerate(itertools.pairwise(numbers)):
        between, cost = cheapest_path(graph, start, goal, math.inf)
        if not math.isfinite(cost):
            (x, y), (to_x, to_y) = points[leg], points[leg + 1]
            raise NoPathError(
                f"there is no way from [{x:.2f}, {y:.2f}] to [{to_x:.2f}, {to_y:.2f}] over this terrain with climbs of up to "
                f"{moves.max_climb:g} m and jumps of up to {moves.max_jump:g} m"
            )
        # The places themselves stand for the centres of their cells.
        rows, columns = np.unravel_index(between[1:-1], heights.shape)
        centres = corner + np.stack([rows, columns], axis=-1) * terrain.cell_size
        legs += [np.concatenate([centres, heights[rows, columns][:, None]], axis=1), stations[leg + 1 : leg + 2]]
    return as_path(terrain, subdivided(without_pauses(np.concatenate(legs)), terrain.cell_size))
