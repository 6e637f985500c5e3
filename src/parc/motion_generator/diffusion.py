"""The diffusion process: how motions are noised in training, and how they are denoised step by step."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from parc.anim.dataset import evenly_spread
from parc.configuration.errors import UserError


class CosineDiffusion(nn.Module):
    """The cosine schedule (Nichol and Dhariwal 2021) and the steps of DDPM and DDIM, for a network that predicts x0.

    alphas_cumprod follows cos^2 ((t/T + s) / (1 + s) pi/2), with betas clipped to 1e-4 .. 0.9999.

    Args:
        timesteps: number of diffusion steps T; timesteps count from 0, the least noisy, to T - 1.
        offset: s.
    """

    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor
    posterior_mean_of_clean: Tensor
    posterior_mean_of_noisy: Tensor
    posterior_std: Tensor

    def __init__(self, timesteps: int, offset: float = 0.008) -> None:
        super().__init__()
        self.timesteps = timesteps
        place = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
        signal = torch.cos((place + offset) / (1 + offset) * math.pi / 2).square()
        betas = (1 - signal[1:] / signal[:-1]).clamp(1e-4, 0.9999)
        alphas = 1 - betas
        cumprod = alphas.cumprod(0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), cumprod[:-1]])
        tables = {
            "sqrt_alphas_cumprod": cumprod.sqrt(),
            "sqrt_one_minus_alphas_cumprod": (1 - cumprod).sqrt(),
            # Mean and std of q(x[t-1] | x[t], x0) (Ho et al. 2020, equation 7).
            "posterior_mean_of_clean": betas * before.sqrt() / (1 - cumprod),
            "posterior_mean_of_noisy": alphas.sqrt() * (1 - before) / (1 - cumprod),
            "posterior_std": (betas * (1 - before) / (1 - cumprod)).sqrt(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def add_noise(
        self,
        clean: Float[Tensor, "batch frames features"],
        timestep: Int[Tensor, " batch"],
        noise: Float[Tensor, "batch frames features"],
    ) -> Float[Tensor, "batch frames features"]:
        """Return the motion as it is at a timestep of the forward process."""
        signal = self.sqrt_alphas_cumprod[timestep][:, None, None]
        return signal * clean + self.sqrt_one_minus_alphas_cumprod[timestep][:, None, None] * noise

    def ddpm_step(
        self,
        noisy: Float[Tensor, "batch frames features"],
        clean: Float[Tensor, "batch frames features"],
        timestep: int,
        noise: Float[Tensor, "batch frames features"],
    ) -> Float[Tensor, "batch frames features"]:
        """Draw x[t-1] given x[t] and the predicted x0; at timestep 0 it is the prediction."""
        mean = self.posterior_mean_of_clean[timestep] * clean + self.posterior_mean_of_noisy[timestep] * noisy
        return mean + self.posterior_std[timestep] * noise

    def ddim_step(
        self,
        noisy: Float[Tensor, "batch frames features"],
        clean: Float[Tensor, "batch frames features"],
        timestep: int,
        next_timestep: int,
    ) -> Float[Tensor, "batch frames features"]:
        """Go from one timestep to an earlier one without drawing noise (DDIM, eta 0); -1 stands for the clean motion."""
        if next_timestep < 0:
            return clean
        noise = (noisy - self.sqrt_alphas_cumprod[timestep] * clean) / self.sqrt_one_minus_alphas_cumprod[timestep]
        signal = self.sqrt_alphas_cumprod[next_timestep]
        return signal * clean + self.sqrt_one_minus_alphas_cumprod[next_timestep] * noise


def ddim_transitions(timesteps: list[int], diffusion_timesteps: int) -> list[tuple[int, int]]:
    """Return the (timestep, next timestep) pairs of a DDIM schedule; the last next one is -1, the clean motion.

    Raises:
        UserError: `timesteps` is not a decreasing list from T - 1 down to 0.
    """
    last = diffusion_timesteps - 1
    decreasing = all(later < earlier for earlier, later in pairwise(timesteps))
    if not timesteps or timesteps[0] != last or timesteps[-1] != 0 or not decreasing:
        raise UserError(
            f"ddim_timesteps is {timesteps}, expected a decreasing list from diffusion_timesteps - 1 = {last} to 0"
        )
    return list(pairwise([*timesteps, -1]))


def spread_timesteps(diffusion_timesteps: int, count: int) -> list[int]:
    """Return so many timesteps (at least 2), evenly spread from T - 1 down to 0; all T of them where there are no more."""
    return evenly_spread(range(diffusion_timesteps), count)[::-1]
