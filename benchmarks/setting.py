"""What is measured: the paper's run on motions that the project makes itself."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from parc.anim.character import Character
from parc.configuration.composed import composed_config
from parc.configuration.composing import conf_folder, run_config
from parc.motion_generator.feature_statistics import compute_statistics
from parc.motion_generator.features import MotionFeatures
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    MDMHeightfieldContactMotionSampler,
    MotionWindows,
)
from parc.stages.randomness import generator_for
from parc.stages.stage import read_run
from parc.stages.stopping import StopRequest
from parc.training.loop import run_loop
from parc.training.ranks import Ranks
from parc.training.settings import TrainSettings
from parc.training.state import TrainingState
from parc.training.train import compute_as_set, initial_state
from parc.training.trainer import Precision

CLIPS = 200


@dataclass(frozen=True)
class Setting:
    """The pieces of the paper's run, ready to be measured.

    Attributes:
        settings: of the run.
        device: where the model is.
        character: of the clips.
        sampler: of `CLIPS` clips.
        state: model and optimiser before the first step.
    """

    settings: TrainSettings
    device: torch.device
    character: Character
    sampler: MDMHeightfieldContactMotionSampler
    state: TrainingState


def settings_of(stage: str, overrides: list[str]) -> Any:
    """Return the settings of a stage's run that overrides choose, of the stage's own type."""
    config, _ = composed_config(stage, overrides, [conf_folder()])
    return read_run(run_config(config)).settings


def paper_settings(folder: Path, *overrides: str) -> TrainSettings:
    """Return the settings of the paper's run on demo motions, with everything it writes below `folder`."""
    given = ["dataset=demo", f"dataset.clips={CLIPS}", f"data_dir={folder}", "logger=off", *overrides]
    return settings_of("train", given)


def paper_sampler() -> MDMHeightfieldContactMotionSampler:
    """Return the paper's sampler, without clips."""
    return paper_settings(Path()).sampler.make()


def draw_windows(sampler: MDMHeightfieldContactMotionSampler, step: int, batch: int) -> MotionWindows:
    """Return the windows of a step, as training draws them with seed 0."""
    return sampler.windows(sampler.draw(generator_for(0, "windows", step), batch))


def paper_setting(folder: Path, device: torch.device, *overrides: str) -> Setting:
    """Make the pieces of the paper's run, or of another one that overrides choose, as `train` does."""
    settings = paper_settings(folder, f"device={device}", *overrides)
    compute_as_set(settings, device)
    character = settings.character.read()
    sampler = settings.sampler.make()
    sampler.prepare(settings.dataset.entries(), settings.dataset.limits, character)
    statistics = compute_statistics(sampler, MotionFeatures(character, settings.model.rotation_type))
    state = initial_state(settings, sampler, character, statistics, None, device)
    return Setting(settings, device, character, sampler, state)


def train_steps(setting: Setting, steps: int, precision: Precision) -> None:
    """Train some steps more by the loop that users run."""
    trainer = replace(
        setting.settings.trainer, epochs=setting.state.step + steps, iters_per_epoch=1, precision=precision
    )
    ranks, seed = Ranks(), setting.settings.seed
    run_loop(
        setting.state,
        trainer,
        setting.sampler,
        None,
        StopRequest(),
        seed=seed,
        ranks=ranks,
        device=setting.device,
    )


class NoDenoiser(nn.Module):
    """A stand-in with a denoiser's weights that computes nothing: what a step takes with it is what all else takes.

    Args:
        denoiser: whose weights it has.
    """

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.gradients = [torch.full_like(weight, 1e-3) for weight in denoiser.parameters()]

    def forward(self, noisy: Tensor, *_: Any) -> Tensor:
        """Return the input, and give every weight the same small gradient on the way back."""
        return _Skipped.apply(noisy, self.gradients, *self.denoiser.parameters())


class _Skipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, noisy: Tensor, gradients: list[Tensor], *weights: Tensor) -> Tensor:
        ctx.gradients = gradients
        return noisy.clone()

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Any, ...]:
        return (None, None, *(gradient.clone() for gradient in ctx.gradients))
