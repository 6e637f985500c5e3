"""MDM: the motion diffusion model, its training loss and how it generates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.pieces import Recipe
from parc.motion_generator.denoiser import Conditions, Denoiser
from parc.motion_generator.diffusion import CosineDiffusion, ddim_transitions
from parc.motion_generator.features import FeatureStatistics, Motion, MotionFeatures, PosedMotion, RotationType
from parc.motion_generator.ground_below import GroundBelow
from parc.motion_generator.ground_guidance import GroundAround, GroundGuidance
from parc.motion_generator.local_heightmap import HeightmapGrid
from parc.motion_generator.losses import MotionLosses, TerrainAndTarget
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MotionWindows


@dataclass(frozen=True)
class ConditionChances:
    """How often a condition is dropped in training.

    Attributes:
        heightmap_dropped: chance that the heightmap is dropped.
        target_dropped: chance that the target is dropped.
        previous_dropped: chance that the previous states are dropped.
        previous_clean: chance that the clean previous states replace the noisy ones.
    """

    heightmap_dropped: float
    target_dropped: float
    previous_dropped: float
    previous_clean: float

    def __post_init__(self) -> None:
        for name, chance in vars(self).items():
            if not 0 <= chance <= 1:
                raise UserError(f"model.conditions.{name} is {chance}, expected a chance in 0..1")


@dataclass(frozen=True)
class DiffusionDraws:
    """The random numbers of a training batch; the batch is the first axis of each."""

    timestep: Int[Tensor, " batch"]
    noise: Float[Tensor, "batch frames features"]
    heightmap_given: Bool[Tensor, " batch"]
    target_given: Bool[Tensor, " batch"]
    previous_given: Bool[Tensor, " batch"]
    previous_clean: Bool[Tensor, " batch"]

    def part(self, first: int, last: int) -> "DiffusionDraws":
        """Return the draws of samples `first` to `last` - 1."""
        return self.each(lambda value: value[first:last])

    def each(self, change: Callable[[Tensor], Tensor]) -> "DiffusionDraws":
        """Return these draws with every tensor changed."""
        return DiffusionDraws(*(change(getattr(self, field.name)) for field in fields(self)))

    def to(self, device: torch.device) -> "DiffusionDraws":
        """Return these draws on `device`."""
        return self.each(lambda value: value.to(device, non_blocking=True))


class MDM(nn.Module):
    """A denoiser with its features, diffusion process and training loss.

    Args:
        denoiser: the network.
        diffusion_timesteps: number of diffusion steps.
        rotation_type: how rotations are coded in the features.
        conditions: how often conditions are dropped in training.
        character: whose motions are generated; on the device of the model.
        statistics: of its features.
        num_frames: frames of a window.
        num_previous: frames of it that are previous states.
        heightmap: the points of the local heightmap.
        losses: what a prediction is trained on; None for generating only.
    """

    mean: Tensor
    std: Tensor
    heightmap_corner: Tensor

    def __init__(
        self,
        denoiser: Recipe[Denoiser],
        diffusion_timesteps: int,
        rotation_type: RotationType,
        conditions: ConditionChances,
        *,
        character: Character,
        statistics: FeatureStatistics,
        num_frames: int,
        num_previous: int,
        heightmap: HeightmapGrid,
        losses: MotionLosses | None = None,
    ) -> None:
        super().__init__()
        self.check_settings(diffusion_timesteps)
        self.features = MotionFeatures(character, rotation_type)
        self.chances = conditions
        self.grid = heightmap
        self.surface = surface_points(character).to(character.offsets.device)
        self.losses = losses
        self.num_frames = num_frames
        self.num_previous = num_previous
        self.diffusion = CosineDiffusion(diffusion_timesteps)
        self.denoiser = denoiser.make(
            num_features=self.features.num_features,
            num_frames=num_frames,
            num_previous=num_previous,
            heightmap_shape=heightmap.shape,
            diffusion_timesteps=diffusion_timesteps,
            ground_below=GroundBelow(self.features, statistics, heightmap),
        )
        self.register_buffer("mean", statistics.mean, persistent=False)
        self.register_buffer("std", statistics.std, persistent=False)
        self.register_buffer("heightmap_corner", torch.tensor([heightmap.min_x, heightmap.min_y]), persistent=False)

    @staticmethod
    def check_settings(diffusion_timesteps: int, **_: Any) -> None:
        """Check what can be checked of the settings before there is a character.

        Raises:
            UserError: there are too few diffusion steps.
        """
        if diffusion_timesteps < 2:
            raise UserError(f"model.diffusion_timesteps is {diffusion_timesteps}, expected at least 2")

    @staticmethod
    def check_with_sampler(denoiser: Recipe[Denoiser], heightmap: HeightmapGrid) -> None:
        """Check that a denoiser can take the heightmaps of a sampler.

        Raises:
            UserError: it cannot.
        """
        kind = denoiser.constructor
        assert isinstance(kind, type) and issubclass(kind, Denoiser)
        kind.check_with_heightmap(heightmap.shape)

    @property
    def statistics(self) -> FeatureStatistics:
        """Mean and deviation of the features, on the model's device."""
        return FeatureStatistics(self.mean, self.std)

    def draw(self, generator: torch.Generator, batch: int) -> DiffusionDraws:
        """Draw timesteps, noise and dropped conditions of a training batch."""

        def happens(chance: float) -> Bool[Tensor, " batch"]:
            return torch.rand(batch, generator=generator) < chance

        return DiffusionDraws(
            timestep=torch.randint(0, self.diffusion.timesteps, (batch,), generator=generator),
            noise=torch.randn(batch, self.num_frames, self.features.num_features, generator=generator),
            heightmap_given=~happens(self.chances.heightmap_dropped),
            target_given=~happens(self.chances.target_dropped),
            previous_given=~happens(self.chances.previous_dropped),
            previous_clean=happens(self.chances.previous_clean),
        )

    def forward(self, windows: MotionWindows, draws: DiffusionDraws, autocast: bool = False) -> Float[Tensor, " terms"]:
        """Return the weighted loss terms of a batch; their sum is the loss. See `sample_terms` for the arguments."""
        if self.losses is None:
            raise ValueError("this model was made for generating: it has no losses")
        return self.losses.weighted_means(self.sample_terms(windows, draws, autocast))

    def sample_terms(
        self, windows: MotionWindows, draws: DiffusionDraws, autocast: bool = False
    ) -> dict[str, Float[Tensor, " batch"]]:
        """Return each loss term, unweighted, for every sample.

        All frames are noised and all count, the prediction as it leaves the network.

        Args:
            windows: the clean motions and their conditions.
            draws: the random numbers of the batch.
            autocast: run the denoiser in bfloat16; the losses stay in single precision.
        """
        if self.losses is None:
            raise ValueError("this model was made for generating: it has no losses")
        true = self.features.posed(windows.frames)
        predicted = self.predict(windows, true, draws, autocast)
        return self.losses.per_sample(predicted, true, self.terrain_and_target(windows))

    def predict(
        self, windows: MotionWindows, true: PosedMotion, draws: DiffusionDraws, autocast: bool = False
    ) -> Motion:
        """Add noise to the windows' motions, and return what the denoiser takes them for.

        Args:
            windows: the conditions.
            true: the windows' motions.
            draws: noise, timesteps and withheld conditions.
            autocast: run the denoiser in bfloat16.
        """
        clean = self.statistics.standardise(self.features.encode(true))
        noisy = self.diffusion.add_noise(clean, draws.timestep, draws.noise)
        conditions = Conditions(
            heightmap=windows.heightmap,
            target_direction=windows.target_direction,
            previous_states=self._previous_states(windows, clean),
            heightmap_given=draws.heightmap_given,
            target_given=draws.target_given,
            previous_given=draws.previous_given,
            previous_clean=draws.previous_clean,
        )
        with torch.autocast(clean.device.type, torch.bfloat16, enabled=autocast):
            prediction = self.denoiser(noisy, draws.timestep, conditions)
        return self.features.decode(self.statistics.unstandardise(prediction.float()))

    def terrain_and_target(self, windows: MotionWindows) -> TerrainAndTarget:
        """Return what the losses know of windows beyond their motions."""
        return TerrainAndTarget(
            heightmap=windows.heightmap,
            min_point=self.heightmap_corner,
            spacing=self.grid.spacing,
            target_direction=windows.target_direction,
        )

    def _previous_states(
        self, windows: MotionWindows, clean: Float[Tensor, "batch frames features"]
    ) -> Float[Tensor, "batch previous features"]:
        if windows.previous is None:
            return clean[:, : self.num_previous]
        return self.previous_states(windows.previous)

    def previous_states(self, frames: Frames) -> Float[Tensor, "batch previous features"]:
        """Return previous states (canonical frame) as the denoiser is given them: standardised like a window's first frames."""
        return self.statistics.of_first(self.num_previous).standardise(
            self.features.encode(self.features.posed(frames))
        )

    @torch.no_grad()
    def generate(
        self,
        conditions: Conditions,
        generators: Sequence[torch.Generator],
        ddim_timesteps: list[int] | None = None,
        guidance_scale: float | None = None,
        ground_guidance: GroundGuidance | None = None,
        kept: int | None = None,
        autocast: bool = False,
    ) -> Motion:
        """Generate a window for each of the conditions, starting from noise.

        Each motion has random numbers of its own, so that it can be made again alone: from the same noise, to the bit, and
        equal but for the rounding of sums that the size of a batch puts in another order.

        Args:
            conditions: what the motions are asked for.
            generators: draw the noise, one for each of the conditions, in order.
            ddim_timesteps: a decreasing list of timesteps from T - 1 to 0 to denoise at by DDIM; None for DDPM at all of
                them.
            guidance_scale: s in s x0(previous states dropped) + (1 - s) x0(with clean previous states); None for the
                conditions as they are.
            ground_guidance: moves the motions out of the ground of the conditions, and labelled bodies onto it; None for
                motions as the denoiser makes them.
            kept: how many frames of each motion are of use, the first ones: the ground guides no more than these need. None for
                all of them.
            autocast: run the denoiser in bfloat16.

        Raises:
            UserError: the timesteps are no such list.
            ValueError: there are more or fewer generators than conditions, or no frames after the previous states are kept.
        """
        if len(generators) != len(conditions.heightmap):
            raise ValueError(
                f"{len(generators)} generators for {len(conditions.heightmap)} conditions, expected as many"
            )
        if kept is not None and kept <= self.num_previous:
            raise ValueError(f"kept is {kept}, expected more than the {self.num_previous} previous states")
        timesteps = self.diffusion.timesteps
        every = list(range(timesteps - 1, -1, -1))
        transitions = ddim_transitions(every if ddim_timesteps is None else ddim_timesteps, timesteps)
        noisy = self._noise(generators)
        precision = torch.autocast(noisy.device.type, torch.bfloat16, enabled=autocast)
        with precision:
            heightmap_embedding = self.denoiser.embed_heightmap(conditions.heightmap)
        for timestep, next_timestep in transitions:
            with precision:
                clean = self._predict(noisy, timestep, conditions, heightmap_embedding, guidance_scale).float()
            clean = self._projected(clean)
            if ddim_timesteps is None:
                noisy = self.diffusion.ddpm_step(noisy, clean, timestep, self._noise(generators))
            else:
                noisy = self.diffusion.ddim_step(noisy, clean, timestep, next_timestep)
        if ground_guidance is not None:
            ground = GroundAround(self.features, self.statistics, self.surface, self.grid, self.num_previous)
            # Guidance by the previous states gives them wherever it is asked for.
            goes_on = conditions.previous_clean | (guidance_scale is not None)
            noisy = self._projected(ground.guided(ground_guidance, noisy, conditions.heightmap, goes_on, kept))
        return self.features.decode(self.statistics.unstandardise(noisy))

    def _projected(self, motion: Float[Tensor, "batch frames features"]) -> Float[Tensor, "batch frames features"]:
        return self.statistics.standardise(self.features.project(self.statistics.unstandardise(motion)))

    def _noise(self, generators: Sequence[torch.Generator]) -> Float[Tensor, "batch frames features"]:
        size = self.mean.shape
        return torch.stack([torch.randn(size, generator=generator) for generator in generators]).to(self.mean.device)

    def _predict(
        self,
        noisy: Float[Tensor, "batch frames features"],
        timestep: int,
        conditions: Conditions,
        heightmap_embedding: Float[Tensor, "batch *embedding"],
        guidance_scale: float | None,
    ) -> Float[Tensor, "batch frames features"]:
        steps = torch.full((len(noisy),), timestep, device=noisy.device)
        if guidance_scale is None:
            return self.denoiser.denoise(noisy, steps, conditions, heightmap_embedding)
        if guidance_scale == 0:  # no share of what is predicted without previous states
            given = torch.ones_like(conditions.previous_given)
            with_previous = replace(conditions, previous_given=given, previous_clean=given)
            return self.denoiser.denoise(noisy, steps, with_previous, heightmap_embedding)
        both = self.denoiser.denoise(
            noisy.repeat(2, 1, 1),
            steps.repeat(2),
            _without_and_with_previous(conditions),
            torch.cat([heightmap_embedding] * 2),
        )
        without, with_previous = both.chunk(2)
        return guidance_scale * without + (1 - guidance_scale) * with_previous


def _without_and_with_previous(conditions: Conditions) -> Conditions:
    """Return the conditions twice: with the previous states dropped, and with clean ones given."""
    twice = {field.name: torch.cat([getattr(conditions, field.name)] * 2) for field in fields(conditions)}
    given = torch.ones_like(conditions.previous_given)
    twice["previous_given"] = twice["previous_clean"] = torch.cat([~given, given])
    return Conditions(**twice)
