"""The published code does not orient capsules along their axis; ours does."""

import math

import pytest
import torch

from parc.anim.surface_points import collision_points, surface_points

# Body, radius, from, to: the capsules of the humanoid as the specification gives them.
CAPSULES = [
    ("torso", 0.045, (-0.0060125, -0.0457775, 0.2287955), (-0.016835, -0.128177, 0.2376182)),
    ("torso", 0.045, (-0.0060125, 0.0457775, 0.2287955), (-0.016835, 0.128177, 0.2376182)),
    ("right_upper_arm", 0.045, (0, -0.03, 0), (0, -0.23, 0)),
    ("left_lower_arm", 0.04, (0, 0.035, 0), (0, 0.1875, 0)),
    ("right_thigh", 0.055, (0, 0, -0.04), (0, 0, -0.36)),
    ("left_shin", 0.05, (0, 0, -0.03), (0, 0, -0.355)),
]
# Where the points of a capsule begin among those of its body: the chest's sphere comes first, then right and left.
FIRST_SURFACE = {0: 12, 1: 28}
FIRST_COLLISION = {0: 1, 1: 3}


@pytest.mark.parametrize("number", range(len(CAPSULES)))
def test_capsule_rings_lie_around_the_axis_at_the_radius(humanoid, number):
    name, radius, start, end = CAPSULES[number]
    points = surface_points(humanoid)
    first = FIRST_SURFACE.get(number, 0)
    ring_points = points.points[points.bodies == humanoid.body_index(name)][first : first + 16]
    start, end = torch.tensor(start), torch.tensor(end)
    axis, length = (end - start) / (end - start).norm(), (end - start).norm()
    offset = ring_points - (start + end) / 2
    along = offset @ axis
    sideways = offset - along[:, None] * axis
    torch.testing.assert_close(sideways.norm(dim=1), torch.full((16,), radius), atol=1e-6, rtol=0)
    heights = torch.tensor([-1 / 2, -1 / 6, 1 / 6, 1 / 2]).repeat_interleave(4) * length
    torch.testing.assert_close(along.sort().values, heights, atol=1e-6, rtol=0)
    # Four points a ring, a quarter turn apart.
    for ring in along.argsort().reshape(4, 4):
        cosines = (sideways[ring] @ sideways[ring].T / radius**2).sort().values
        torch.testing.assert_close(cosines, torch.tensor([[-1.0, 0, 0, 1]]).expand(4, 4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("number", range(len(CAPSULES)))
def test_capsules_collide_with_two_points_of_their_axis(humanoid, number):
    name, _, start, end = CAPSULES[number]
    points = collision_points(humanoid)
    first = FIRST_COLLISION.get(number, 0)
    pair = points.points[points.bodies == humanoid.body_index(name)][first : first + 2]
    start, end = torch.tensor(start), torch.tensor(end)
    middle, way = (start + end) / 2, end - start
    expected = torch.stack([middle + way / 3, middle - way / 3])
    assert torch.cdist(pair, expected).min(0).values.max() < 1e-6


def test_spheres_have_the_vertices_of_an_icosahedron(humanoid):
    points = surface_points(humanoid)
    head = points.points[points.bodies == humanoid.body_index("head")] - torch.tensor([0, 0, 0.175])
    torch.testing.assert_close(head.norm(dim=1), torch.full((12,), 0.095))
    edge = 0.095 / math.sin(2 * math.pi / 5)  # edge of the icosahedron in a sphere of this radius: 30 of them
    distances = torch.cdist(head, head, compute_mode="donot_use_mm_for_euclid_dist")
    assert int((((distances - edge).abs() < 1e-5) & (distances > 0)).sum()) == 60


def test_placed_points_follow_their_bodies(humanoid):
    generator = torch.Generator().manual_seed(0)
    points = surface_points(humanoid)
    body_pos = torch.randn(3, 15, 3, generator=generator)
    body_rot = torch.nn.functional.normalize(torch.randn(3, 15, 4, generator=generator), dim=-1)
    placed = points.placed(body_pos, body_rot)
    vector, w = body_rot[..., :3][:, points.bodies], body_rot[..., 3:][:, points.bodies]
    # v + w t + q x t with t = 2 q x v: a rotation by a quaternion without matrices.
    twice = 2 * torch.linalg.cross(vector, points.points.expand(3, -1, 3))
    expected = points.points + w * twice + torch.linalg.cross(vector, twice) + body_pos[:, points.bodies]
    torch.testing.assert_close(placed, expected, atol=1e-5, rtol=1e-5)
