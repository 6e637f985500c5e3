import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.demo_motions.feet import move_foot
from parc.demo_motions.footsteps import FootstepPlanner, Gait
from parc.demo_motions.plan import InfeasibleError, Style
from parc.demo_motions.routes import ground_heights, straight_route, terrain_along, winding_route
from parc.terrain.heightfield import Heightfield

seeds = st.integers(0, 2**31)


def level_terrain(height=0.0):
    return Heightfield(torch.full((40, 40), height), torch.tensor([-8.0, -8.0]), 0.4)


def walk(terrain, route, gait):
    planner = FootstepPlanner(terrain, route, first="left")
    planner.stand(0.4)
    planner.walk(route, gait)
    planner.stand(0.4)
    return planner.plan(Style())


@settings(max_examples=12, deadline=None)
@given(seeds, st.floats(0.4, 1.1), st.floats(-0.12, 0.14))
def test_feet_alternate_and_stand_whole_on_level_ground(seed, step_length, flight):
    random = np.random.default_rng(seed)
    route = winding_route(random, np.zeros(2), random.uniform(-3, 3), length=4.0, sharpest=0.5)
    terrain = terrain_along(random, [route], bumps=0.1)
    try:
        plan = walk(terrain, route, Gait(step_length=step_length, step_time=0.5, flight=flight))
    except InfeasibleError:
        return
    sides = [step.side for step in plan.footsteps[2:]]
    assert all(first != second for first, second in pairwise(sides))
    for step in plan.footsteps:
        corners = np.array([[x, y] for x in (-0.0885, 0.0885) for y in (-0.045, 0.045)])
        cos, sin = math.cos(step.yaw), math.sin(step.yaw)
        placed = np.array([step.x, step.y]) + corners @ np.array([[cos, sin], [-sin, cos]])
        assert ground_heights(terrain, placed) == pytest.approx(np.full(4, step.z), abs=1e-4)
        assert step.land < step.heel_off <= step.leave


@settings(max_examples=12, deadline=None)
@given(seeds, st.sampled_from([-0.4, -0.2, 0.2, 0.4]))
def test_a_swinging_foot_clears_the_edge_that_it_steps_over(seed, height):
    random = np.random.default_rng(seed)
    route = straight_route(np.zeros(2), float(random.integers(4)) * math.pi / 2, length=2.4)
    terrain = terrain_along(random, [route], lambda distance: np.where(distance > 1.2, height, 0.0))
    try:
        plan = walk(terrain, route, Gait(step_length=0.45))
        times = np.arange(0, plan.seconds, 1 / 120)
        feet = [move_foot(plan, side, times) for side in ("left", "right")]
    except InfeasibleError:
        return
    for foot in feet:
        toe_and_heel = [
            foot.toe[:, :2] - back * np.stack([np.cos(foot.yaw), np.sin(foot.yaw)], -1) for back in (0, 0.177)
        ]
        ground = np.max([ground_heights(terrain, points) for points in toe_and_heel], axis=0)
        assert (foot.toe[:, 2] >= ground - 1e-3).all()


def test_a_step_higher_than_anybody_climbs_is_refused():
    route = straight_route(np.zeros(2), 0.0, length=3.0)
    terrain = terrain_along(np.random.default_rng(0), [route], lambda distance: np.where(distance > 1.5, 0.7, 0.0))
    with pytest.raises(InfeasibleError, match="a step of"):
        walk(terrain, route, Gait(step_length=0.45))


def test_where_no_foot_fits_there_is_no_plan():
    rows, columns = torch.meshgrid(torch.arange(80), torch.arange(80), indexing="ij")
    rugged = Heightfield(0.3 * ((rows + columns) % 2).float(), torch.tensor([-4.0, -4.0]), 0.1)
    with pytest.raises(InfeasibleError, match="no level ground"):
        FootstepPlanner(rugged, straight_route(np.zeros(2), 0.0, 1.0), first="left")


def test_running_has_flights_and_walking_has_none():
    route = straight_route(np.zeros(2), 0.0, length=6.0)
    for flight, expected in ((0.12, True), (-0.1, False)):
        plan = walk(level_terrain(), route, Gait(step_length=0.8, step_time=0.4, flight=flight, gentle_steps=2))
        times = np.arange(0, plan.seconds, 0.01)
        standing = [(step.land <= times) & (times <= step.leave) for step in plan.footsteps]
        assert bool((~np.any(standing, axis=0)).any()) == expected


def test_the_walk_ends_side_by_side_where_the_route_ends():
    route = straight_route(np.array([1.0, 1.0]), 0.7, length=3.0)
    last = walk(level_terrain(), route, Gait()).footsteps[-2:]
    middle = np.mean([[step.x, step.y] for step in last], axis=0)
    assert middle == pytest.approx(route.points[-1], abs=0.05)
    assert {step.side for step in last} == {"left", "right"}
