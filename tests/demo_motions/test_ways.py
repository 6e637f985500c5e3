"""Ways have the corners that are asked for, and who follows one turns to it and then faces it."""

import math

import numpy as np
import pytest
from demo_clips import clip_of_seed, humanoid_and_surface, seeds_of_class
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.anim.rotations import heading
from parc.demo_motions.feet import move_foot
from parc.demo_motions.footsteps import FootstepPlanner, Gait
from parc.demo_motions.gaits import walking_gait
from parc.demo_motions.motion_classes import MOTION_CLASSES, along_cells, follow
from parc.demo_motions.plan import InfeasibleError, Style
from parc.demo_motions.profiles import random_flights, random_steps
from parc.demo_motions.routes import CELL_SIZE, SPACING, ground_heights, straight_route, terrain_along
from parc.demo_motions.trenches import way_over_trenches
from parc.demo_motions.ways import Way, after_turn, random_way

WAYS = ("ways_level", "ways_blocks", "ways_stairs")
seeds = st.integers(0, 2**31)


def drawn_way(seed):
    random = np.random.default_rng(seed)
    return random_way(random, np.array([1.0, -2.0]), random.uniform(-3, 3), int(random.integers(1, 4)), (0.9, 2.0))


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_corners_turn_by_30_to_90_degrees_either_way(seed):
    way = drawn_way(seed)
    parts = np.diff(way.points, axis=0)
    turns = np.diff(np.unwrap(np.arctan2(parts[:, 1], parts[:, 0])))
    assert (np.abs(np.degrees(turns)) >= 30 - 1e-6).all()
    assert (np.abs(np.degrees(turns)) <= 90 + 1e-6).all()
    lengths = np.linalg.norm(parts, axis=1)
    assert ((lengths >= 0.9 - 1e-9) & (lengths <= 2.0 + 1e-9)).all()


def test_ways_turn_left_and_right():
    turns = np.concatenate([np.diff(drawn_way(seed).headings) for seed in range(40)])
    assert 0.3 < (turns > 0).mean() < 0.7


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0.3, 2.5))
def test_a_rounded_way_begins_and_ends_where_the_way_does_and_passes_its_corners_inside(seed, radius):
    way = drawn_way(seed)
    route, middles = way.rounded(radius)
    assert np.linalg.norm(route.points[[0, -1]] - way.points[[0, -1]], axis=1).max() < 3 * SPACING
    assert np.linalg.norm(np.diff(route.points, axis=0), axis=1) == pytest.approx(SPACING)
    assert np.abs(np.diff(route.headings)).max() < SPACING / 0.15  # no sharper than an arc where parts are short
    for corner, turn, middle in zip(way.points[1:-1], np.diff(way.headings), middles, strict=True):
        place, direction = route.at(middle)
        inside = np.array([-math.sin(direction), math.cos(direction)]) * np.sign(turn)
        assert (place - corner) @ inside > 0
        assert np.linalg.norm(place - corner) <= radius * (1 / math.cos(turn / 2) - 1) + 2 * SPACING


def test_a_corner_is_rounded_with_the_radius_asked_for_where_there_is_room():
    route, (middle,) = Way(np.zeros(2), np.array([0.0, math.pi / 2]), np.array([2.0, 2.0])).rounded(0.5)
    assert route.length == pytest.approx(1.5 + 0.5 * math.pi / 2 + 1.5, abs=SPACING)
    centre = np.array([1.5, 0.5])
    assert np.linalg.norm(route.at(middle)[0] - centre) == pytest.approx(0.5, abs=SPACING)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_a_way_never_comes_back_to_itself(seed):
    route, _ = drawn_way(seed).rounded(0.4)
    far_apart = np.abs(np.subtract.outer(np.arange(len(route.points)), np.arange(len(route.points)))) * SPACING > 1.2
    distances = np.linalg.norm(route.points[:, None] - route.points[None], axis=-1)
    assert distances[far_apart].min(initial=9.0) > 0.2


def walk_along_a_way(seed):
    random = np.random.default_rng(seed)
    way = random_way(random, np.zeros(2), 0.3, 1, (1.5, 2.0))
    return follow(random, way.rounded(0.5)[0], None, walking_gait), way


def facing(steps):
    """Mean direction of the toes of two steps, one of each foot, which turn out equally."""
    return (steps[0].yaw + steps[1].yaw) / 2


def test_walkers_begin_facing_the_way_or_with_the_side_or_the_back_to_it_and_end_facing_it():
    away = []
    for seed in range(40):
        plan, way = walk_along_a_way(seed)
        away.append(abs(facing(plan.footsteps[:2]) - way.headings[0]))
        assert facing(plan.footsteps[-2:]) == pytest.approx(way.headings[-1], abs=0.02)
    away = np.degrees(away)
    assert (away < 1).any()
    assert ((away > 50) & (away < 120)).any()
    assert (away > 120).any()
    assert away.max() <= 180 + 1e-6


def test_a_walker_with_the_back_to_the_way_has_turned_to_it_within_a_metre():
    seed = next(seed for seed in range(40) if abs(facing(walk_along_a_way(seed)[0].footsteps[:2]) - 0.3) > 2.2)
    plan, way = walk_along_a_way(seed)
    gone = next(step for step in plan.footsteps if math.hypot(step.x, step.y) > 1.0)
    assert abs(gone.yaw - way.headings[0]) < math.radians(20)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(0.3, 0.6))
def test_the_arc_before_a_route_turns_from_elsewhere_to_its_heading_and_goes_on_along_it(angle, radius):
    route = straight_route(np.array([1.0, 2.0]), 0.7, 1.5)
    whole, turned = after_turn(route, angle, radius)
    assert turned == pytest.approx(abs(angle) * radius, abs=SPACING)
    assert whole.points[0] == pytest.approx(route.points[0])
    assert whole.headings[0] == pytest.approx(0.7 - angle, abs=SPACING / radius)
    assert np.abs(np.diff(whole.headings)).max() < 1.5 * SPACING / radius
    moved = whole.part(turned, whole.length)
    assert moved.points - moved.points[0] == pytest.approx(route.points - route.points[0], abs=1e-9)


@pytest.mark.parametrize("motion_class", WAYS)
def test_who_follows_a_way_faces_where_it_goes(motion_class):
    (seed,) = seeds_of_class(motion_class, 1)
    clip = clip_of_seed(seed)
    velocity = np.gradient(clip.root_pos[:, :2].numpy(), axis=0) * clip.fps
    moving = np.linalg.norm(velocity, axis=1) > 0.6
    assert moving.mean() > 0.2
    off = np.arctan2(velocity[:, 1], velocity[:, 0]) - heading(clip.root_rot).numpy()
    assert np.degrees(np.abs(np.arctan2(np.sin(off), np.cos(off)))[moving]).max() < 45


# On level ground somebody walks fast round a sharp corner: the feet pass each other closer there.
@pytest.mark.parametrize(
    ("motion_class", "apart_by"), [("ways_level", 0.0), ("ways_blocks", 0.03), ("ways_stairs", 0.03), ("running", 0.03)]
)
def test_feet_pass_each_other_without_crossing(motion_class, apart_by):
    character, _ = humanoid_and_surface()
    (seed,) = seeds_of_class(motion_class, 1)
    clip = clip_of_seed(seed)
    positions, _ = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    apart = positions[:, character.body_index("left_foot"), :2] - positions[:, character.body_index("right_foot"), :2]
    turn = heading(clip.root_rot)
    beside, ahead = (
        -apart[:, 0] * turn.sin() + apart[:, 1] * turn.cos(),
        apart[:, 0] * turn.cos() + apart[:, 1] * turn.sin(),
    )
    assert beside[ahead.abs() < 0.25].min() > apart_by  # metres


def test_a_sharp_bend_would_cross_the_feet_if_they_went_straight_on():
    way = Way(np.zeros(2), np.array([0.0, math.pi / 2]), np.array([2.0, 2.0]))
    route, _ = way.rounded(0.35)
    planner = FootstepPlanner(terrain_along(np.random.default_rng(0), [route]), route, first="left")
    planner.walk(route, Gait(step_length=0.6))
    plan = planner.plan(Style())
    times = np.arange(0, plan.seconds, 1 / 120)
    left, right = (move_foot(plan, side, times).ankle[:, :2] for side in ("left", "right"))
    assert np.linalg.norm(left - right, axis=1).min() > 0.09


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(2.0, 8.0))
def test_random_ground_is_level_at_both_ends_and_steps_between(seed, length):
    random = np.random.default_rng(seed)
    distance = np.arange(0, length, SPACING)
    for ground, least, most in (
        (random_steps(random, length, (0.5, 1.2), (0.12, 0.42)), 0.12, 0.42),
        (random_flights(random, length), 0.12, 0.26),
    ):
        heights = ground(distance)
        steps = np.abs(np.diff(heights))
        steps = steps[steps > 0]
        assert (steps > least - 1e-6).all()
        assert (steps < most + 1e-6).all()
        assert len(steps)
        assert (heights[distance < 0.35] == 0).all()
        assert np.ptp(heights[distance > length - 0.25]) == 0


def test_stairs_begin_at_any_distance_and_in_any_place_of_a_cell():
    random = np.random.default_rng(0)
    route = straight_route(np.zeros(2), 0.0, 4.0)
    firsts = [int(np.flatnonzero(np.diff(random_flights(random, 4.0)(np.arange(0, 4, 0.01))))[0]) for _ in range(30)]
    assert len(set(firsts)) > 15
    corners = [terrain_along(random, [route], anywhere=True).min_point.numpy() % 0.4 for _ in range(20)]
    assert np.ptp(corners, axis=0).min() > 0.2


@pytest.mark.parametrize("seed", seeds_of_class("ways_gaps", 2) + seeds_of_class("ways_gaps_askew", 2))
def test_who_crosses_gaps_flies_over_them_and_stands_on_plateaus(seed):
    character, _ = humanoid_and_surface()
    clip = clip_of_seed(seed)
    positions, _ = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    plateau = clip.terrain.heights_at(clip.root_pos[:1, :2])
    below = clip.terrain.heights_at(clip.root_pos[:, :2]) - plateau
    trench = below.min()
    assert trench < min(0.0, below[-1]) - 0.7  # the root passes over a trench, and ends beyond it
    for foot in map(character.body_index, ("left_foot", "right_foot")):
        stands = clip.contacts[:, foot] > 0.9
        assert (clip.terrain.heights_at(positions[stands, foot, :2]) - plateau).min() > trench + 0.7


@settings(max_examples=30, deadline=None)
@given(seeds, st.booleans())
def test_trenches_lie_across_the_way_where_it_says(seed, at_an_angle):
    random = np.random.default_rng(seed)
    way = way_over_trenches(random, along_cells(random), at_an_angle=at_an_angle)
    distances = np.arange(0, way.route.length, SPACING)
    heights = ground_heights(way.terrain, np.array([way.route.at(distance)[0] for distance in distances]))
    edges = np.concatenate([way.begins, way.ends])
    sure = np.abs(distances[:, None] - edges).min(1) > 0.03
    over = ((distances[:, None] > way.begins) & (distances[:, None] < way.ends)).any(1)
    assert heights[over & sure].max() < heights[~over & sure].min() - 0.79
    widths = (way.ends - way.begins) / math.hypot(1, way.slant)
    assert np.allclose(widths / CELL_SIZE, np.round(widths / CELL_SIZE)) and widths.max() < 1.21
    assert (way.slant > 0) == at_an_angle
    assert (way.ends - way.begins).max() < 1.25


@pytest.mark.parametrize("name", ["ways_gaps", "ways_gaps_askew", "jumping"])
def test_who_leaps_over_a_trench_does_not_halt_before_it(name):
    made = 0
    for seed in range(20):
        try:
            steps = MOTION_CLASSES[name](np.random.default_rng(seed)).footsteps
        except InfeasibleError:
            continue
        places = np.array([(step.x, step.y) for step in sorted(steps, key=lambda step: step.land)])
        ahead = np.linalg.norm(np.diff(places, axis=0), axis=1)
        leap = int(ahead.argmax())
        assert ahead[leap] > 0.6  # metres
        assert ahead[leap - 1] > 0.2  # feet that come to a halt stand side by side
        made += 1
    assert made > 5
