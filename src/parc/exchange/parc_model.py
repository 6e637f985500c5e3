"""Trained models out of PARC's checkpoints, and into them."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import torch

from parc.anim.character import Character
from parc.anim.heldout_clips import HeldoutSplit
from parc.anim.mjcf import CharacterFile
from parc.configuration.composing import pieces_of_option
from parc.configuration.errors import UserError
from parc.configuration.marks import with_values
from parc.configuration.provenance import provenance
from parc.configuration.schema import Settings, as_setting
from parc.exchange.parc_config import settings_from_parc, training_config_in_parc_names
from parc.exchange.parc_names import TRAINING
from parc.motion_generator.checkpoint import (
    Checkpoint,
    Counters,
    check_weights_fit,
    is_of_parc,
    read_checkpoint,
    write_checkpoint,
)
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT, newest_checkpoint
from parc.motion_generator.features import STATISTICS_FILE, WINDOW_SETTINGS, FeatureStatistics, MotionFeatures
from parc.motion_generator.mdm import MDM
from parc.motion_generator.mdm_transformer import MDMTransformer
from parc.motion_generator.parc_checkpoint import (
    FEATURES_MEAN,
    FEATURES_STD,
    ParcCheckpoint,
    parameters_to_parc,
    read_parc_checkpoint,
    settings_of_parc_model,
)
from parc.motion_generator.trained_model import recipes_of

_CHARACTER = "humanoid.xml"  # PARC's checkpoints do not hold theirs
_DESCRIBED = ("model.", "sampler.")  # what of a training a model needs to be used
MOST_POINTS = 2**16  # of a local heightmap; the paper's has 961
_AT_THE_START: Counters = {
    "step": 0, "epoch": 0, "skipped": 0, "skipped_in_a_row": 0, "wandb_id": None, "continues_average": True,
    "epoch_steps": 0, "averaged_steps": 0,
}  # fmt: skip


def read_parc_model(path: Path, heads: int | None = None) -> Checkpoint:
    """Read one of PARC's checkpoints as one of ours, trained on no clips and at step 0.

    Sizes are those of the weights. What these do not show is as the checkpoint's own config says, or else as the paper's.

    Args:
        path: of the checkpoint.
        heads: attention heads; None for as many as its config says, or else the paper's 8.

    Raises:
        UserError: it is no checkpoint of PARC's, holds anything but tensors, arrays and plain values, or its parts do not fit
            each other.
    """
    if not path.is_file():
        raise UserError(f"checkpoint {path}: there is no such file; give a .ckpt of PARC's")
    theirs, character = read_parc_checkpoint(path), CharacterFile(_CHARACTER).read()
    config = _config_of(theirs, f"checkpoint {path}", heads)
    expected = dict(_model(config, character, theirs.statistics, f"checkpoint {path}").denoiser.state_dict())
    check_weights_fit(path, theirs.model, expected)
    check_weights_fit(path, theirs.ema, expected)
    return Checkpoint(
        model=theirs.model,
        ema=theirs.ema,
        optimizer={},
        progress={},
        statistics=theirs.statistics,
        config=config,
        character=character,
        clips={},
        split=HeldoutSplit(heldout=frozenset()),
        state=_AT_THE_START,
        provenance={
            **provenance(),
            "converted_from": str(path),
            "converted_from_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        },
    )


def write_model_from_parc(folder: Path, model: Checkpoint) -> list[Path]:
    """Write a model of PARC's into a folder that `model_path=FOLDER` and `iteration.input_model_path=FOLDER/...` take.

    Args:
        folder: where its statistics and its checkpoint go.
        model: as from `read_parc_model`.
    """
    statistics = _write_statistics(folder, model)
    write_checkpoint(folder / FINAL_CHECKPOINT, model)
    return [statistics, folder / FINAL_CHECKPOINT]


def read_model_for_parc(path: Path) -> Checkpoint:
    """Read a trained model of ours that PARC's network can be, the one of the paper in any size.

    Args:
        path: of a checkpoint, or of a run's folder (its furthest whole checkpoint counts).

    Raises:
        UserError: there is no whole checkpoint, or it is of another network.
    """
    newest = newest_checkpoint(path) if path.is_dir() else None
    if path.is_dir() and newest is None:
        raise UserError(f"{path}: there is no whole checkpoint in this folder; expected that of a run, or a .ckpt")
    if is_of_parc(path):
        raise UserError(f"checkpoint {path}: is one of PARC's already; expected one of this project")
    checkpoint = read_checkpoint(path) if newest is None else newest[1]
    network = recipes_of(checkpoint.config, str(path))[0].denoiser.constructor
    if network is not MDMTransformer:
        raise UserError(
            f"{path}: its network is a {network.__name__}, which PARC has none of; expected one of model=mdm, mdm_small, "
            "mdm_wide or mdm_rot6d"
        )
    return checkpoint


def write_model_for_parc(folder: Path, model: Checkpoint) -> list[Path]:
    """Write a trained model as PARC's checkpoint, a file that torch loads with `weights_only`, and its statistics.

    The optimizer is a fresh one: which of its numbers would belong to which weight there is not known here.

    Args:
        folder: where they go.
        model: as from `read_model_for_parc`.
    """
    denoiser = _model(model.config, model.character, model.statistics, "model").denoiser
    assert isinstance(denoiser, MDMTransformer)
    weights, averaged = (
        parameters_to_parc(state, denoiser.time_code, denoiser.position_code) for state in (model.model, model.ema)
    )
    optimizer = torch.optim.AdamW(list(denoiser.parameters()))
    content = {
        "cfg": training_config_in_parc_names(model.config),
        "model": weights,
        "optimizer": optimizer.state_dict(),
        "ema_model": averaged,
        "ema_meta": {},
        "extra": {FEATURES_MEAN: model.statistics.mean, FEATURES_STD: model.statistics.std},
    }
    torch.save(content, folder / FINAL_CHECKPOINT)
    return [_write_statistics(folder, model), folder / FINAL_CHECKPOINT]


def _config_of(theirs: ParcCheckpoint, source: str, heads: int | None) -> Settings:
    """Return the settings of a model of PARC's and of its windows."""
    named = {name: each for name, each in TRAINING.counterparts.items() if each.key.startswith(_DESCRIBED)}
    choices = tuple(each for each in TRAINING.choices if each.key.lstrip("/").startswith(("model.", "sampler/")))
    said = settings_from_parc(theirs.config, f"{source}: cfg", replace(TRAINING, counterparts=named, choices=choices))
    options = [f"{group.lstrip('/')}={option}" for group, option in said.options.items()]
    config = pieces_of_option("train", ["model=mdm", "sampler=heightfield_contact", *options], ["model", "sampler"])
    config = with_values(config, said.values)
    frames, shape = config["sampler"]["num_frames"], list(theirs.statistics.mean.shape)
    if [frames] != shape[:1]:
        raise UserError(
            f"{source}: its windows have {frames} frames, but its statistics have shape {shape} (frames, features)"
        )
    if heads is None:
        heads = int(config["model"]["denoiser"]["num_heads"])
    try:
        config["model"] = settings_of_parc_model(config["model"], theirs.ema, theirs.timesteps, heads)
    except (LookupError, AttributeError) as error:
        raise UserError(f"{source}: weight {error} is missing; expected those of PARC's denoiser") from error
    return config


def _model(config: Settings, character: Character, statistics: FeatureStatistics, source: str) -> MDM:
    """Make the model that a config describes.

    Raises:
        UserError: its parts do not fit each other.
    """
    model, sampler = recipes_of(config, source)
    shape = (sampler.num_frames, MotionFeatures(character, model.rotation_type).num_features)
    for name, values in vars(statistics).items():
        if tuple(values.shape) != shape or not torch.isfinite(values).all():
            raise UserError(
                f"{source}: the features' {name} has shape {list(values.shape)}, expected {list(shape)} (frames, features) of "
                "finite numbers"
            )
    # Whatever is made for so many points takes memory for all of them, and the config may have come from anywhere.
    if math.prod(sampler.heightmap.shape) > MOST_POINTS:
        raise UserError(f"{source}: its heightmap has {sampler.heightmap.shape} points, expected at most {MOST_POINTS}")
    return model.make(
        character=character,
        statistics=statistics,
        num_frames=sampler.num_frames,
        num_previous=sampler.num_previous_states,
        heightmap=sampler.heightmap,
    )


def _write_statistics(folder: Path, model: Checkpoint) -> Path:
    sampler = recipes_of(model.config, str(folder))[1]
    model.statistics.write(
        folder / STATISTICS_FILE, {name: as_setting(getattr(sampler, name)) for name in WINDOW_SETTINGS}
    )
    return folder / STATISTICS_FILE
