"""The distance to the ground's surface, against one that asks every column of air."""

import subprocess
import sys

import pytest
import torch

from parc.terrain.signed_distance import signed_distance_below_ground


def brute_force(points, heights, min_point, cell_size):
    """Minus the distance from each point to the nearest of all boxes of air: a cell's square, from its height upwards."""
    batch, rows, columns = heights.shape
    grid = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1)
    centre = (min_point + grid * cell_size).reshape(1, 1, -1, 2)
    lower = torch.cat([(centre - cell_size / 2).expand(batch, 1, -1, 2), heights.reshape(batch, 1, -1, 1)], -1)
    upper = torch.cat([(centre + cell_size / 2).expand(batch, 1, -1, 2), torch.full_like(lower[..., :1], 1e9)], -1)
    nearest = torch.minimum(torch.maximum(points[:, :, None], lower), upper)
    squared = (points[:, :, None] - nearest).square().sum(-1).min(-1).values
    return -torch.where(squared > 0, squared, 1.0).sqrt() * (squared > 0)


def random_case(seed, batch=3, num_points=40):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (int(number) for number in torch.randint(1, 14, (2,), generator=generator))
    cell_size = float(torch.rand(1, generator=generator)) + 0.05
    heights = torch.randn(batch, rows, columns, generator=generator, dtype=torch.float64)
    if seed % 3 == 0:
        heights = heights.round()  # plateaus and ties
    min_point = torch.randn(2, generator=generator, dtype=torch.float64)
    span = torch.tensor([rows, columns, 0]) * cell_size + torch.tensor([2, 2, 6])
    points = torch.rand(batch, num_points, 3, generator=generator, dtype=torch.float64) * span
    points = points + torch.cat([min_point - 1 - cell_size / 2, torch.tensor([-4.0], dtype=torch.float64)])
    return points, heights, min_point, cell_size


@pytest.mark.parametrize("seed", range(30))
def test_the_distance_and_its_gradient_are_those_of_a_search_of_every_column(seed):
    points, heights, min_point, cell_size = random_case(seed)
    ours, theirs = points.clone().requires_grad_(), points.clone().requires_grad_()
    distance = signed_distance_below_ground(ours, heights, min_point, cell_size)
    expected = brute_force(theirs, heights, min_point, cell_size)
    torch.testing.assert_close(distance, expected, atol=1e-9, rtol=1e-9)
    distance.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-7, rtol=1e-7)
    assert (distance < 0).any()


def test_the_cases_hold_points_in_air_in_the_ground_and_beside_the_map():
    in_air, in_ground, beside = 0, 0, 0
    for seed in range(30):
        points, heights, min_point, cell_size = random_case(seed)
        distance = signed_distance_below_ground(points, heights, min_point, cell_size)
        place = (points[..., :2] - min_point) / cell_size
        outside = ((place < -0.5) | (place > torch.tensor(heights.shape[1:]) - 0.5)).any(-1)
        in_air += int((distance == 0).sum())
        in_ground += int(((distance < 0) & ~outside).sum())
        beside += int(outside.sum())
        assert (distance[outside] < 0).all()  # beside the map there is ground
    assert min(in_air, in_ground, beside) > 150


@pytest.mark.parametrize("seed", range(5))
def test_single_precision_is_enough_and_gradients_are_finite(seed):
    points, heights, min_point, cell_size = random_case(seed)
    single = points.float().requires_grad_()
    distance = signed_distance_below_ground(single, heights.float(), min_point.float(), cell_size)
    expected = brute_force(points, heights, min_point, cell_size)
    torch.testing.assert_close(distance.double(), expected, atol=2e-5, rtol=1e-4)
    distance.sum().backward()
    assert torch.isfinite(single.grad).all()


@pytest.mark.parametrize("depth", [0.0, 1e-30, 1e-12, 1e-6])
def test_points_on_and_just_below_the_surface_have_finite_gradients(depth):
    points = torch.tensor([[[0.0, 0.0, -depth], [0.5, 0.5, -depth], [-0.5 - depth, 0.0, 3.0]]], requires_grad=True)
    distance = signed_distance_below_ground(points, torch.zeros(1, 3, 3), torch.zeros(2), 1.0)
    (distance.sum() + distance.square().sum()).backward()
    assert torch.isfinite(points.grad).all()
    assert (distance <= 0).all()


def test_the_gradient_leads_out_of_the_ground():
    points = torch.tensor([[[0.0, 0.0, -0.1], [0.4, 0.0, -2.0]]], requires_grad=True)
    heights = torch.tensor([[[0.0], [-5.0]]])
    distance = signed_distance_below_ground(points, heights, torch.zeros(2), 1.0)
    distance.sum().backward()
    torch.testing.assert_close(distance.detach(), torch.tensor([[-0.1, -0.1]]))  # up, and sideways into the pit
    torch.testing.assert_close(points.grad, torch.tensor([[[0.0, 0, 1], [1, 0, 0]]]))


MEASURED = """
import torch
from pathlib import Path
from parc.terrain.signed_distance import signed_distance_below_ground
generator = torch.Generator().manual_seed(0)

def loss(batch):
    heights = torch.rand(batch, 31, 31, generator=generator) * 6 - 3
    points = torch.rand(batch, 630, 3, generator=generator) * torch.tensor([6, 6, 3.0]) + torch.tensor([-2, -3, -3.0])
    points.requires_grad_()
    depth = signed_distance_below_ground(points, heights, torch.tensor([-2.0, -3.0]), 0.2)
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
