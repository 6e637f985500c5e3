"""The distances to air and to ground, against ones that ask every column."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.terrain import signed_distance
from parc.terrain.heightfield import Heightfield, Heightfields, laid_end_to_end, on_one_grid
from parc.terrain.signed_distance import distance_above_ground, signed_distance_below_ground

BOTH = [signed_distance_below_ground, distance_above_ground]
FAR = 1e9


def brute_force(function, points, terrain: Heightfield):
    """The distance from each point to the nearest of all boxes: a cell's square, from its height up or down without end."""
    shape = terrain.heights.shape
    grid = torch.stack(torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij"), -1)
    centre = (terrain.min_point + grid * terrain.cell_size).reshape(-1, 2)
    height, end = terrain.heights.reshape(-1, 1), torch.full((terrain.heights.numel(), 1), FAR, dtype=torch.float64)
    below, above = (height, end) if function is signed_distance_below_ground else (-end, height)
    lower = torch.cat([centre - terrain.cell_size / 2, below], -1)
    upper = torch.cat([centre + terrain.cell_size / 2, above], -1)
    nearest = torch.minimum(torch.maximum(points[:, None], lower), upper)
    squared = (points[:, None] - nearest).square().sum(-1).min(-1).values
    distance = torch.where(squared > 0, squared, 1.0).sqrt() * (squared > 0)
    return -distance if function is signed_distance_below_ground else distance


def random_case(seed, num_points=40) -> tuple[torch.Tensor, list[Heightfield], torch.Tensor]:
    """Return points in and around three terrains of different shapes, of which the batch's items stand on some."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(0, 3, (4,), generator=generator)
    terrains = []
    for number in range(3):
        rows, columns = (int(count) for count in torch.randint(1, 14, (2,), generator=generator))
        heights = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        if (seed + number) % 3 == 0:
            heights = heights.round()  # plateaus and ties
        min_point = torch.randn(2, generator=generator, dtype=torch.float64)
        terrains.append(Heightfield(heights, min_point, float(torch.rand(1, generator=generator)) + 0.05))
    points = torch.rand(4, num_points, 3, generator=generator, dtype=torch.float64)
    for item, number in enumerate(which.tolist()):
        terrain = terrains[number]
        span = torch.tensor([*terrain.heights.shape, 0]) * terrain.cell_size + torch.tensor([2, 2, 6])
        first = torch.cat([terrain.min_point - 1 - terrain.cell_size / 2, torch.tensor([-3.0], dtype=torch.float64)])
        points[item] = points[item] * span + first
    return points, terrains, which


@pytest.mark.parametrize("function", BOTH)
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31))
def test_the_distance_and_its_gradient_are_those_of_a_search_of_every_column(function, seed):
    points, terrains, which = random_case(seed)
    ours, theirs = points.clone().requires_grad_(), points.clone().requires_grad_()
    distance = function(ours, laid_end_to_end(terrains), which)
    expected = torch.stack(
        [brute_force(function, theirs[item], terrains[number]) for item, number in enumerate(which.tolist())]
    )
    torch.testing.assert_close(distance, expected, atol=1e-9, rtol=1e-9)
    distance.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_what_finite_differences_say(function, seed):
    points, terrains, which = random_case(seed)
    together, step = laid_end_to_end(terrains), 1e-6
    points.requires_grad_()
    function(points, together, which).sum().backward()
    checked = 0
    for axis in range(3):
        move = torch.zeros(3, dtype=torch.float64)
        move[axis] = step
        here = points.detach()
        before, now, after = (function(here + sign * move, together, which) for sign in (-1, 0, 1))
        smooth = (before + after - 2 * now).abs() < 1e-9  # no edge between here and there
        slope = (after - before) / (2 * step)
        torch.testing.assert_close(points.grad[..., axis][smooth], slope[smooth], atol=1e-4, rtol=1e-4)
        checked += int((smooth & (slope != 0)).sum())
    assert checked > 100


@pytest.mark.parametrize("function", BOTH)
def test_the_cases_hold_points_in_air_in_the_ground_and_beside_the_map(function):
    away, within, beside = 0, 0, 0
    for seed in range(20):
        points, terrains, which = random_case(seed)
        distance = function(points, laid_end_to_end(terrains), which)
        for item, number in enumerate(which.tolist()):
            terrain = terrains[number]
            place = (points[item, :, :2] - terrain.min_point) / terrain.cell_size
            outside = ((place < -0.5) | (place > torch.tensor(terrain.heights.shape) - 0.5)).any(-1)
            within += int((distance[item] == 0).sum())
            away += int((distance[item] != 0)[~outside].sum())
            beside += int(outside.sum())
            assert (distance[item][outside] != 0).all()  # beside the map is neither air nor ground
    assert min(away, within, beside) > 150


def test_a_point_over_its_map_is_above_the_ground_or_inside_it_and_never_both():
    points, terrains, which = random_case(7)
    for item, number in enumerate(which.tolist()):
        together, own = laid_end_to_end([terrains[number]]), torch.zeros(1, dtype=torch.long)
        centres = terrains[number].min_point + torch.zeros(len(points[item]), 2, dtype=torch.float64)
        over = torch.cat([centres, points[item, :, 2:]], dim=1)[None]
        below, above = signed_distance_below_ground(over, together, own), distance_above_ground(over, together, own)
        assert ((below < 0) != (above > 0)).all()


def test_sideways_counts_and_the_map_does_not_go_on():
    # A wall of one cell on a floor 10 m below; the points are in air beside the wall, above it, and beside the map.
    terrain = laid_end_to_end([Heightfield(torch.tensor([[-10.0], [0.0], [-10.0]]), torch.zeros(2), 1.0)])
    points = torch.tensor([[[0.2, 0.0, -3.0], [1.0, 0.0, 0.7], [1.0, 0.9, -3.0], [-0.8, 0.0, -20.0]]])
    distance = distance_above_ground(points, terrain, torch.tensor([0]))
    torch.testing.assert_close(distance, torch.tensor([[0.3, 0.7, 0.4, 0.3]]))
    depth = signed_distance_below_ground(points, terrain, torch.tensor([0]))
    torch.testing.assert_close(depth[0, :2], torch.zeros(2))
    torch.testing.assert_close(depth[0, 3], torch.tensor(-((10.0**2 + 0.3**2) ** 0.5)))


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("seed", range(3))
def test_single_precision_is_enough_and_gradients_are_finite(function, seed):
    points, terrains, which = random_case(seed)
    single = points.float().requires_grad_()
    terrain = [Heightfield(each.heights.float(), each.min_point.float(), each.cell_size) for each in terrains]
    distance = function(single, laid_end_to_end(terrain), which)
    expected = torch.stack(
        [brute_force(function, points[item], terrains[number]) for item, number in enumerate(which.tolist())]
    )
    torch.testing.assert_close(distance.double(), expected, atol=2e-5, rtol=1e-4)
    distance.sum().backward()
    assert torch.isfinite(single.grad).all()


@pytest.mark.parametrize("function", BOTH)
def test_columns_looked_at_in_small_chunks_are_the_same(function, monkeypatch):
    points, terrains, which = random_case(3)
    whole = function(points, laid_end_to_end(terrains), which)
    monkeypatch.setattr(signed_distance, "CELLS_A_CHUNK", 50)
    assert torch.equal(function(points, laid_end_to_end(terrains), which), whole)


def test_a_terrain_for_each_item_on_one_grid_is_what_it_is_alone():
    generator = torch.Generator().manual_seed(0)
    heights, min_point = torch.randn(5, 6, 9, generator=generator), torch.tensor([-1.0, 2.0])
    points = torch.randn(5, 30, 3, generator=generator) * 2 + torch.tensor([0.0, 3.0, 0.0])
    together = on_one_grid(heights, min_point, 0.4)
    alone = laid_end_to_end([Heightfield(each, min_point, 0.4) for each in heights])
    for name in vars(alone):
        assert torch.equal(getattr(together, name), getattr(alone, name))
    for function in BOTH:
        assert torch.equal(function(points, together, torch.arange(5)), function(points, alone, torch.arange(5)))


def one(heights: torch.Tensor) -> tuple[Heightfields, torch.Tensor]:
    """Return one terrain of cells of 1 m, the first one's centre at zero, and an item that stands on it."""
    return laid_end_to_end([Heightfield(heights, torch.zeros(2), 1.0)]), torch.tensor([0])


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("depth", [0.0, 1e-30, 1e-12, 1e-6, -1e-12, -1e-6])
def test_points_on_and_just_off_the_surface_have_finite_gradients(function, depth):
    points = torch.tensor([[[0.0, 0.0, -depth], [0.5, 0.5, -depth], [-0.5 - depth, 0.0, 3.0]]], requires_grad=True)
    distance = function(points, *one(torch.zeros(3, 3)))
    (distance.sum() + distance.square().sum()).backward()
    assert torch.isfinite(points.grad).all()
    assert (distance <= 0).all() if function is signed_distance_below_ground else (distance >= 0).all()


def test_the_gradient_leads_out_of_the_ground_and_away_from_it():
    heights = torch.tensor([[0.0], [-5.0]])
    for function, places, expected, slopes in (
        # Up, and sideways into the pit.
        (signed_distance_below_ground, [[0, 0, -0.1], [0.4, 0, -2]], [-0.1, -0.1], [[0, 0, 1], [1, 0, 0]]),
        # Up from the ledge, and sideways away from its wall.
        (distance_above_ground, [[0, 0, 0.1], [0.7, 0, -2]], [0.1, 0.2], [[0, 0, 1], [1, 0, 0]]),
    ):
        points = torch.tensor([places], dtype=torch.float32, requires_grad=True)
        distance = function(points, *one(heights))
        distance.sum().backward()
        torch.testing.assert_close(distance.detach(), torch.tensor([expected]))
        torch.testing.assert_close(points.grad, torch.tensor([slopes], dtype=torch.float32))


MEASURED = """
import torch
from pathlib import Path
from parc.terrain.heightfield import on_one_grid
from parc.terrain.signed_distance import signed_distance_below_ground
generator = torch.Generator().manual_seed(0)

def loss(batch):
    heights = torch.rand(batch, 31, 31, generator=generator) * 6 - 3
    points = torch.rand(batch, 630, 3, generator=generator) * torch.tensor([6, 6, 3.0]) + torch.tensor([-2, -3, -3.0])
    points.requires_grad_()
    terrains = on_one_grid(heights, torch.tensor([-2.0, -3.0]), 0.2)
    depth = signed_distance_below_ground(points, terrains, torch.arange(batch))
    (0.5 * depth.square().sum(1)).mean().backward()

def megabytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024

loss(1)  # what the libraries take when they are first used
Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on (getrusage's would be the parent's)
before = megabytes("VmRSS")
loss(64)
print(megabytes("VmHWM") - before)
"""


def test_the_collision_loss_of_a_batch_of_64_takes_less_than_200_mb():
    """Forward and backward over 42 points in 15 frames, most of them in the ground: the peak of a process's memory."""
    run = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=300)
    assert 1 < float(run.stdout) < 200
