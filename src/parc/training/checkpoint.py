"""Checkpoints: one safetensors file each, whole or absent, checked by a digest, enough by itself."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor
from typing_extensions import TypedDict

from parc.anim.character import Character
from parc.configuration.errors import UserError
from parc.configuration.tensor_files import read_tensors, write_tensors
from parc.motion_generator.features import FeatureStatistics
from parc.motion_generator.parc_checkpoint import parameters_from_parc

log = logging.getLogger(__name__)

CHECKPOINT_FORMAT = "parc checkpoint 1"
CHECKPOINT_FOLDER = "checkpoints"
FINAL_CHECKPOINT = "final_model.ckpt"
LATEST_CHECKPOINT = "latest.ckpt"
_EPOCH_NAME = re.compile(r"model_epoch_(\d+)\.ckpt")
_PARTS = ("model", "ema", "optimizer", "progress")
_TEXTS = TypeAdapter(dict[str, str])


class Counters(TypedDict):
    """Where a training is, as plain numbers and text (see `TrainingState`)."""

    step: int
    epoch: int
    skipped: int
    skipped_in_a_row: int
    best_loss: float | None
    wandb_id: str | None
    continues_average: bool
    epoch_steps: int
    averaged_steps: int


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training, or a trained model.

    Attributes:
        model: weights of the denoiser.
        ema: its averaged weights, the ones to generate with.
        optimizer: the optimiser's numbers, "<weight>/<quantity>".
        progress: sums of the running epoch.
        statistics: of the features.
        config: the run's whole config.
        character: of the motions.
        clips: digest of all that is read of each clip, by name, in order, held-out ones included.
        state: step and other counters.
        provenance: where it was made.
    """

    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    progress: dict[str, Tensor]
    statistics: FeatureStatistics
    config: dict[str, Any]
    character: Character
    clips: dict[str, str]
    state: Counters
    provenance: dict[str, str]


_COUNTERS = TypeAdapter(Counters)


def epoch_checkpoint(epoch: int) -> str:
    """Return the name of the checkpoint after an epoch."""
    return f"model_epoch_{epoch}.ckpt"


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole (see `write_whole`), with the digest of all it holds."""
    tensors = {"statistics.mean": checkpoint.statistics.mean, "statistics.std": checkpoint.statistics.std}
    for part in _PARTS:
        tensors |= {f"{part}.{name}": tensor for name, tensor in getattr(checkpoint, part).items()}
    description = {
        "config": checkpoint.config,
        "character": checkpoint.character.to_dict(),
        "clips": checkpoint.clips,
        "state": checkpoint.state,
        "provenance": checkpoint.provenance,
    }
    write_tensors(path, CHECKPOINT_FORMAT, description, tensors)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check it against its digest. No code from the file is run.

    Raises:
        UserError: the file is missing, no checkpoint of ours, or damaged.
    """
    if not path.is_file():
        raise UserError(f"checkpoint {path}: there is no such file; give a .ckpt of a run")
    description, tensors = read_tensors(path, CHECKPOINT_FORMAT)
    try:
        return _assembled(tensors, description)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: no checkpoint that this version can read ({reason}); use another one") from error


def read_starting_point(
    path: Path,
) -> tuple[dict[str, Tensor], dict[str, Tensor], FeatureStatistics, Checkpoint | None]:
    """Read what a new run starts from: weights, averaged weights, statistics, and the checkpoint where it is ours.

    PARC's own checkpoints are read too, through torch's allow-list (`weights_only`).

    Raises:
        UserError: the file is missing or neither kind of checkpoint.
    """
    if path.is_file() and _begins_like_a_zip_file(path):
        return (*_read_parc_checkpoint(path), None)
    checkpoint = read_checkpoint(path)
    return checkpoint.model, checkpoint.ema, checkpoint.statistics, checkpoint


def _begins_like_a_zip_file(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except OSError as error:
        raise UserError(f"checkpoint {path}: cannot be read ({error.strerror})") from error


def newest_checkpoint(folder: Path) -> tuple[Path, Checkpoint] | None:
    """Return the furthest whole checkpoint of a run; damaged ones are reported and passed over."""
    found = None
    for path in checkpoint_files(folder):
        try:
            checkpoint = read_checkpoint(path)
        except UserError as error:
            log.warning("%s", error)
            continue
        if found is None or checkpoint.state["step"] > found[1].state["step"]:
            found = (path, checkpoint)
        # Epoch checkpoints come newest first: none after the first whole one can be further.
        if _EPOCH_NAME.fullmatch(path.name):
            break
    if found is None and checkpoint_files(folder):
        log.warning("%s: no checkpoint is whole, training begins anew", folder)
    return found


def checkpoint_files(folder: Path) -> list[Path]:
    """Return a run's checkpoints: the final one, the latest, then those of epochs, newest first."""
    rolling = [folder / FINAL_CHECKPOINT, folder / CHECKPOINT_FOLDER / LATEST_CHECKPOINT]
    return [path for path in rolling if path.is_file()] + epoch_checkpoints(folder)


def epoch_checkpoints(folder: Path, last: int | None = None) -> list[Path]:
    """Return a run's epoch checkpoints up to epoch `last` if that is given, newest first."""
    numbered = []
    for path in (folder / CHECKPOINT_FOLDER).glob("model_epoch_*.ckpt"):
        match = _EPOCH_NAME.fullmatch(path.name)
        if match and (last is None or int(match[1]) <= last):
            numbered.append((int(match[1]), path))
    return [path for _, path in sorted(numbered, reverse=True)]


def check_weights_fit(path: Path, weights: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Check names, shapes and types of loaded weights.

    Raises:
        UserError: names the first weight that is missing, unknown, or of another shape or type.
    """
    for name, tensor in expected.items():
        if name not in weights:
            raise UserError(f"checkpoint {path}: weight {name} is missing; was it made with another model?")
        found = weights[name]
        if found.shape != tensor.shape:
            raise UserError(
                f"checkpoint {path}: weight {name} has shape {list(found.shape)}, this model expects {list(tensor.shape)}; "
                "give the model options that it was made with"
            )
        if found.dtype != tensor.dtype:
            raise UserError(f"checkpoint {path}: weight {name} is {found.dtype}, this model expects {tensor.dtype}")
    unknown = [name for name in weights if name not in expected]
    if unknown:
        raise UserError(f"checkpoint {path}: weight {unknown[0]} is unknown; was it made with another model?")


def _assembled(tensors: dict[str, Tensor], description: dict[str, Any]) -> Checkpoint:
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = tensor
    return Checkpoint(
        **parts,
        statistics=FeatureStatistics(tensors["statistics.mean"], tensors["statistics.std"]),
        config=dict(description["config"]),
        character=Character.from_dict(description["character"]),
        clips=_TEXTS.validate_python(description["clips"], strict=True),
        state=_COUNTERS.validate_python(description["state"], strict=True),
        provenance=_TEXTS.validate_python(description["provenance"], strict=True),
    )


def _read_parc_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], FeatureStatistics]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        extra = content["extra"]
        statistics = FeatureStatistics(
            torch.as_tensor(extra["_mdm_features_mean"]).float().cpu(),
            torch.as_tensor(extra["_mdm_features_std"]).float().cpu(),
        )
        weights = [_denoiser_weights(content[name]) for name in ("model", "ema_model")]
    except Exception as error:
        # torch's own errors for broken or forbidden content are of many kinds, their first line says which.
        reason = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())[:160]
        raise UserError(
            f"checkpoint {path}: not one of PARC's that can be read safely ({reason}); expected a dict with 'model', "
            "'ema_model' and 'extra' that holds tensors and plain values only"
        ) from error
    return weights[0], weights[1], statistics


def _denoiser_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return our names for a state dict of PARC's, wherever the denoiser sits in it."""
    marker = "_embed_t.time_embed.0.weight"
    prefix = next(name.removesuffix(marker) for name in state if name.endswith(marker))
    return parameters_from_parc(
        {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    )
