import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from golden_arrays import read_golden
from parc.configuration.errors import UserError
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.mdm_transformer import (
    MDMTransformer,
    heightmap_tokens_along,
    sinusoidal_code,
)
from parc.motion_generator.parc_checkpoint import parameters_from_parc


def transformer(**changes) -> MDMTransformer:
    sizes = {"d_model": 64, "num_heads": 2, "d_hid": 64, "num_layers": 2, "mlp_width": 64, "target_mlp_width": 64}
    fixed = {
        "num_features": 91,
        "num_frames": 15,
        "num_previous": 2,
        "heightmap_shape": (31, 31),
        "diffusion_timesteps": 21,
    }
    return MDMTransformer(**(fixed | {"dropout": 0.1} | sizes | changes))


@pytest.fixture(scope="module")
def golden(golden_folder):
    return read_golden(golden_folder, "denoiser")


@pytest.fixture(scope="module")
def published(golden_folder):
    return load_file(golden_folder / "denoiser_state.safetensors")


@pytest.fixture
def model(published):
    model = transformer()
    model.load_state_dict(parameters_from_parc(published), strict=True)
    return model.eval()


@pytest.fixture
def conditions(golden):
    return Conditions(
        heightmap=golden["obs"][:, 0] * 3,  # golden's are divided already
        target_direction=golden["target"][:, 0],
        previous_states=golden["prev_state"],
        heightmap_given=golden["obs_flag"],
        target_given=golden["target_flag"],
        previous_given=golden["prev_state_flag"],
        previous_clean=golden["noise_ind"],
    )


def test_outputs_are_the_golden_ones(model, golden, conditions):
    ours = model(golden["x"], golden["t"].flatten().long(), conditions)
    torch.testing.assert_close(ours, golden["out"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours, golden["out_nograd"], rtol=1e-5, atol=1e-6)


def test_gradients_of_every_parameter_are_the_golden_ones(model, golden, conditions):
    loss = (model(golden["x"], golden["t"].flatten().long(), conditions) * golden["grad_weight"]).mean()
    assert loss.item() == pytest.approx(golden["grad_loss"].item(), rel=1e-4)
    loss.backward()
    # Each published parameter carries its own number under its name, so that the mapping of names tells them apart.
    norms = parameters_from_parc(dict(zip(golden["param_names"], golden["param_grad_norm"], strict=True)))
    assert set(norms) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad.norm().item() == pytest.approx(norms[name].item(), rel=1e-4), name


def test_tokens_are_the_golden_ones(model, golden, conditions):
    timestep, everyone = golden["t"].flatten().long(), torch.ones(6, dtype=torch.bool)
    # Tokens of withheld conditions are zeros there, and masked in both.
    for ours, theirs, given in [
        (model.embed_heightmap(conditions.heightmap), golden["obs_tokens"], conditions.heightmap_given),
        (model.time_mlp(model.time_code[timestep]), golden["time_token"][:, 0], everyone),
        (model.target_mlp(conditions.target_direction), golden["target_token"][:, 0], conditions.target_given),
        (model.previous_indicator(conditions.previous_clean.long()), golden["noise_ind_token"][:, 0], everyone),
    ]:
        torch.testing.assert_close(ours[given], theirs[given], rtol=1e-5, atol=1e-6)
    assert torch.equal(~model._visible_tokens(conditions), golden["key_padding_mask"])


def test_position_codes_are_the_published_tables(model, published):
    for name, ours in [
        ("_in_pos_encoding.pe", model.position_code),
        ("_embed_t.sequence_pos_encoder.pe", model.time_code),
    ]:
        table = published[name].reshape(-1, 64)[: len(ours)]
        torch.testing.assert_close(ours[: len(table)], table, rtol=1e-5, atol=2e-6)
    assert sinusoidal_code(3, 4)[2].tolist() == pytest.approx([0.9093, -0.4161, 0.02, 0.9998], abs=1e-4)


def test_the_papers_denoiser_has_its_number_of_parameters():
    paper = transformer(d_model=256, num_heads=8, d_hid=256, num_layers=4, mlp_width=256, target_mlp_width=512)
    assert sum(parameter.numel() for parameter in paper.parameters()) == 2_177_307


def test_names_that_are_unknown_are_kept_so_that_a_check_reports_them(published):
    names = parameters_from_parc(published | {"surprise.weight": torch.zeros(1)})
    assert "surprise.weight" in names
    with pytest.raises(RuntimeError, match=r"surprise\.weight"):
        transformer().load_state_dict(names, strict=True)


def test_the_noisy_input_is_not_written_into(model, golden, conditions):
    noisy = golden["x"].clone()
    model(noisy, golden["t"].flatten().long(), conditions)
    assert torch.equal(noisy, golden["x"])


def changed(conditions: Conditions, **changes) -> Conditions:
    given = dict.fromkeys(("heightmap_given", "target_given", "previous_given"), torch.ones(6, dtype=torch.bool))
    return dataclasses.replace(conditions, **(given | changes))


@pytest.mark.parametrize(("flag", "value"), [("heightmap_given", "heightmap"), ("target_given", "target_direction")])
def test_a_withheld_condition_has_no_influence_and_a_given_one_has(model, golden, conditions, flag, value):
    timestep = golden["t"].flatten().long()
    other = {value: getattr(conditions, value) + 1}
    for given in (True, False):
        flags = {flag: torch.full((6,), given)}
        first, second = (
            model(golden["x"], timestep, changed(conditions, **flags)),
            model(golden["x"], timestep, changed(conditions, **flags, **other)),
        )
        assert torch.allclose(first, second, atol=1e-6) is not given


def test_withheld_previous_states_have_no_influence_on_the_frames_to_come(model, golden, conditions):
    """They are masked as keys; their own outputs remain."""
    timestep = golden["t"].flatten().long()
    clean = {"previous_clean": torch.ones(6, dtype=torch.bool)}
    other = clean | {"previous_states": conditions.previous_states + 1}
    for given in (True, False):
        flag = {"previous_given": torch.full((6,), given)}
        first = model(golden["x"], timestep, changed(conditions, **flag, **clean))[:, 2:]
        second = model(golden["x"], timestep, changed(conditions, **flag, **other))[:, 2:]
        assert torch.allclose(first, second, atol=1e-6) is not given


def test_clean_previous_states_replace_the_noisy_ones_only_when_the_indicator_says_so(model, golden, conditions):
    timestep = golden["t"].flatten().long()
    other = golden["x"].clone()
    other[:, :2] += 1
    for clean in (True, False):
        asked = changed(conditions, previous_clean=torch.full((6,), clean))
        same = torch.allclose(model(golden["x"], timestep, asked), model(other, timestep, asked), atol=1e-6)
        assert same is clean


def test_dropout_acts_in_training_only(model, golden, conditions):
    timestep = golden["t"].flatten().long()
    assert torch.equal(model(golden["x"], timestep, conditions), model(golden["x"], timestep, conditions))
    model.train()
    assert not torch.equal(model(golden["x"], timestep, conditions), model(golden["x"], timestep, conditions))


@pytest.mark.parametrize(("points", "tokens"), [(31, 8), (17, 1), (19, 2)])
def test_heightmaps_give_tokens_by_their_points(points, tokens):
    assert heightmap_tokens_along("x", points) == tokens


@pytest.mark.parametrize("points", [1, 15, 16, 18, 30])
def test_heightmaps_that_cannot_be_cut_into_patches_are_refused(points):
    with pytest.raises(UserError, match=rf"{points} points along y, expected 15 plus a positive multiple of 2"):
        heightmap_tokens_along("y", points)


def test_a_heightmap_need_not_be_square(golden, conditions):
    model = transformer(heightmap_shape=(31, 21)).eval()
    narrow = dataclasses.replace(conditions, heightmap=conditions.heightmap[:, :, :21])
    assert model(golden["x"], golden["t"].flatten().long(), narrow).shape == (6, 15, 91)
