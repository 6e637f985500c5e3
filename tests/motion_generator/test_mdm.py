import dataclasses
import re

import pytest
import torch

from paper_settings import AUGMENTATION, GRID, WEIGHTS, paper_sampler
from parc.anim.character import Character
from parc.anim.motion_library import library_of
from parc.anim.surface_points import collision_points
from parc.configuration.errors import UserError
from parc.configuration.pieces import recipe
from parc.motion_generator.denoiser import Conditions, Denoiser
from parc.motion_generator.features import FeatureStatistics, RotationType
from parc.motion_generator.ground_guidance import GroundAround, GroundGuidance
from parc.motion_generator.losses import Distance, MotionLosses
from parc.motion_generator.mdm import MDM, ConditionChances
from synthetic_clips import preprocessed, random_clip

CHANCES = ConditionChances(heightmap_dropped=0.025, target_dropped=0.025, previous_dropped=0.15, previous_clean=0.5)
SMALL = {
    "_target_": "parc.motion_generator.mdm_transformer.MDMTransformer",
    **dict.fromkeys(("d_model", "d_hid", "mlp_width", "target_mlp_width"), 32),
    "num_heads": 2,
    "num_layers": 2,
    "dropout": 0.1,
}


@pytest.fixture(scope="module")
def make_model(humanoid):
    def make(rotation_type=RotationType.DEFAULT, **changes) -> MDM:
        torch.manual_seed(0)
        features = 91 if rotation_type is RotationType.DEFAULT else 150
        losses = MotionLosses(
            Distance.SQUARED_L2,
            WEIGHTS,
            character=humanoid,
            collision_points=collision_points(humanoid),
            fps=30.0,
            num_previous=2,
        )
        sizes = {name: changes.pop(name) for name in SMALL if name in changes}
        return MDM(
            recipe(SMALL | sizes, Denoiser, "model.denoiser"),
            rotation_type=rotation_type,
            conditions=CHANCES,
            character=humanoid,
            statistics=FeatureStatistics(torch.zeros(15, features), torch.full((15, features), 0.3)),
            num_frames=15,
            num_previous=2,
            heightmap=GRID,
            **({"diffusion_timesteps": 21, "losses": losses} | changes),
        )

    return make


@pytest.fixture(scope="module")
def windows(humanoid):
    library = library_of(preprocessed(humanoid, [random_clip(humanoid, n, frames=60) for n in range(3)]), [1.0] * 3)
    sampler = paper_sampler(library, augmentation=AUGMENTATION, angle_noise=0.1, pos_noise=0.1)
    return sampler.windows(sampler.draw(torch.Generator().manual_seed(0), 8))


def conditions(batch: int = 4, features: int = 91) -> Conditions:
    generator, yes = torch.Generator().manual_seed(1), torch.ones(batch, dtype=torch.bool)
    return Conditions(
        torch.rand(batch, 31, 31, generator=generator) * 6 - 3,
        torch.tensor([[1.0, 0.0]]).repeat(batch, 1),
        torch.randn(batch, 2, features, generator=generator),
        yes,
        yes,
        yes,
        yes,
    )


def streams(seed: int, batch: int = 4) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 * seed + number) for number in range(batch)]


def test_conditions_are_withheld_as_often_as_the_paper_says(make_model):
    draws = make_model().draw(torch.Generator().manual_seed(0), 20_000)
    shares = {
        name: getattr(draws, name).float().mean().item() for name in vars(draws) if name not in ("noise", "timestep")
    }
    assert shares["heightmap_given"] == pytest.approx(0.975, abs=0.005)
    assert shares["target_given"] == pytest.approx(0.975, abs=0.005)
    assert shares["previous_given"] == pytest.approx(0.85, abs=0.01)
    assert shares["previous_clean"] == pytest.approx(0.5, abs=0.015)
    counts = torch.bincount(draws.timestep)
    assert len(counts) == 21
    assert counts.min() > 0.8 * 20_000 / 21


@pytest.mark.parametrize("rotation_type", list(RotationType))
def test_a_training_step_gives_every_parameter_a_finite_gradient(make_model, windows, rotation_type):
    model = make_model(rotation_type)
    draws = model.draw(torch.Generator().manual_seed(0), 8)
    terms = model(windows, draws)
    assert terms.shape == (14,)
    terms.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_parts_of_a_batch_have_the_mean_loss_of_the_whole(make_model, windows):
    model = make_model().eval()
    draws = model.draw(torch.Generator().manual_seed(0), 8)
    whole = model(windows, draws)
    halves = []
    for first in (0, 4):
        cut = slice(first, first + 4)
        part = {
            name: value[cut]
            if isinstance(value, torch.Tensor)
            else type(value)(*(v[cut] for v in vars(value).values()))
            for name, value in vars(windows).items()
        }
        halves.append(model(type(windows)(**part), draws.part(first, first + 4)))
    torch.testing.assert_close((halves[0] + halves[1]) / 2, whole, rtol=1e-4, atol=1e-5)


def test_noise_on_previous_states_reaches_the_denoiser_but_not_the_truth(make_model, windows):
    model = make_model(losses=None)
    with pytest.raises(ValueError, match="no losses"):
        model(windows, model.draw(torch.Generator(), 8))
    model = make_model().eval()
    draws = model.draw(torch.Generator().manual_seed(0), 8)
    clean = dataclasses.replace(windows, previous=None)
    shown = dataclasses.replace(draws, previous_given=torch.ones(8, dtype=torch.bool))
    for used in (True, False):
        shown = dataclasses.replace(shown, previous_clean=torch.full((8,), used))
        assert torch.equal(model(windows, shown), model(clean, shown)) is not used
    seen = []
    handle = model.denoiser.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2].previous_states))
    model(windows, shown)
    model(clean, shown)
    handle.remove()
    difference = (seen[0] - seen[1]).abs()
    assert difference[..., :76].max() > 0.1  # root, joints
    assert difference[..., 76:].max() == 0  # contacts have no noise


def test_a_step_poses_the_true_motion_once_and_the_predicted_one_once(make_model, windows, monkeypatch):
    model, posed = make_model(), []
    original = Character.forward_kinematics

    def counting(self, root_pos, *rotations):
        posed.append(root_pos)
        return original(self, root_pos, *rotations)

    monkeypatch.setattr(Character, "forward_kinematics", counting)
    model(dataclasses.replace(windows, previous=None), model.draw(torch.Generator().manual_seed(0), 8))
    assert [each.requires_grad for each in posed] == [False, True]
    assert posed[0] is windows.frames.root_pos


@pytest.mark.parametrize("rotation_type", list(RotationType))
@pytest.mark.parametrize("steps", [None, [20, 10, 0], [20, 0], list(range(20, -1, -1))])
def test_generated_motions_are_projected_and_the_same_from_the_same_noise(make_model, humanoid, rotation_type, steps):
    model = make_model(rotation_type).eval()
    asked = conditions(features=model.features.num_features)
    first, again, other = (model.generate(asked, streams(seed), ddim_timesteps=steps) for seed in (0, 0, 1))
    assert torch.equal(first.root_pos, again.root_pos)
    assert not torch.equal(first.root_pos, other.root_pos)
    body_pos, _ = humanoid.forward_kinematics(first.root_pos, first.root_rot, first.joint_rot)
    torch.testing.assert_close(first.joint_pos, body_pos[..., 1:, :], atol=1e-4, rtol=1e-4)
    assert first.contacts.min() >= -1e-6
    assert first.contacts.max() <= 1 + 1e-6


@pytest.mark.parametrize("steps", [None, [20, 10, 0]])
@pytest.mark.parametrize("scale", [None, 0.65])
def test_one_motion_of_a_batch_can_be_made_again_alone(make_model, monkeypatch, steps, scale):
    model, asked = make_model().eval(), conditions()
    seen = []
    original = model.denoiser.denoise
    monkeypatch.setattr(model.denoiser, "denoise", lambda noisy, *rest: seen.append(noisy) or original(noisy, *rest))
    together = model.generate(asked, streams(0), steps, scale)
    first_noise = seen[0][:4]
    for number in (0, 3):
        seen.clear()
        only = Conditions(**{name: value[number : number + 1] for name, value in vars(asked).items()})
        alone = model.generate(only, streams(0)[number : number + 1], steps, scale)
        assert torch.equal(
            seen[0][0], first_noise[number]
        )  # the noise is that of the batch to the bit, the rest rounds
        for name, value in vars(alone).items():
            torch.testing.assert_close(value[0], getattr(together, name)[number], rtol=1e-4, atol=1e-4)
    assert (first_noise[0] - first_noise[1]).abs().max() > 1


@pytest.mark.parametrize("count", [3, 5])
def test_as_many_random_streams_as_motions_are_asked_for(make_model, count):
    with pytest.raises(ValueError, match=f"{count} generators for 4 conditions"):
        make_model().generate(conditions(), streams(0, count))


def test_frames_that_are_kept_come_after_the_previous_states(make_model):
    model = make_model()
    with pytest.raises(ValueError, match="kept is 2, expected more than the 2 previous states"):
        model.generate(conditions(), streams(0), kept=2)


def test_generating_leaves_no_gradients_and_does_not_change_the_model(make_model):
    model = make_model().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert not model.generate(conditions(), streams(0), [20, 0]).root_pos.requires_grad
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_guidance_mixes_what_is_said_without_and_with_previous_states(make_model):
    model, asked = make_model().eval(), conditions()

    def generated(asked, scale=None):
        return model.generate(asked, streams(0), [20, 0], guidance_scale=scale).root_pos

    none = torch.zeros(4, dtype=torch.bool)
    without = dataclasses.replace(asked, previous_given=none, previous_clean=none)
    torch.testing.assert_close(generated(asked, 0.0), generated(asked), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(generated(asked, 1.0), generated(without), atol=1e-5, rtol=1e-4)
    assert (generated(asked, 0.5) - generated(asked)).abs().max() > 1e-4


@pytest.mark.parametrize(("scale", "motions"), [(None, 4), (0.0, 4), (0.5, 8), (1.0, 8)])
def test_without_guidance_each_motion_is_denoised_once_a_step(make_model, monkeypatch, scale, motions):
    model, counts = make_model().eval(), []
    denoise = model.denoiser.denoise
    monkeypatch.setattr(
        model.denoiser, "denoise", lambda noisy, *given: counts.append(len(noisy)) or denoise(noisy, *given)
    )
    model.generate(conditions(), streams(0), [20, 10, 0], guidance_scale=scale)
    assert counts == [motions] * 3


@pytest.mark.parametrize("timesteps", [None, [20, 10, 0]])
def test_ground_guidance_moves_what_the_last_denoising_step_predicts(make_model, monkeypatch, timesteps):
    """Once, and joints are where the moved bodies have them."""
    asked = []

    def bent(_, guidance, motion, heightmap, goes_on, kept):
        asked.append((guidance, kept))
        return motion + 0.3

    monkeypatch.setattr(GroundAround, "guided", bent)
    guidance = GroundGuidance(steps=1, share=0.5, smoothing=0, tolerance=0.0, sideways=1.0, reach=0.0)
    model = make_model(diffusion_timesteps=21).eval()
    plain = model.generate(conditions(), streams(0), timesteps)
    moved = model.generate(conditions(), streams(0), timesteps, ground_guidance=guidance, kept=9)
    assert asked == [(guidance, 9)]
    torch.testing.assert_close(moved.root_pos, plain.root_pos + 0.3 * model.std[:, :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved.joint_pos, model.features.posed(moved).joint_pos, atol=1e-5, rtol=0)


def test_a_stride_that_does_not_start_at_the_last_timestep_is_refused(make_model):
    with pytest.raises(UserError, match="expected a decreasing list"):
        make_model().generate(conditions(), streams(0), ddim_timesteps=[18, 9, 0])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"num_heads": 3}, "denoiser.num_heads"),
        ({"d_model": 0}, "denoiser.d_model"),
        ({"d_model": 33, "num_heads": 3}, "denoiser.d_model"),
        ({"dropout": 1.0}, "denoiser.dropout"),
        ({"dropout": -0.1}, "denoiser.dropout"),
        ({"num_layers": 0}, "denoiser.num_layers"),
        ({"diffusion_timesteps": 1}, "diffusion_timesteps"),
        ({"mlp_width": 0}, "denoiser.mlp_width"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused_by_key(make_model, changes, key):
    with pytest.raises(UserError, match=rf"^model\.{re.escape(key)} is"):
        make_model(**changes)


def test_chances_are_chances():
    with pytest.raises(UserError, match=r"model\.conditions\.target_dropped is 2"):
        dataclasses.replace(CHANCES, target_dropped=2.0)
