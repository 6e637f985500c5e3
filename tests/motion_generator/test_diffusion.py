import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golden_arrays import read_golden
from parc.configuration.errors import UserError
from parc.motion_generator.diffusion import CosineDiffusion, ddim_transitions, spread_timesteps


@pytest.fixture(scope="module", params=[21, 50])
def case(request, golden_folder):
    arrays, prefix = read_golden(golden_folder, "diffusion"), f"T{request.param}_"
    golden = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    return CosineDiffusion(request.param), golden


def test_the_schedule_is_the_golden_one(case):
    diffusion, golden = case
    for ours, theirs in [
        ("sqrt_alphas_cumprod", "sqrt_alphas_cumprod"),
        ("sqrt_one_minus_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
        ("posterior_mean_of_clean", "posterior_mean_coef1"),
        ("posterior_mean_of_noisy", "posterior_mean_coef2"),
        ("posterior_std", "posterior_std"),
    ]:
        torch.testing.assert_close(getattr(diffusion, ours), golden[theirs], rtol=5e-5, atol=1e-6)


def test_noised_motions_are_the_golden_ones(case):
    diffusion, golden = case
    ours = diffusion.add_noise(golden["x0"], golden["t"].flatten().long(), golden["noise"])
    torch.testing.assert_close(ours, golden["x_t"], rtol=1e-5, atol=2e-6)


def test_ddpm_steps_are_the_golden_ones(case):
    diffusion, golden = case
    for number, timestep in enumerate(golden["ddpm_t"].tolist()):
        ours = diffusion.ddpm_step(golden["step_x_t"], golden["step_pred_x0"], timestep, golden["step_noise"])
        torch.testing.assert_close(ours, golden["ddpm_out"][number], rtol=1e-5, atol=3e-5)


def test_ddim_steps_are_the_golden_ones(case):
    diffusion, golden = case
    for number, (timestep, after) in enumerate(golden["ddim_pairs"].tolist()):
        ours = diffusion.ddim_step(golden["step_x_t"], golden["step_pred_x0"], timestep, after)
        torch.testing.assert_close(ours, golden["ddim_out"][number], rtol=1e-5, atol=3e-5)


def test_at_timestep_zero_both_give_the_prediction(case):
    diffusion, golden = case
    prediction = golden["step_pred_x0"]
    ddpm = diffusion.ddpm_step(golden["step_x_t"], prediction, 0, golden["step_noise"])
    torch.testing.assert_close(ddpm, prediction, rtol=1e-6, atol=1e-6)
    assert torch.equal(diffusion.ddim_step(golden["step_x_t"], prediction, 0, -1), prediction)


def test_strides_that_divide_visit_the_published_timesteps(golden_folder):
    golden = read_golden(golden_folder, "diffusion")
    checked = 0
    for (timesteps, stride), steps in zip(
        golden["schedule_T_stride"].tolist(), golden["schedule_steps"].tolist(), strict=True
    ):
        # Where the stride does not divide, the published one starts too low: the noise is at T - 1.
        if (timesteps - 1) % stride == 0 and timesteps <= 21:
            assert spread_timesteps(timesteps, (timesteps - 1) // stride + 1) == [step for step in steps if step >= 0]
            checked += 1
    assert checked == 4


@given(st.integers(2, 200), st.integers(2, 300))
def test_timesteps_are_evenly_spread_from_the_last_to_zero(timesteps, count):
    steps = spread_timesteps(timesteps, count)
    assert len(steps) == min(count, timesteps)
    transitions = ddim_transitions(steps, timesteps)
    assert transitions[0][0] == timesteps - 1
    assert transitions[-1] == (0, -1)
    strides = [before - after for before, after in transitions[:-1]]
    assert max(strides) - min(strides) <= 1


@pytest.mark.parametrize("steps", [[], [0], [19, 0], [21, 0], [20, 10], [20, 10, 10, 0], [20, 5, 10, 0], [20, 0, -1]])
def test_timesteps_that_do_not_go_down_from_the_last_to_zero_are_refused(steps):
    with pytest.raises(UserError, match="decreasing list from diffusion_timesteps - 1 = 20 to 0"):
        ddim_transitions(steps, 21)


def test_ddim_with_a_perfect_prediction_follows_the_noise_it_began_with(case):
    """DDIM draws nothing: knowing x0, every step is x0 noised by the same noise, whatever the list of timesteps."""
    diffusion, golden = case
    clean, noise = golden["x0"].double(), golden["noise"].double()
    diffusion = CosineDiffusion(diffusion.timesteps).double()
    last = diffusion.timesteps - 1
    for steps in ([last, 7, 3, 0], list(range(last, -1, -1))):
        noisy = diffusion.add_noise(clean, torch.full((8,), last), noise)
        for timestep, after in ddim_transitions(steps, diffusion.timesteps):
            torch.testing.assert_close(noisy, diffusion.add_noise(clean, torch.full((8,), timestep), noise))
            noisy = diffusion.ddim_step(noisy, clean, timestep, after)
        assert torch.equal(noisy, clean)
