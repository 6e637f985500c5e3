import dataclasses

import pytest
import torch

from golden_arrays import golden_points, read_golden
from paper_settings import WEIGHTS, golden_losses, golden_statistics
from parc.anim.frames import Frames
from parc.configuration.errors import UserError
from parc.motion_generator.features import MotionFeatures, RotationType
from parc.motion_generator.losses import Distance, LossWeights, TerrainAndTarget
from parc.terrain.heightfield import on_one_grid
from parc.terrain.signed_distance import distance_above_ground, signed_distance_below_ground

# Our terms and the golden names of their values and of their weights.
TERMS = {
    "root_position": ("simple_root_pos_loss", "_w_simple_root_pos"),
    "root_rotation": ("simple_root_rot_loss", "_w_simple_root_rot"),
    "joint_rotation": ("simple_joint_rot_loss", "_w_simple_joint_rot"),
    "contacts": ("simple_contact_loss", "_w_simple_contacts"),
    "joint_position": ("simple_body_pos_loss", "_w_simple_body_pos"),
    "kinematic_consistency": ("body_pos_consistency_loss", "_w_body_pos_consistency"),
    "root_velocity": ("vel_root_pos_loss", "_w_vel_root_pos"),
    "root_angular_velocity": ("vel_root_rot_loss", "_w_vel_root_rot"),
    "joint_angular_velocity": ("vel_joint_rot_loss", "_w_vel_joint_rot"),
    "body_position": ("fk_body_pos_loss", "_w_body_pos"),
    "body_rotation": ("fk_body_rot_loss", "_w_body_rot"),
    "body_velocity": ("vel_fk_body_pos_loss", "_w_body_vel"),
    "target": ("target_loss", "_w_target"),
    "terrain_collision": ("hf_collision_loss", "_w_hf"),
}
OURS = ("contact_velocity",)  # terms that the paper has not
OFF_BY_DEFAULT = ("target", "terrain_collision")
# The published exponential map has axis v / (|v| + 1e-5), so that its turns are smaller by about 1e-5 / |v| of themselves.
RELATIVE = {"root_angular_velocity": 3e-4, "joint_angular_velocity": 2e-4}


@pytest.fixture(scope="module")
def golden(golden_folder):
    return read_golden(golden_folder, "losses")


@pytest.fixture(scope="module")
def true(golden, humanoid):
    frames = Frames(*(golden[f"true_{field.name}"] for field in dataclasses.fields(Frames)))
    return MotionFeatures(humanoid, RotationType.DEFAULT).posed(frames)


@pytest.fixture(scope="module")
def terrain_and_target(golden):
    return TerrainAndTarget(golden["hf"][:, 0], torch.tensor([-2.0, -3.0]), 0.2, golden["target_dir"])


@pytest.fixture
def decode(humanoid, golden_folder):
    features, statistics = MotionFeatures(humanoid, RotationType.DEFAULT), golden_statistics(golden_folder)
    return lambda standardised: features.decode(statistics.unstandardise(standardised))


def test_the_papers_weights_are_the_golden_ones(golden):
    published = dict(zip(golden["weight_names"], golden["weight_values"].tolist(), strict=True))
    ours = {TERMS[name][1]: weight for name, weight in vars(WEIGHTS).items() if name not in OURS}
    assert ours == pytest.approx(published, rel=1e-6)


@pytest.mark.parametrize("distance", list(Distance))
def test_every_raw_term_is_the_golden_one(humanoid, golden_folder, golden, true, terrain_and_target, decode, distance):
    losses = golden_losses(golden_folder, humanoid, distance)
    ours = losses.per_sample(decode(golden["pred_features"]), true, terrain_and_target)
    assert list(ours) == list(TERMS)
    for name, values in ours.items():
        theirs = golden[f"{distance.value}_raw_{TERMS[name][0]}"]
        torch.testing.assert_close(
            values, theirs, rtol=RELATIVE.get(name, 5e-5), atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("distance", list(Distance))
def test_every_weighted_term_their_sum_and_its_gradient_are_the_golden_ones(
    humanoid, golden_folder, golden, true, terrain_and_target, decode, distance
):
    losses = golden_losses(golden_folder, humanoid, distance)
    prediction = golden["pred_features"].clone().requires_grad_()
    weighted = losses.weighted_means(losses.per_sample(decode(prediction), true, terrain_and_target))
    by_term = dict(zip(losses.terms, weighted, strict=True))
    for name, value in by_term.items():
        if name not in OFF_BY_DEFAULT:
            theirs = float(golden[f"{distance.value}_default_mean_{TERMS[name][0]}"])
            assert value.item() == pytest.approx(theirs, rel=RELATIVE.get(name, 5e-5)), name
    total = sum(value for name, value in by_term.items() if name not in OFF_BY_DEFAULT)
    assert total.item() == pytest.approx(float(golden[f"{distance.value}_default_total"]), rel=5e-5)
    total.backward()
    theirs = golden[f"{distance.value}_default_grad"]
    assert (prediction.grad - theirs).norm() / theirs.norm() < 5e-5
    torch.testing.assert_close(prediction.grad, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("distance", list(Distance))
def test_every_term_of_a_perfect_prediction_is_the_golden_one(
    humanoid, golden_folder, golden, true, terrain_and_target, distance
):
    ours = golden_losses(golden_folder, humanoid, distance).per_sample(true, true, terrain_and_target)
    for name, values in ours.items():
        theirs = golden[f"{distance.value}_identical_{TERMS[name][0]}"]
        # Golden's are rounding noise where ours are 0, times 30 squared for velocities: 1.2e-4.
        noise = 1.5e-4 if name == "body_velocity" else 2e-5
        torch.testing.assert_close(values, theirs, rtol=1e-4, atol=noise, msg=lambda text, name=name: f"{name}: {text}")


def test_the_gradient_of_the_collision_term_is_the_golden_one(
    humanoid, golden_folder, golden, true, terrain_and_target, decode
):
    losses = golden_losses(golden_folder, humanoid, Distance.SQUARED_L2)
    prediction = golden["pred_features"].clone().requires_grad_()
    losses.per_sample(decode(prediction), true, terrain_and_target)["terrain_collision"].mean().backward()
    theirs = golden["hf_collision_grad"]
    torch.testing.assert_close(prediction.grad, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_depths_of_points_are_the_golden_ones(humanoid, golden_folder, golden, terrain_and_target, decode):
    points, motion = golden_points(golden_folder, "minimal"), decode(golden["pred_features"])
    placed = points.placed(*humanoid.forward_kinematics(motion.root_pos, motion.root_rot, motion.joint_rot))
    # Golden's order is by body, then frame, then point.
    by_body = torch.cat([placed[:, :, points.bodies == body].flatten(1, 2) for body in range(15)], 1)
    terrains = on_one_grid(terrain_and_target.heightmap, terrain_and_target.min_point, 0.2)
    ours = signed_distance_below_ground(by_body, terrains, torch.arange(8))
    above = distance_above_ground(by_body, terrains, torch.arange(8))
    assert (golden["hf_point_sdf"] < 0).sum() > 100
    torch.testing.assert_close(ours, golden["hf_point_sdf"].clamp(max=0), rtol=1e-5, atol=2e-6)
    # Above ground, golden has the distance to the side of the point's own box of air, with more air behind it.
    assert torch.equal(above > 0, golden["hf_point_sdf"] > 0)


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("kind", ["identical", "standing still", "half turns", "tiny", "far off"])
def test_gradients_are_finite_at_the_corners(humanoid, golden_folder, true, terrain_and_target, golden, distance, kind):
    """Equal poses, equal frames, angles of 0 and 180 degrees: where square roots and arcs have no slope of their own."""
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    encoded = features.encode(true).clone()
    if kind == "standing still":
        encoded = encoded[:, :1].expand(-1, 15, -1).clone()
    elif kind == "half turns":
        encoded[..., 3:6] = torch.tensor([0, 0, torch.pi])
        encoded[..., 48:76] = torch.pi
        encoded[:, ::2, 3:6] *= -1
    elif kind == "tiny":
        encoded[..., 3:6] = encoded[..., 48:76] = 1e-12
    elif kind == "far off":
        encoded = encoded + 3 * torch.randn(encoded.shape, generator=torch.Generator().manual_seed(0))
    encoded.requires_grad_()
    losses = golden_losses(golden_folder, humanoid, distance)
    per_sample = losses.per_sample(features.decode(encoded), true, terrain_and_target)
    total = losses.weighted_means(per_sample).sum()
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(encoded.grad).all()


def test_the_target_term_rewards_moving_towards_the_target_up_to_a_tenth_of_a_metre(
    humanoid, golden_folder, true, terrain_and_target
):
    losses = golden_losses(golden_folder, humanoid, Distance.SQUARED_L2)
    towards = dataclasses.replace(terrain_and_target, target_direction=torch.tensor([[1.0, 0.0]]).expand(8, 2))
    for way, expected in ((0.05, -0.05), (0.1, -0.1), (5.0, -0.1), (-2.0, 2.0)):
        root_pos = torch.zeros(8, 15, 3)
        root_pos[:, 0, 0] = -1.0  # before the canonical frame
        root_pos[:, -1, 0] = way
        moved = dataclasses.replace(true, root_pos=root_pos)
        assert losses.per_sample(moved, true, towards)["target"].tolist() == pytest.approx([expected] * 8)


def test_contact_velocity_is_that_of_bodies_while_they_are_in_contact(
    humanoid, golden_folder, true, terrain_and_target
):
    """All bodies move along at 3 m/s: what counts is each body that is in contact in a frame and the next, by its label."""
    weights = dataclasses.replace(WEIGHTS, contact_velocity=1.0)
    losses = golden_losses(golden_folder, humanoid, Distance.SQUARED_L2, weights)
    contacts = torch.rand(true.contacts.shape, generator=torch.Generator().manual_seed(0))
    held = dataclasses.replace(true, contacts=contacts)
    still = losses.per_sample(true, held, terrain_and_target)["contact_velocity"]
    assert still.abs().max() < 1e-6
    along = true.root_pos + torch.arange(15)[:, None] * torch.tensor([0.1, 0.0, 0.0])
    sliding = losses.per_sample(dataclasses.replace(true, root_pos=along), held, terrain_and_target)["contact_velocity"]
    both = torch.minimum(contacts[:, 1:], contacts[:, :-1])
    torch.testing.assert_close(sliding, (3.0 * both).square().sum((1, 2)), rtol=1e-3, atol=1e-4)


def test_terms_of_weight_zero_are_not_computed(humanoid, golden_folder, true, terrain_and_target):
    weights = dataclasses.replace(WEIGHTS, target=0.0, terrain_collision=0.0)
    losses = golden_losses(golden_folder, humanoid, Distance.SQUARED_L2, weights)
    assert set(TERMS) - set(losses.per_sample(true, true, terrain_and_target)) == set(OFF_BY_DEFAULT)


def test_weights_below_zero_and_none_above_it_are_refused():
    with pytest.raises(UserError, match=r"loss\.weights\.contacts is -1"):
        dataclasses.replace(WEIGHTS, contacts=-1.0)
    with pytest.raises(UserError, match="every weight is 0"):
        LossWeights(*[0.0] * 14)
