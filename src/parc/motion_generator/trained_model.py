"""A trained model, loaded for use in one call: all that inference needs, and nothing of training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from parc.anim.character import Character
from parc.anim.mjcf import CharacterFile
from parc.configuration.composing import pieces_of_option
from parc.configuration.errors import UserError
from parc.configuration.pieces import Recipe, recipe
from parc.configuration.schema import Settings
from parc.configuration.trusted import trust
from parc.motion_generator.checkpoint import (
    Checkpoint,
    check_weights_fit,
    is_of_parc,
    read_checkpoint,
)
from parc.motion_generator.checkpoint_files import newest_checkpoint
from parc.motion_generator.features import FeatureStatistics
from parc.motion_generator.local_heightmap import HeightmapGrid
from parc.motion_generator.mdm import MDM
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    MDMHeightfieldContactMotionSampler,
    RelativeZStyle,
    TargetSettings,
)
from parc.motion_generator.parc_checkpoint import read_parc_checkpoint, settings_of_parc_model

PAPER_HEADS = 8


@dataclass(frozen=True)
class TrainedModel:
    """A motion diffusion model with its averaged weights, in evaluation mode, and what its windows are like.

    Attributes:
        path: the checkpoint that it came from.
        mdm: denoiser, diffusion process, features and their statistics; `mdm.generate` makes windows.
        character: whose motions it generates.
        heightmap: the points of the local heightmap that it is given.
        fps: frames a second of a window.
        relative_z_style: what the heights of a window are relative to.
        target: how the direction to a target is told (see `direction_to`).
    """

    path: Path
    mdm: MDM
    character: Character
    heightmap: HeightmapGrid
    fps: float
    relative_z_style: RelativeZStyle
    target: TargetSettings

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        return self.mdm.mean.device

    @property
    def num_frames(self) -> int:
        """Frames of a window."""
        return self.mdm.num_frames

    @property
    def num_previous(self) -> int:
        """Frames of a window that are previous states."""
        return self.mdm.num_previous


def load_trained_model(
    path: Path,
    device: torch.device | str = "cpu",
    *,
    packages: Sequence[str] = (),
    parc_heads: int = PAPER_HEADS,
) -> TrainedModel:
    """Load a trained model. No code from the file is run, and none that it names but this project's and of `packages`.

    Args:
        path: a checkpoint, a run's folder (its furthest whole checkpoint counts), or a checkpoint of PARC's. One of PARC's
            does not say how its windows are made: they are taken to be the paper's.
        device: of the model.
        packages: of denoisers of your own, which the file may name: "perceptron" for `perceptron.Perceptron`.
        parc_heads: attention heads of a checkpoint of PARC's, which its weights do not show.

    Raises:
        UserError: there is no checkpoint, it is damaged, or its weights do not fit its own config.
    """
    trust(packages)
    if path.is_dir():
        newest = newest_checkpoint(path)
        if newest is None:
            raise UserError(f"{path}: there is no whole checkpoint in this folder; expected that of a run, or a .ckpt")
        return _from_ours(*newest, torch.device(device))
    if is_of_parc(path):
        return _from_parc(path, torch.device(device), parc_heads)
    return _from_ours(path, read_checkpoint(path), torch.device(device))


def _from_ours(path: Path, checkpoint: Checkpoint, device: torch.device) -> TrainedModel:
    model, sampler = recipes_of(checkpoint.config, str(path))
    return _assembled(path, model, sampler, checkpoint.character, checkpoint.statistics, checkpoint.ema, device)


def _from_parc(path: Path, device: torch.device, heads: int) -> TrainedModel:
    theirs = read_parc_checkpoint(path)
    character = CharacterFile("humanoid.xml").read()
    config = pieces_of_option("train", ["model=mdm", "sampler=heightfield_contact"], ["model", "sampler"])
    config["model"] = settings_of_parc_model(config["model"], theirs.ema, theirs.timesteps, heads)
    model, sampler = recipes_of(config, str(path))
    return _assembled(path, model, sampler, character, theirs.statistics, theirs.ema, device)


def recipes_of(config: Settings, source: str) -> tuple[Recipe[MDM], Recipe[MDMHeightfieldContactMotionSampler]]:
    """Return the model and the sampler of windows that a config describes.

    Args:
        config: of a training run.
        source: where it was kept, for messages.

    Raises:
        UserError: it describes none.
    """
    found = []
    for name, kind in (("model", MDM), ("sampler", MDMHeightfieldContactMotionSampler)):
        settings = config.get(name)
        if not isinstance(settings, dict):
            raise UserError(f"{source}: its config has no {name}; expected that of a training run")
        found.append(recipe(settings, kind, f"{source}: {name}"))
    return found[0], found[1]


def _assembled(
    path: Path,
    model: Recipe[MDM],
    sampler: Recipe[MDMHeightfieldContactMotionSampler],
    character: Character,
    statistics: FeatureStatistics,
    weights: dict[str, Tensor],
    device: torch.device,
) -> TrainedModel:
    character = character.to(device)
    mdm = model.make(
        character=character,
        statistics=statistics,
        num_frames=sampler.num_frames,
        num_previous=sampler.num_previous_states,
        heightmap=sampler.heightmap,
    )
    check_weights_fit(path, weights, dict(mdm.denoiser.state_dict()))
    mdm.denoiser.load_state_dict(weights)
    mdm.requires_grad_(False)
    return TrainedModel(
        path,
        mdm.to(device).eval(),
        character,
        sampler.heightmap,
        sampler.fps,
        sampler.relative_z_style,
        sampler.target,
    )
