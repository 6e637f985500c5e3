"""What a denoiser is: the part of the model that is a network, and that another one can stand in for."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

MAX_HEIGHT = 3.0  # metres that local heights are clamped to, up and down


@dataclass(frozen=True)
class Conditions:
    """What a motion is asked for.

    Attributes:
        heightmap: heights around the character, metres, relative to its root (or floor), clamped to `MAX_HEIGHT`.
        target_direction: unit x, y direction to the target in the canonical frame, or zeros.
        previous_states: standardised features of the first frames, clean.
        heightmap_given, target_given, previous_given: False where that condition is dropped.
        previous_clean: whether the clean previous states replace the noisy ones (the previous-state indicator).
    """

    heightmap: Float[Tensor, "batch rows columns"]
    target_direction: Float[Tensor, "batch 2"]
    previous_states: Float[Tensor, "batch previous features"]
    heightmap_given: Bool[Tensor, " batch"]
    target_given: Bool[Tensor, " batch"]
    previous_given: Bool[Tensor, " batch"]
    previous_clean: Bool[Tensor, " batch"]


def with_clean_previous_states(
    noisy: Float[Tensor, "batch frames features"], conditions: Conditions
) -> Float[Tensor, "batch frames features"]:
    """Return noisy motions whose first frames are the clean previous states where these replace the noisy ones."""
    num_previous = conditions.previous_states.shape[1]
    clean = conditions.previous_clean[:, None, None]
    first = torch.where(clean, conditions.previous_states, noisy[:, :num_previous])
    return torch.cat([first, noisy[:, num_previous:]], dim=1)


class Denoiser(nn.Module, ABC):
    """A network that predicts a clean motion from a noisy one and from what it was asked for.

    `model.denoiser._target_` names a subclass, and the other keys there are what its constructor takes by position or name.
    By keyword only, the constructor takes what it needs of what the network has to fit:

        num_features: numbers a frame.
        num_frames: frames of a window.
        num_previous: frames of it that are previous states, the first ones.
        heightmap_shape: points of the local heightmap along x and y.
        diffusion_timesteps: number of diffusion steps; timesteps are 0 (the least noisy) to this minus 1.
        ground_below: looks up the ground below the bodies of a noisy motion.

    A subclass with a static method `check_settings(**settings)` has its settings checked by it before anything else happens.
    """

    @staticmethod
    def check_with_heightmap(heightmap_shape: tuple[int, int]) -> None:
        """Check that the network can take heightmaps of so many points along x and y; by default it takes any.

        Raises:
            UserError: it cannot.
        """

    def forward(
        self,
        noisy: Float[Tensor, "batch frames features"],
        timestep: Int[Tensor, " batch"],
        conditions: Conditions,
    ) -> Float[Tensor, "batch frames features"]:
        """Predict the clean standardised features of noisy ones at a diffusion timestep."""
        return self.denoise(noisy, timestep, conditions, self.embed_heightmap(conditions.heightmap))

    def embed_heightmap(self, heightmap: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch *embedding"]:
        """Return what the network makes of heightmaps (metres) before it looks at anything else.

        It is worked out once for all steps of denoising. By default it is the heightmaps themselves.
        """
        return heightmap

    @abstractmethod
    def denoise(
        self,
        noisy: Float[Tensor, "batch frames features"],
        timestep: Int[Tensor, " batch"],
        conditions: Conditions,
        heightmap_embedding: Float[Tensor, "batch *embedding"],
    ) -> Float[Tensor, "batch frames features"]:
        """As `forward`, with what `embed_heightmap` returned for the heightmaps of the conditions."""
