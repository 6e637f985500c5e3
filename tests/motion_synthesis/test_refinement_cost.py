"""The parts of refinement against plain computations: gradients, couplings of frames, equations, points that are held."""

import dataclasses

import pytest
import torch

from parc.anim.banded_equations import solve_banded
from parc.anim.frames import Frames
from parc.anim.pose_changes import PoseChanges
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.held_bodies import held_bodies_of, held_runs, onto_ground
from parc.motion_synthesis.refinement_cost import RefinementCost, RefinementWeights
from parc.terrain.heightfield import Heightfield, laid_end_to_end

BATCH, LENGTH = 2, 9
TERMS = [field.name for field in dataclasses.fields(RefinementWeights)]


@pytest.fixture(scope="module")
def surface(humanoid):
    return surface_points(humanoid)


def moving(humanoid, height: float, seed: int = 0) -> Frames:
    """Return motions that turn and move about at random, the root near a height, all labels drawn."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*size: int) -> torch.Tensor:
        return torch.randn(BATCH, LENGTH, *size, generator=generator)

    changes = PoseChanges(humanoid)
    unit = torch.tensor([0.0, 0, 0, 1])
    still = Frames(
        torch.tensor([0.1, 0.2, height]).repeat(BATCH, LENGTH, 1),
        unit.repeat(BATCH, LENGTH, 1),
        unit.repeat(BATCH, LENGTH, humanoid.num_joints, 1),
        torch.rand(BATCH, LENGTH, humanoid.num_bodies, generator=generator),
    )
    return changes.applied(still, 0.15 * drawn(changes.size))


def cost_of(humanoid, surface, source: Frames, **weights: float) -> RefinementCost:
    heights = [torch.zeros(12, 12), torch.zeros(12, 12)]
    heights[1][7:, :] = 0.3
    terrains = laid_end_to_end([Heightfield(each, torch.tensor([-2.2, -2.2]), 0.4) for each in heights])
    exists = torch.arange(LENGTH) < torch.tensor([[LENGTH], [LENGTH - 2]])
    names = ["left_foot", "right_hand"]
    return RefinementCost(
        RefinementWeights(**{name: weights.get(name, 0.0) for name in TERMS}),
        held_bodies_of(humanoid, surface, names, 0.3), 0.5, 0.1, 0.03, 0.03,
        source, exists, terrains, torch.tensor([0, 1]), humanoid, surface,
    )  # fmt: skip


@pytest.mark.parametrize("term", TERMS)
def test_gradients_are_those_of_finite_differences(term, humanoid, surface):
    """In a random direction, of each term alone, for each motion."""
    source = moving(humanoid, 0.85)
    cost = cost_of(humanoid, surface, source, **{term: 10.0})
    generator = torch.Generator().manual_seed(1)
    at = cost.changes.applied(source, 0.02 * torch.randn(BATCH, LENGTH, cost.changes.size, generator=generator))
    here = cost.at(at)
    assert (here.cost > 1e-3).all()
    for _ in range(3):
        direction = torch.randn(here.gradient.shape, generator=generator)
        size = 2e-4
        after, before = (cost.at(cost.changes.applied(at, sign * size * direction)).cost for sign in (1, -1))
        expected = (after - before) / (2 * size)
        found = 2 * (here.gradient * direction).sum((1, 2))
        torch.testing.assert_close(found, expected, rtol=0.03, atol=0.01 * float(here.gradient.norm()))


# Of these the blocks are half the Hessian where errors are small: at the source, but for what lies beyond the threshold of jerk.
QUADRATIC = ["root_position", "root_rotation", "joint_rotation", "velocity", "angular_velocity"]


@pytest.mark.parametrize("term", QUADRATIC)
def test_the_quadratic_model_is_that_of_the_cost_near_the_source(term, humanoid, surface):
    """Between frames too: of the same change everywhere, steps hardly feel anything, and of opposite ones very much."""
    source = moving(humanoid, 0.85)
    cost = cost_of(humanoid, surface, source, **{term: 10.0})
    model = cost.at(source)
    torch.testing.assert_close(model.cost, torch.zeros(BATCH), rtol=0, atol=1e-6)
    generator = torch.Generator().manual_seed(2)
    once = torch.randn(BATCH, 1, cost.changes.size, generator=generator).expand(-1, LENGTH, -1)
    signs = torch.tensor([1.0, -1.0]).repeat(LENGTH)[:LENGTH, None]
    for change in (1e-3 * once, 1e-3 * signs * once):
        change = change * (torch.arange(LENGTH) < LENGTH - 2)[:, None]
        found = _quadratic(model.blocks, change)
        expected = cost.at(cost.changes.applied(source, change)).cost
        torch.testing.assert_close(found, expected, rtol=0.02, atol=1e-9)


def _quadratic(blocks: list[torch.Tensor], change: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(len(change))
    for apart, block in enumerate(blocks):
        there = slice(None, LENGTH - apart)
        product = torch.einsum("bti,btij,btj->b", change[:, there], block[:, there], change[:, apart:])
        total += product if apart == 0 else 2 * product
    return total


def test_the_model_of_jerk_is_as_steep_as_the_cost(humanoid, surface):
    source = moving(humanoid, 0.85)
    cost = cost_of(humanoid, surface, source, jerk=10.0)
    model = cost.at(source)
    generator = torch.Generator().manual_seed(3)
    # Shifts of the root alone, in which the bodies' positions are linear, so that the model's Hessian is exact.
    change = torch.zeros(model.gradient.shape)
    change[..., :3] = 2e-3 * torch.randn(BATCH, LENGTH, 3, generator=generator)
    change *= cost.exists[..., None]
    costs = [cost.at(cost.changes.applied(source, sign * change)).cost for sign in (1, -1)]
    curvature = (costs[0] + costs[1]) / 2 - model.cost
    torch.testing.assert_close(_quadratic(model.blocks, change), curvature, rtol=0.02, atol=1e-5)


def test_twists_are_the_derivatives_of_where_points_are(humanoid, surface):
    frames = moving(humanoid, 0.85)
    changes = PoseChanges(humanoid)
    points = surface.points[::20], surface.bodies[::20]

    def placed(change: torch.Tensor) -> torch.Tensor:
        at = changes.applied(frames, change)
        body_pos, body_rot = humanoid.forward_kinematics(at.root_pos, at.root_rot, at.joint_rot)
        return dataclasses.replace(surface, points=points[0], bodies=points[1]).placed(body_pos, body_rot)

    generator = torch.Generator().manual_seed(4)
    direction = torch.randn(BATCH, LENGTH, changes.size, generator=generator)
    zero = torch.zeros_like(direction)
    expected = torch.func.jvp(placed, (zero,), (direction,))[1]
    body_pos, body_rot = humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    origin = frames.root_pos[..., None, :]
    twists = changes.twists(body_pos - origin, body_rot)
    relative = placed(zero) - origin
    wrenches = torch.randn(BATCH, LENGTH, len(points[0]), 3, generator=generator)
    on_bodies = torch.zeros(BATCH, LENGTH, humanoid.num_bodies, 6).index_add(
        2, points[1], torch.cat([wrenches, torch.linalg.cross(relative, wrenches)], dim=-1)
    )
    power = (changes.forces(twists, on_bodies) * direction).sum()
    torch.testing.assert_close(power, (wrenches * expected).sum(), rtol=1e-3, atol=1e-3)


def test_couplings_are_sums_over_all_bodies_that_both_changes_move(humanoid):
    changes = PoseChanges(humanoid)
    generator = torch.Generator().manual_seed(5)
    first, second = torch.randn(2, changes.size, 6, generator=generator)
    between = torch.randn(humanoid.num_bodies, 6, 6, generator=generator)
    bodies_of = [0, 0, 0, *changes.turned.tolist()]

    def moves(change: int, body: int) -> bool:
        while body != bodies_of[change] and body != -1:
            body = humanoid.parents[body]
        return body != -1

    expected = torch.zeros(changes.size, changes.size)
    for i in range(changes.size):
        for j in range(changes.size):
            for body in range(humanoid.num_bodies):
                if moves(i, body) and moves(j, body):
                    expected[i, j] += first[i] @ between[body] @ second[j]
    torch.testing.assert_close(changes.couplings(first, between, second), expected, rtol=1e-4, atol=1e-4)


def test_banded_equations_are_solved_as_dense_ones():
    generator = torch.Generator().manual_seed(6)
    batch, frames, size, reach = 3, 9, 4, 3
    rows = torch.randn(batch, frames, 2 * size, reach + 1, size, generator=generator)
    dense = torch.eye(frames * size).repeat(batch, 1, 1)
    for frame in range(frames - reach):
        part = slice(frame * size, (frame + reach + 1) * size)
        row = rows[:, frame].flatten(2)
        dense[:, part, part] += row.mT @ row
    tiled = dense.unflatten(2, (frames, size)).unflatten(1, (frames, size)).transpose(2, 3)
    blocks = [torch.full((batch, frames, size, size), torch.nan) for _ in range(reach + 1)]
    for apart in range(reach + 1):
        for frame in range(frames - apart):
            blocks[apart][:, frame] = tiled[:, frame, frame + apart]
    for apart in range(1, reach + 1):
        blocks[apart][:, frames - apart :] = 0.0
    right = torch.randn(batch, frames, size, generator=generator)
    expected = torch.linalg.solve(dense, right.flatten(1)).unflatten(1, (frames, size))
    torch.testing.assert_close(solve_banded(blocks, right), expected, rtol=1e-3, atol=1e-4)


def test_each_run_of_contact_holds_its_mean_place_on_the_ground(humanoid, surface):
    frames = moving(humanoid, 0.85)
    heights = torch.zeros(12, 12)
    heights[:, 6:] = 0.1  # from y = 0 on
    terrains = laid_end_to_end([Heightfield(heights, torch.tensor([-2.2, -2.2]), 0.4)])
    (foot,) = held_bodies_of(humanoid, surface, ["left_foot"], 1.25)
    assert len(foot.points) == 18 and foot.distance == pytest.approx(1.25 * 0.103, abs=2e-3)
    held = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
    held[0, 1:4] = held[0, 6:] = held[1, 0] = True
    body_pos, body_rot = humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    runs = held_runs(foot, held, body_pos, body_rot, terrains, torch.zeros(BATCH, dtype=torch.long))
    centres = foot.placed(foot.centre[None], body_pos, body_rot)[..., 0, :]
    for item, part in ((0, slice(1, 4)), (0, slice(6, LENGTH)), (1, slice(0, 1))):
        expected = onto_ground(centres[item, part].mean(0)[None], terrains, torch.tensor([0]))
        torch.testing.assert_close(runs.anchors[item, part], expected.expand(part.stop - part.start, 3))
    assert (runs.stay[~(held[:, 1:] & held[:, :-1])] == 0).all() and runs.stay[0, 1].max() > 0.5


def test_points_go_to_the_nearest_ground_from_above_from_inside_and_beside_a_wall():
    heights = torch.zeros(4, 4)
    heights[2:] = 1.0  # from x = 0.6 on
    terrains = laid_end_to_end([Heightfield(heights, torch.zeros(2), 0.4)])
    points = torch.tensor([[0.0, 0.5, 0.3], [0.0, 0.5, -0.1], [0.55, 0.5, 0.5], [0.7, 0.5, 0.5], [1.0, 0.5, 0.95]])
    expected = torch.tensor([[0.0, 0.5, 0], [0.0, 0.5, 0], [0.6, 0.5, 0.5], [0.6, 0.5, 0.5], [1.0, 0.5, 1.0]])
    torch.testing.assert_close(onto_ground(points, terrains, torch.zeros(5, dtype=torch.long)), expected)
