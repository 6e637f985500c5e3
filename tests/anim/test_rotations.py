import math

import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from golden_arrays import read_golden, rotation_distance
from parc.anim.rotations import (
    angle_between,
    heading,
    rotate_xy,
    rotation_angle,
    rotation_from_6d,
    rotation_to_6d,
    slerp,
    turn_about_z,
)
from synthetic_clips import random_rotations

angles = st.floats(-math.pi, math.pi)


@pytest.fixture(scope="module")
def golden(golden_folder):
    return read_golden(golden_folder, "quat")


def test_helpers_give_the_golden_numbers(golden):
    qa, qb = golden["qa"], golden["qb"]
    torch.testing.assert_close(heading(qa), golden["calc_heading"], rtol=1e-4, atol=1e-6)
    assert rotation_distance(turn_about_z(golden["heading"]), golden["heading_to_quat"]).max() < 1e-6
    assert rotation_distance(turn_about_z(heading(qa)), golden["calc_heading_quat"]).max() < 1e-6
    turned = rotate_xy(golden["v"][:, :2], golden["heading"])
    torch.testing.assert_close(turned, golden["rotate_2d_vec"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(rotation_to_6d(qa), golden["quat_to_tan_norm"], rtol=1e-5, atol=1e-6)
    assert rotation_distance(roma.rotvec_to_unitquat(golden["expmap"]), golden["exp_map_to_quat"]).max() < 1e-6
    # Row 2 is a turn of some 2e-4 radians: products of unit quaternions know it to 1e-7, so its angle to 1e-3 of itself.
    torch.testing.assert_close(angle_between(qb, qa), golden["quat_diff_angle"].abs(), rtol=1e-4, atol=5e-7)


def test_slerp_gives_the_golden_rotations(golden):
    ours = slerp(golden["qa"], golden["qb"], golden["t"])
    half_angle = torch.acos((golden["qa"].double() * golden["qb"].double()).sum(-1).abs().clamp(max=1))
    distance = rotation_distance(ours, golden["slerp"])
    assert distance[half_angle >= 0.1].max() < 2e-6
    # The published one takes sines from a cosine near 1 in single precision: 3e-5 off at a half angle of 0.02.
    assert distance[half_angle >= 1e-3].max() < 5e-5
    # Below, the published one returns the midpoint, not normalised, whatever the share is.
    assert distance.max() < 1e-3


def turn_between(first, second):
    """The angle, also where it is below the 2e-5 at which `angle_between` says 0."""
    return roma.unitquat_to_rotvec(roma.quat_product(second, roma.quat_conjugation(first))).norm(dim=-1)


@pytest.mark.parametrize("turn", [0.0, 1e-6, 1e-4, 1e-3, 0.1, 2.0, 3.1])
def test_slerp_goes_its_share_of_the_shorter_way_for_nearly_equal_rotations_too(turn):
    generator = torch.Generator().manual_seed(0)
    start = torch.nn.functional.normalize(random_rotations(generator, 50).double(), dim=-1)
    axis = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator, dtype=torch.float64), dim=-1)
    end = roma.quat_product(roma.rotvec_to_unitquat(turn * axis), start)
    share = torch.rand(50, generator=generator, dtype=torch.float64)
    for sign in (1, -1):  # q and -q are one rotation
        between = slerp(start, sign * end, share)
        torch.testing.assert_close(turn_between(start, between), share * turn, atol=1e-7, rtol=1e-6)
        torch.testing.assert_close(turn_between(between, end), (1 - share) * turn, atol=1e-7, rtol=1e-6)
        torch.testing.assert_close(between.norm(dim=-1), torch.ones(50, dtype=torch.float64), atol=1e-6, rtol=0)


def test_slerp_agrees_with_scipy():
    generator = torch.Generator().manual_seed(1)
    pairs = random_rotations(generator, 30, 2)
    share = torch.rand(30, generator=generator)
    ours = slerp(pairs[:, 0], pairs[:, 1], share)
    for row in range(30):
        theirs = Slerp([0, 1], Rotation.from_quat(pairs[row].numpy()))(float(share[row])).as_quat()
        assert rotation_distance(ours[row], torch.from_numpy(theirs).float()) < 2e-6


@settings(deadline=None, max_examples=60)
@given(angles, st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), angles)
def test_turning_a_rotation_about_z_adds_to_its_heading(turn, pitch, roll, yaw):
    rotation = torch.from_numpy(Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_quat()).float()
    turned = roma.quat_product(turn_about_z(torch.tensor(turn)), rotation)
    assert math.cos(float(heading(turned)) - float(heading(rotation)) - turn) > 1 - 1e-6
    assert math.cos(float(heading(rotation)) - yaw) > 1 - 1e-6


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e-9, 1e-3, 1.0, math.pi - 1e-4, math.pi]))
def test_codes_of_rotations_go_there_and_back(seed, angle):
    generator = torch.Generator().manual_seed(seed)
    axis = torch.nn.functional.normalize(torch.randn(4, 3, generator=generator), dim=-1)
    rotation = roma.rotvec_to_unitquat(axis * angle)
    assert rotation_distance(rotation_from_6d(rotation_to_6d(rotation)), rotation).max() < 2e-6
    assert rotation_distance(roma.rotvec_to_unitquat(roma.unitquat_to_rotvec(rotation)), rotation).max() < 2e-6
    torch.testing.assert_close(rotation_angle(rotation), torch.full((4,), angle), atol=2e-5, rtol=1e-5)


def test_a_6d_code_off_its_manifold_keeps_x_and_makes_z_perpendicular():
    generator = torch.Generator().manual_seed(4)
    code = torch.randn(100, 6, generator=generator)
    rotation = rotation_from_6d(code)
    x, z = roma.quat_action(rotation, torch.tensor([1.0, 0, 0]).expand(100, 3)), code[:, 3:]
    torch.testing.assert_close(x, torch.nn.functional.normalize(code[:, :3], dim=-1), atol=1e-5, rtol=0)
    turned_z = roma.quat_action(rotation, torch.tensor([0.0, 0, 1]).expand(100, 3))
    assert ((turned_z * z).sum(-1) > 0).all()
    assert (torch.linalg.det(torch.stack([x, turned_z, z], -1)).abs() < 1e-4).all()


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-6, 1e-4, 1.0, math.pi - 1e-6, math.pi, 2 * math.pi])
def test_gradients_of_angles_and_interpolation_are_finite(angle):
    rotvec = torch.tensor([[angle, 0, 0], [0, 0, angle], [angle / 2, -angle / 2, 0]], requires_grad=True)
    rotation = roma.rotvec_to_unitquat(rotvec)
    identity = torch.tensor([0.0, 0, 0, 1]).expand(3, 4)
    total = angle_between(rotation, identity).sum() + slerp(identity, rotation, torch.full((3,), 0.3)).sum()
    (total + heading(rotation).sum() + rotation_from_6d(rotation_to_6d(rotation)).sum()).backward()
    assert torch.isfinite(rotvec.grad).all()
