"""What the character does: one short function a class of motion.

To add a class, write one function here: it draws a route and a terrain along it from the random generator, lets a
`FootstepPlanner` stand, walk, turn, jump or leap on it, and returns the plan. That is all: legs, pelvis, arms, contact
labels and the mirror image follow from the footsteps, and the name under which it is registered is the class's folder.

    @motion_class("marching")
    def marching(random: np.random.Generator) -> Plan:
        route = straight_route(np.zeros(2), any_heading(random), length=4.0)
        planner = FootstepPlanner(terrain_along(random, [route]), route, first="left")
        planner.stand(0.25)
        planner.walk(route, Gait(step_length=0.7, step_time=0.5))
        planner.stand(0.5)
        return planner.plan(draw_style(random))

A function may raise `InfeasibleError` (the planner does, where there is no place for a foot): another plan is drawn then, as
it is where the motion is not 3 to 8 s long or breaks one of the promises of `promises`.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from parc.demo_motions.footsteps import FootstepPlanner, Gait
from parc.demo_motions.gaits import careful_gait, running_gait, uneven_gait, walking_gait
from parc.demo_motions.plan import SIDES, Plan, Side, Style
from parc.demo_motions.profiles import edge_after, random_flights, random_steps, steps_at
from parc.demo_motions.routes import CELL_SIZE, Profile, Route, straight_route, terrain_along, winding_route
from parc.demo_motions.trenches import DEPTHS, LANDINGS, WIDTHS, TrenchedWay, way_over_trenches
from parc.demo_motions.ways import after_turn, random_way

MakePlan = Callable[[np.random.Generator], Plan]
DrawGait = Callable[[np.random.Generator], Gait]
MOTION_CLASSES: dict[str, MakePlan] = {}
ORIGIN = np.zeros(2)
LOW_STEPS = (0.105, 0.16)  # metres: as somebody takes them running


def motion_class(name: str) -> Callable[[MakePlan], MakePlan]:
    """Register a function that makes a plan as the motion class `name`."""

    def register(make_plan: MakePlan) -> MakePlan:
        MOTION_CLASSES[name] = make_plan
        return make_plan

    return register


@motion_class("standing")
def standing(random: np.random.Generator) -> Plan:
    """Stand and shift the weight, look around, bend the knees, mostly before a step; step ahead, onto it too, or jump up."""
    heading = any_heading(random)
    route = straight_route(ORIGIN, heading, length=random.uniform(0.25, 0.6))
    step = random.choice([-1, 1]) * random.uniform(0.12, 0.35) if random.random() < 0.8 else 0.0
    ground = steps_at(np.array([random.uniform(0.15, 0.35)]), np.array([0.0, step]))
    terrain = terrain_along(random, [route], ground, anywhere=True)
    planner = FootstepPlanner(terrain, route, any_side(random), random.uniform(0.09, 0.15))
    planner.stand(random.uniform(2.0, 3.0))
    steps_ahead = bool(random.random() < 0.5)
    if steps_ahead:
        planner.walk(route, Gait(step_length=0.35))
    if random.random() < 0.3:
        planner.jump(route, route.length if steps_ahead else 0.0, random.uniform(0.25, 0.4))
    planner.stand(random.uniform(1.5, 3.5))
    bends = ((random.uniform(0.9, 1.4), random.uniform(0.05, 0.25)),) if random.random() < 0.7 else ()
    return planner.plan(draw_style(random, look_around=random.uniform(0.2, 0.4), idle_sway=0.02, knee_bends=bends))


@motion_class("walking")
def walking(random: np.random.Generator) -> Plan:
    """Walk along a winding way, over level ground or steps of random height."""
    level = bool(random.random() < 0.2)
    length = random.uniform(5.0, 8.0) if level else random.uniform(3.5, 6.0)
    route = winding_route(random, ORIGIN, any_heading(random), length, sharpest=0.7)
    ground = None if level else random_steps(random, route.length, treads=(0.5, 1.0), rises=(0.11, 0.3))
    terrain = terrain_along(random, [route], ground, anywhere=True)
    planner = FootstepPlanner(terrain, route, any_side(random))
    planner.stand(before_setting_off(random))
    planner.walk(route, walking_gait(random) if level else uneven_gait(random))
    planner.stand(random.uniform(0.4, 0.8))
    return planner.plan(draw_style(random))


@motion_class("running")
def running(random: np.random.Generator) -> Plan:
    """Run along a way with gentle bends, over steps of random height."""
    route = winding_route(random, ORIGIN, any_heading(random), random.uniform(7.0, 13.0), sharpest=0.25)
    steps = random_steps(random, route.length, treads=(1.0, 2.4), rises=LOW_STEPS)
    planner = FootstepPlanner(terrain_along(random, [route], steps, anywhere=True), route, any_side(random))
    planner.stand(before_setting_off(random))
    planner.walk(route, running_gait(random))
    planner.stand(random.uniform(0.6, 0.9))
    return planner.plan(draw_style(random))


@motion_class("turning")
def turning(random: np.random.Generator) -> Plan:
    """Walk, turn on the spot, walk on; or turn twice."""
    start = any_heading(random)
    first = straight_route(ORIGIN, start, random.uniform(0.5, 1.2))
    angle = random.choice([-1, 1]) * random.uniform(math.radians(50), math.radians(170))
    second = straight_route(first.points[-1], start + angle, random.uniform(0.5, 1.2))
    ground = random_steps(random, first.length + second.length, treads=(0.3, 0.5), rises=(0.11, 0.3))
    terrain = terrain_along(random, [first, second], ground, anywhere=True)
    planner = FootstepPlanner(terrain, first, any_side(random))
    gait = uneven_gait(random)
    planner.stand(before_setting_off(random))
    if random.random() < 0.6:
        planner.walk(first, gait)
        planner.turn(first.points[-1], start, angle)
        planner.walk(second, gait)
    else:
        planner.turn(ORIGIN, start, angle)
        planner.stand(random.uniform(0.3, 0.8))
        planner.turn(ORIGIN, start + angle, -angle * random.uniform(0.5, 1.2))
    planner.stand(random.uniform(0.4, 0.8))
    return planner.plan(draw_style(random))


@motion_class("stairs")
def stairs(random: np.random.Generator) -> Plan:
    """Go up or down a flight of stairs with a landing, or up and down again."""
    back = bool(random.random() < 0.4)
    flight = int(random.integers(2, 4) if back else random.integers(5, 8))
    rise = random.choice([-1, 1]) * random.uniform(0.12, 0.26)
    before = edge_after(int(random.integers(0, 3)))
    end = before + CELL_SIZE * (2 * flight + 1 if back else flight)
    route = straight_route(ORIGIN, along_cells(random), end + 1.5 * CELL_SIZE)

    def profile(distance: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        up = np.clip(np.ceil((distance - before) / CELL_SIZE), 0, flight)
        down = np.clip(np.ceil((distance - end) / CELL_SIZE) + flight, 0, flight) if back else 0
        return rise * (up - down)

    planner = FootstepPlanner(terrain_along(random, [route], profile), route, any_side(random))
    planner.stand(before_setting_off(random))
    # Whole steps from the first to the last, so that each foot stands in the middle of a step.
    planner.walk(route, Gait(CELL_SIZE, random.uniform(0.5, 0.6), flight=-0.12, gentle_steps=0))
    planner.stand(random.uniform(0.4, 0.7))
    return planner.plan(draw_style(random))


@motion_class("blocks")
def blocks(random: np.random.Generator) -> Plan:
    """Step on and off blocks of up to 0.4 m."""
    tops = np.concatenate(
        [[0.0], random.choice([-1, 1]) * np.where(np.arange(4) % 2, 0.0, random.uniform(0.15, 0.4, 4))]
    )
    edges = edge_after(0) + CELL_SIZE * np.cumsum(random.integers(1, 4, size=len(tops) - 1))
    count = int(random.integers(3, 5))
    route = straight_route(ORIGIN, along_cells(random), float(edges[count - 1]) + random.uniform(0.5, 1.0))
    terrain = terrain_along(random, [route], steps_at(edges[:count], tops[: count + 1]))
    planner = FootstepPlanner(terrain, route, any_side(random))
    planner.stand(before_setting_off(random))
    planner.walk(route, Gait(step_length=random.uniform(0.44, 0.5), step_time=random.uniform(0.52, 0.6), flight=-0.14))
    planner.stand(random.uniform(0.4, 0.7))
    return planner.plan(draw_style(random))


@motion_class("jumping")
def jumping(random: np.random.Generator) -> Plan:
    """Leap over a gap from one foot onto the other, running or walking."""
    runs = bool(random.random() < 0.5)
    gap = CELL_SIZE * int(random.integers(WIDTHS[0], WIDTHS[1] + 1))
    before = edge_after(int(random.integers(7, 11) if runs else random.integers(2, 5)))
    length = before + gap + (4.0 if runs else random.uniform(1.0, 2.0))
    route = straight_route(ORIGIN, along_cells(random), length)
    landing = 0.0 if runs else random.uniform(*LANDINGS)
    deep = -random.uniform(*DEPTHS)
    treads, rises = ((1.2, 3.0), LOW_STEPS) if runs else ((0.5, 1.2), (0.11, 0.25))
    here = random_steps(random, before - 0.3, treads, rises)
    there = random_steps(random, length - before - gap, treads, rises)

    def profile(distance: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        beyond = distance - before - gap
        across = here(np.array([before])) + np.where(beyond < 0, deep, landing + there(beyond))
        return np.where(distance < before, here(distance), across)

    planner = FootstepPlanner(terrain_along(random, [route], profile), route, any_side(random))
    planner.stand(before_setting_off(random))
    start, end = before - 0.22, before + gap + 0.22
    gait = running_gait(random) if runs else walking_gait(random)
    planner.walk(route.part(0.0, start), gait, stop=False)
    planner.leap(route, end, random.uniform(0.3, 0.36) + 0.05 * gap if runs else flight_over(random, end - start), gait)
    planner.walk(route.part(end, length), gait, start=False)
    planner.stand(random.uniform(0.4, 0.7))
    return planner.plan(draw_style(random))


@motion_class("ways_level")
def ways_level(random: np.random.Generator) -> Plan:
    """Walk or run along a way with corners, over level ground or from plateau to plateau."""
    runs = bool(random.random() < 0.4)
    if runs:
        way = random_way(random, ORIGIN, any_heading(random), 1, lengths=(3.0, 5.0))
        route, _ = way.rounded(random.uniform(1.8, 2.6))
        ground = random_steps(random, route.length, treads=(1.2, 3.0), rises=LOW_STEPS)
    else:
        way = random_way(random, ORIGIN, any_heading(random), int(random.integers(1, 4)), lengths=(1.4, 2.8))
        route, _ = way.rounded(random.uniform(0.6, 1.0))
        ground = random_steps(random, route.length, treads=(0.8, 1.5), rises=(0.12, 0.25))
    ground = ground if random.random() < 0.5 else None
    return follow(random, route, ground, running_gait if runs else walking_gait)


@motion_class("ways_blocks")
def ways_blocks(random: np.random.Generator) -> Plan:
    """Walk along a way with corners over steps of random height, up and down, that begin anywhere."""
    way = random_way(random, ORIGIN, any_heading(random), int(random.integers(1, 3)), lengths=(1.0, 1.6))
    route, _ = way.rounded(random.uniform(0.5, 0.75))
    return follow(random, route, random_steps(random, route.length, treads=(0.45, 0.85)), careful_gait)


@motion_class("ways_stairs")
def ways_stairs(random: np.random.Generator) -> Plan:
    """Walk along a way with corners, up and down flights of stairs that begin and end anywhere on it."""
    way = random_way(random, ORIGIN, along_cells(random), 1, lengths=(1.3, 2.1))
    route, _ = way.rounded(random.uniform(0.5, 0.75))
    return follow(random, route, random_flights(random, route.length), careful_gait)


@motion_class("ways_patches")
def ways_patches(random: np.random.Generator) -> Plan:
    """Walk along a way with corners over patches of ground of different heights, each two cells wide and long."""
    way = random_way(random, ORIGIN, any_heading(random), int(random.integers(1, 3)), lengths=(1.0, 1.6))
    route, _ = way.rounded(random.uniform(0.5, 0.75))
    return follow(random, route, None, careful_gait, bumps=random.uniform(0.15, 0.42))


@motion_class("ways_gaps")
def ways_gaps(random: np.random.Generator) -> Plan:
    """Walk over one gap or two, straight ahead."""
    return leap_over(random, way_over_trenches(random, along_cells(random), at_an_angle=False))


@motion_class("ways_gaps_askew")
def ways_gaps_askew(random: np.random.Generator) -> Plan:
    """Walk over one gap or two at an angle."""
    return leap_over(random, way_over_trenches(random, along_cells(random), at_an_angle=True))


def leap_over(random: np.random.Generator, way: TrenchedWay) -> Plan:
    """Walk along a route and leap over each trench without a stop.

    Nobody halts before the edge: of clips in which people do, models learn to halt there, and then to walk off it. When to
    leap is told by the stride; when to jump from standing is told by nothing that a model is given.
    """
    planner = FootstepPlanner(way.terrain, way.route, any_side(random))
    planner.stand(before_setting_off(random))
    gait, place = uneven_gait(random), 0.0
    for number, (begin, end) in enumerate(zip(way.begins.tolist(), way.ends.tolist(), strict=True)):
        # At an angle, one foot is nearer to the edge than the other.
        take_off = begin - random.uniform(0.14, 0.25) - 0.1 * way.slant
        landing = end + random.uniform(0.15, 0.25) + 0.1 * way.slant
        planner.walk(way.route.part(place, take_off), gait, start=number == 0, stop=False)
        planner.leap(way.route, landing, flight_over(random, landing - take_off), gait)
        place = landing
    planner.walk(way.route.part(place, way.route.length), gait, start=False)
    planner.stand(random.uniform(0.3, 0.6))
    return planner.plan(draw_style(random))


def flight_over(random: np.random.Generator, distance: float) -> float:
    """Draw how long a leap of some metres from a walk takes, seconds."""
    return 0.1 + 0.2 * distance * random.uniform(0.8, 1.0)


def follow(
    random: np.random.Generator, route: Route, ground: Profile | None, draw_gait: DrawGait, bumps: float = 0.0
) -> Plan:
    """Face a route, or stand with the side or the back to it and turn while setting off; go along it and stop at its end.

    Args:
        random: where every draw comes from.
        route: the way, after the turn.
        ground: at distances along the route, metres; level by default.
        draw_gait: draws a way of walking or running.
        bumps: how far patches of the ground rise at most, metres.
    """
    nearest, farthest = ((0, 0), (0, 0), (50, 120), (120, 180))[int(random.integers(4))]
    angle = math.radians(random.uniform(nearest, farthest)) * random.choice([-1, 1])
    whole, turned = after_turn(route, angle, random.uniform(0.28, 0.4))
    profile = None if ground is None else lambda distance: ground(distance - turned)
    terrain = terrain_along(random, [whole], profile, bumps, anywhere=True)
    planner = FootstepPlanner(terrain, whole, "left" if angle > 0 else "right" if angle < 0 else any_side(random))
    planner.stand(before_setting_off(random))
    if angle:
        around = Gait(random.uniform(0.3, 0.38), random.uniform(0.36, 0.42), flight=-0.08, spread=0.1)
        planner.walk(whole.part(0.0, turned), around, start=False, stop=False)
    go_along(random, planner, whole.part(turned, whole.length), draw_gait, start=not angle)
    planner.stand(random.uniform(0.3, 0.6))
    return planner.plan(draw_style(random))


def go_along(
    random: np.random.Generator, planner: FootstepPlanner, route: Route, draw_gait: DrawGait, start: bool
) -> None:
    """Go along a route at one pace or at two, or with a short stop anywhere; `start` from standing, or go on."""
    first, second = draw_gait(random), draw_gait(random)
    place = random.uniform(0.3, 0.7) * route.length
    before, after = route.part(0.0, place), route.part(place, route.length)
    match random.integers(6):
        case 0 | 1 | 2:
            planner.walk(route, first, start=start)
        case 3 | 4:
            planner.walk(before, first, start=start, stop=False)
            planner.walk(after, second, start=False)
        case _:
            planner.walk(before, first, start=start)
            planner.stand(before_setting_off(random))
            planner.walk(after, second)


def draw_style(
    random: np.random.Generator,
    look_around: float = 0.12,
    idle_sway: float = 0.006,
    knee_bends: tuple[tuple[float, float], ...] = (),
) -> Style:
    """Draw how somebody carries himself or herself (see `Style`)."""
    return Style(
        height=random.uniform(0.85, 0.866),
        arm_swing=random.uniform(0.8, 1.2),
        elbow=random.uniform(0.25, 0.5),
        bounce=random.uniform(0.8, 1.2),
        lean=random.uniform(0.0, 0.06),
        look_around=look_around,
        idle_sway=idle_sway,
        knee_bends=knee_bends,
    )


def before_setting_off(random: np.random.Generator) -> float:
    """Draw for how long somebody stands who has somewhere to go, seconds: hardly at all, at the start and on the way.

    Of clips in which people stand about, models learn to stand about, whatever their target.
    """
    return random.uniform(0.0, 0.12)


def any_heading(random: np.random.Generator) -> float:
    """Draw a direction, radians."""
    return float(random.uniform(-math.pi, math.pi))


def along_cells(random: np.random.Generator) -> float:
    """Draw one of the four directions of the terrain's cells, radians."""
    return float(random.integers(4)) * math.pi / 2


def any_side(random: np.random.Generator) -> Side:
    """Draw a foot."""
    return SIDES[int(random.integers(2))]
