"""The fast denoiser sees what it is given, at every frame, and nothing of what is dropped."""

import dataclasses

import pytest
import torch
from torch import nn

from parc.configuration.composing import pieces_of_option
from parc.configuration.errors import UserError
from parc.configuration.pieces import recipe
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.features import FeatureStatistics, MotionFeatures, RotationType
from parc.motion_generator.ground_below import GroundBelow
from parc.motion_generator.local_heightmap import HeightmapGrid
from parc.motion_generator.mdm import MDM
from parc.motion_generator.mdm_fast import MDMFast

GRID = HeightmapGrid(min_x=-1.0, max_x=2.0, min_y=-1.0, max_y=1.0, spacing=0.1)
BATCH, FRAMES, PREVIOUS = 4, 15, 2


@pytest.fixture(scope="module")
def denoiser(humanoid) -> MDMFast:
    """A network whose weights are all drawn: fresh ones add nothing in any layer."""
    torch.manual_seed(0)
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    size = (FRAMES, features.num_features)
    made = MDMFast(
        d_model=32, num_heads=4, num_layers=2, d_hid=48, mlp_width=40, heightmap_width=24, dropout=0.1,
        rough_layers=1,
        num_features=features.num_features, num_frames=FRAMES, num_previous=PREVIOUS, heightmap_shape=GRID.shape,
        diffusion_timesteps=6, ground_below=GroundBelow(features, FeatureStatistics(torch.zeros(size), torch.ones(size)), GRID),
    )  # fmt: skip
    for weight in made.parameters():
        nn.init.normal_(weight, std=0.2)
    return made.eval()


def asked(**changes) -> Conditions:
    generator = torch.Generator().manual_seed(2)
    yes = torch.ones(BATCH, dtype=torch.bool)
    conditions = Conditions(
        heightmap=0.3 * torch.randn(BATCH, *GRID.shape, generator=generator),
        target_direction=nn.functional.normalize(torch.randn(BATCH, 2, generator=generator), dim=-1),
        previous_states=torch.randn(BATCH, PREVIOUS, 91, generator=generator),
        heightmap_given=yes,
        target_given=yes,
        previous_given=yes,
        previous_clean=yes,
    )
    return dataclasses.replace(conditions, **changes)


NO = torch.zeros(BATCH, dtype=torch.bool)
NOISY = torch.randn(BATCH, FRAMES, 91, generator=torch.Generator().manual_seed(3))
TIMESTEP = torch.tensor([0, 1, 3, 5])


def denoised(denoiser, conditions, noisy=NOISY, timestep=TIMESTEP):
    with torch.no_grad():
        return denoiser(noisy, timestep, conditions)


def with_other_first_frames():
    return torch.cat([NOISY[:, :PREVIOUS] + 1, NOISY[:, PREVIOUS:]], dim=1)


def test_every_condition_and_the_timestep_change_every_frame(denoiser):
    own = denoised(denoiser, asked())
    given = asked()
    others = {
        "heightmap": denoised(denoiser, asked(heightmap=given.heightmap.roll(1, 0))),
        "target": denoised(denoiser, asked(target_direction=-given.target_direction)),
        "previous states": denoised(denoiser, asked(previous_states=given.previous_states + 1)),
        "timestep": denoised(denoiser, asked(), timestep=TIMESTEP.flip(0)),
        "no heightmap": denoised(denoiser, asked(heightmap_given=NO)),
        "no target": denoised(denoiser, asked(target_given=NO)),
        "noisy previous states": denoised(denoiser, asked(previous_clean=NO)),
        "hidden previous states": denoised(denoiser, asked(previous_given=NO)),
    }
    for name, other in others.items():
        assert ((own - other).abs().amax(-1) > 1e-4).all(), name


def test_what_is_dropped_changes_nothing(denoiser):
    given = asked()
    changed = {
        "heightmap": (asked(heightmap_given=NO), {"heightmap": given.heightmap + 1}),
        "target": (asked(target_given=NO), {"target_direction": -given.target_direction}),
        "previous states": (asked(previous_given=NO), {"previous_states": given.previous_states + 1}),
        "those where noisy ones are given": (asked(previous_clean=NO), {"previous_states": given.previous_states + 1}),
    }
    for name, (conditions, change) in changed.items():
        other = denoised(denoiser, dataclasses.replace(conditions, **change))
        torch.testing.assert_close(other, denoised(denoiser, conditions), msg=name)


def test_noisy_previous_states_count_only_where_they_are_given_as_they_are(denoiser):
    noisy = with_other_first_frames()
    for conditions in (asked(), asked(previous_given=NO), asked(previous_given=NO, previous_clean=NO)):
        torch.testing.assert_close(denoised(denoiser, conditions, noisy), denoised(denoiser, conditions))
    conditions = asked(previous_clean=NO)
    assert (denoised(denoiser, conditions, noisy) - denoised(denoiser, conditions)).abs().max() > 1e-3


def test_the_ground_below_counts_beside_the_whole_map(denoiser, monkeypatch):
    own = denoised(denoiser, asked())
    monkeypatch.setattr(denoiser, "embed_heightmap", lambda heightmap: torch.zeros(BATCH, FRAMES, 32))
    below_alone = denoised(denoiser, asked())
    assert (own - below_alone).abs().max() > 1e-3, "the whole map"
    raised = denoised(denoiser, asked(heightmap=asked().heightmap + 0.15))
    assert (raised - below_alone).abs().max() > 1e-3, "the ground below"


def test_the_ground_is_looked_at_again_where_the_rough_prediction_has_the_bodies(denoiser, monkeypatch):
    looked = []
    own = denoiser.ground_below.forward
    monkeypatch.setattr(
        denoiser.ground_below, "forward", lambda motion, heightmap: (looked.append(motion), own(motion, heightmap))[1]
    )
    given = asked()
    denoised(denoiser, given)
    first, second = looked
    torch.testing.assert_close(first[:, PREVIOUS:], NOISY[:, PREVIOUS:])
    assert (second[:, PREVIOUS:] - first[:, PREVIOUS:]).abs().min() > 0
    torch.testing.assert_close(second[:, :PREVIOUS], given.previous_states)


def test_one_motion_of_a_batch_is_that_motion_alone(denoiser):
    whole, given = denoised(denoiser, asked()), asked()
    one = Conditions(*(getattr(given, field.name)[2:3] for field in dataclasses.fields(given)))
    torch.testing.assert_close(denoised(denoiser, one, NOISY[2:3], TIMESTEP[2:3]), whole[2:3], atol=1e-5, rtol=1e-4)


def test_a_fresh_network_predicts_the_same_whatever_it_is_asked_for_by_its_layers(humanoid):
    """Zero gates let every layer add nothing at first: what changes comes from the tokens alone."""
    torch.manual_seed(0)
    made = model_of("mdm_fast_small", humanoid).denoiser.eval()
    heightmap = torch.zeros(BATCH, 31, 31)
    given = asked(heightmap=heightmap)
    other = asked(heightmap=heightmap, target_direction=-given.target_direction)
    first = torch.zeros_like(TIMESTEP)
    torch.testing.assert_close(denoised(made, given, timestep=first), denoised(made, other, timestep=first))


def model_of(option: str, humanoid) -> MDM:
    features = MotionFeatures(humanoid, RotationType.DEFAULT)
    size = (FRAMES, features.num_features)
    settings = pieces_of_option("train", [f"model={option}"], ["model"])["model"]
    return recipe(settings, MDM, "model").make(
        character=humanoid,
        statistics=FeatureStatistics(torch.zeros(size), torch.ones(size)),
        num_frames=FRAMES,
        num_previous=PREVIOUS,
        heightmap=HeightmapGrid(-2.0, 4.0, -3.0, 3.0, 0.2),
    )


@pytest.mark.parametrize(("option", "parameters"), [("mdm_fast", 6.2e6), ("mdm_fast_small", 1.4e6)])
def test_the_options_have_the_sizes_that_they_say(humanoid, option, parameters):
    count = sum(weight.numel() for weight in model_of(option, humanoid).denoiser.parameters())
    assert count == pytest.approx(parameters, rel=0.1)


@pytest.mark.parametrize("option", ["mdm_fast", "mdm_fast_small"])
def test_every_parameter_has_a_gradient_after_a_first_step(humanoid, option):
    torch.manual_seed(0)
    made = model_of(option, humanoid).denoiser
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    conditions = asked(
        heightmap=torch.randn(BATCH, 31, 31), previous_given=torch.tensor([False, True, True, True]),
        previous_clean=torch.tensor([False, False, True, True]),
    )  # fmt: skip
    for _ in range(3):  # gates and corrections are 0 at first, and let no gradient through
        optimizer.zero_grad()
        made(NOISY, torch.arange(BATCH) % 3, conditions).square().mean().backward()
        optimizer.step()
    for name, weight in made.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all() and weight.grad.any(), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 3}, "model.denoiser.num_heads is 3, which does not divide"),
        ({"heightmap_width": 0}, "model.denoiser.heightmap_width is 0, expected at least 1"),
        ({"rough_layers": 4}, "model.denoiser.rough_layers is 4, expected 0 to num_layers - 1 = 3"),
        ({"dropout": 1.0}, "model.denoiser.dropout is 1.0, expected a share"),
    ],
)
def test_sizes_that_cannot_be_are_refused_by_key(change, message):
    settings = pieces_of_option("train", ["model=mdm_fast"], ["model"])["model"]
    settings["denoiser"] = {**settings["denoiser"], **change}
    with pytest.raises(UserError, match=message):
        recipe(settings, MDM, "model")
