import pytest
import torch

from golden_arrays import golden_points, read_golden, rotation_distance
from parc.anim.surface_points import collision_points, surface_points

# The published points of these bodies are misplaced: clavicles tilted, rings of thighs and shins spun about z.
CLAVICLES, SPUN = {"torso"}, {"right_thigh", "right_shin", "left_thigh", "left_shin"}


@pytest.fixture(scope="module")
def golden(golden_folder):
    return read_golden(golden_folder, "fk")


def test_the_humanoid_has_the_golden_bodies_joints_and_limits(humanoid, golden):
    assert humanoid.body_names == golden["body_names"]
    assert humanoid.parents == golden["parents"].tolist()
    assert [body.joint.value for body in humanoid.bodies] == golden["joint_types"]
    assert [*humanoid.first_dofs, humanoid.num_dofs][1:-1] == golden["dof_index"].tolist()[1:]
    for ours, theirs in [
        (humanoid.offsets, "local_translation"),
        (humanoid.rest_rotations, "local_rotation"),
        (humanoid.hinge_axes, "hinge_axis"),
        (humanoid.dof_lower, "dof_lower"),
        (humanoid.dof_upper, "dof_upper"),
    ]:
        torch.testing.assert_close(ours, golden[theirs], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("poses", ["clip", "rand"])
def test_forward_kinematics_is_the_golden_one(humanoid, golden, poses):
    body_pos, body_rot = humanoid.forward_kinematics(
        golden[f"{poses}_root_pos"], golden[f"{poses}_root_rot"], golden[f"{poses}_joint_rot"]
    )
    torch.testing.assert_close(body_pos, golden[f"{poses}_body_pos"], rtol=1e-5, atol=2e-6)
    assert rotation_distance(body_rot, golden[f"{poses}_body_rot"]).max() < 3e-6


@pytest.mark.parametrize("poses", ["clip", "rand"])
def test_dofs_of_rotations_are_the_golden_ones(humanoid, golden, poses):
    ours = humanoid.dofs_from_rotations(golden[f"{poses}_joint_rot"])
    torch.testing.assert_close(ours, golden[f"{poses}_dof"], rtol=1e-4, atol=2e-6)


def test_rotations_of_dofs_are_the_golden_ones(humanoid, golden):
    assert rotation_distance(humanoid.rotations_from_dofs(golden["dof_in"]), golden["dof_in_rot"]).max() < 2e-6
    assert rotation_distance(humanoid.rotations_from_dofs(golden["clip_dof"]), golden["clip_rot_from_dof"]).max() < 2e-6


def test_joint_velocities_are_the_golden_ones(humanoid, golden_folder):
    frames = read_golden(golden_folder, "frames")
    checked = 0
    for index, name in enumerate(frames["motion_names"]):
        clip = read_golden(golden_folder, f"clips_{name}")
        ours = humanoid.dof_velocities(clip["joint_rot"], float(clip["fps"]))
        rows = (frames["clamp_motion_ids"] == index).nonzero()[:, 0]
        frame = (frames["clamp_frame_idx0"] - frames["motion_start_idx"][index])[rows]
        # The published exponential map divides by |v| + 1e-5, which makes each turn smaller by a part in 1e-5 / |v|:
        # up to 2e-5 radians a frame, 6e-4 radians a second.
        torch.testing.assert_close(ours[frame], frames["clamp_dof_vel"][rows], rtol=1e-4, atol=7e-4)
        checked += len(rows)
    assert checked == 56


def test_surface_points_are_the_golden_ones_but_for_the_capsules_published_wrongly(humanoid, golden_folder):
    ours, golden = surface_points(humanoid), golden_points(golden_folder, "surface")
    assert ours.bodies.tolist() == golden.bodies.tolist()
    for body, name in enumerate(humanoid.body_names):
        mine, theirs = ours.points[ours.bodies == body], golden.points[golden.bodies == body]
        if name in CLAVICLES:
            mine, theirs = mine[:12], theirs[:12]  # the sphere of the chest
        # The order of a capsule's rings and points is free: points are matched to their nearest.
        distance = torch.cdist(mine, theirs, compute_mode="donot_use_mm_for_euclid_dist")
        worst = torch.maximum(distance.min(0).values.max(), distance.min(1).values.max())
        if name in SPUN:
            assert 1e-3 < worst < 0.05, name
        else:
            assert worst < 1e-6, name


def test_collision_points_are_the_golden_ones_but_for_the_clavicles(humanoid, golden_folder):
    ours, golden = collision_points(humanoid), golden_points(golden_folder, "minimal")
    assert ours.bodies.tolist() == golden.bodies.tolist()
    for body, name in enumerate(humanoid.body_names):
        mine, theirs = ours.points[ours.bodies == body], golden.points[golden.bodies == body]
        if name in CLAVICLES:
            mine, theirs = mine[:1], theirs[:1]
        distance = torch.cdist(mine, theirs, compute_mode="donot_use_mm_for_euclid_dist")
        assert torch.maximum(distance.min(0).values.max(), distance.min(1).values.max()) < 1e-6, name
