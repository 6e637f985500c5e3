"""A denoiser of three layers, for tests: all that it takes to try a network of one's own."""

import torch
from torch import nn

from parc.motion_generator.denoiser import MAX_HEIGHT, Denoiser


class Perceptron(Denoiser):
    """A plain network that sees everything at once; what is withheld it sees as zeros.

    Args:
        width: of its hidden layers.
        num_features, num_frames, num_previous, heightmap_shape, diffusion_timesteps: see `Denoiser`.
    """

    def __init__(
        self, width: int, *, num_features, num_frames, num_previous, heightmap_shape, diffusion_timesteps
    ) -> None:
        super().__init__()
        self.timesteps = diffusion_timesteps
        self.heightmap_layer = nn.Linear(heightmap_shape[0] * heightmap_shape[1], width)
        given = num_features * (num_frames + num_previous) + width + 2 + 2
        self.layers = nn.Sequential(
            nn.Linear(given, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, num_features * num_frames)
        )  # fmt: skip

    def embed_heightmap(self, heightmap):
        return self.heightmap_layer(heightmap.flatten(1) / MAX_HEIGHT)

    def denoise(self, noisy, timestep, conditions, heightmap_embedding):
        previous = conditions.previous_states.flatten(1) * conditions.previous_given[:, None]
        terrain = heightmap_embedding * conditions.heightmap_given[:, None]
        target = conditions.target_direction * conditions.target_given[:, None]
        numbers = torch.stack([timestep / self.timesteps, conditions.previous_clean], dim=1)
        return self.layers(torch.cat([noisy.flatten(1), previous, terrain, target, numbers], dim=1)).view(noisy.shape)
