"""Checkpoints: one safetensors file each, whole or absent, checked by a digest, enough by itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor
from typing_extensions import TypedDict

from parc.anim.character import Character
from parc.anim.heldout_clips import HeldoutSplit, split_of_older_run
from parc.configuration.errors import UserError
from parc.configuration.older_configs import up_to_date
from parc.configuration.saved_config import versioned
from parc.configuration.tensor_files import read_tensors, write_tensors
from parc.motion_generator.features import FeatureStatistics
from parc.motion_generator.parc_checkpoint import read_parc_checkpoint

CHECKPOINT_FORMAT = "parc checkpoint 1"
_PARTS = ("model", "ema", "optimizer", "progress")
_TEXTS = TypeAdapter(dict[str, str])
_NAMES = TypeAdapter(dict[str, frozenset[str]])


class Counters(TypedDict):
    """Where a training is, as plain numbers and text."""

    step: int
    epoch: int
    skipped: int
    skipped_in_a_row: int
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
        config: the run's whole config, as this version writes it.
        character: of the motions.
        clips: digest of each clip, by name, in order, held-out ones included (see `digests_of_clips`).
        split: which of them are held out, and what it or earlier iterations trained on.
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
    split: HeldoutSplit
    state: Counters
    provenance: dict[str, str]


_COUNTERS = TypeAdapter(Counters)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole (see `write_whole`), with the digest of all it holds."""
    tensors = {"statistics.mean": checkpoint.statistics.mean, "statistics.std": checkpoint.statistics.std}
    for part in _PARTS:
        tensors |= {f"{part}.{name}": tensor for name, tensor in getattr(checkpoint, part).items()}
    description = {
        "config": versioned(checkpoint.config),
        "character": checkpoint.character.to_dict(),
        "clips": checkpoint.clips,
        "split": {name: sorted(names) for name, names in vars(checkpoint.split).items()},
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
        return _assembled(path, tensors, description)
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
    if is_of_parc(path):
        theirs = read_parc_checkpoint(path)
        return theirs.model, theirs.ema, theirs.statistics, None
    checkpoint = read_checkpoint(path)
    return checkpoint.model, checkpoint.ema, checkpoint.statistics, checkpoint


def is_of_parc(path: Path) -> bool:
    """Say whether a checkpoint is one of PARC's: torch's files are zip files.

    Raises:
        UserError: it cannot be read.
    """
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except OSError as error:
        raise UserError(f"checkpoint {path}: cannot be read ({error.strerror})") from error


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


def _assembled(path: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> Checkpoint:
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = tensor
    return Checkpoint(
        **parts,
        statistics=FeatureStatistics(tensors["statistics.mean"], tensors["statistics.std"]),
        config=up_to_date(dict(description["config"]), str(path)),
        character=Character.from_dict(description["character"]),
        clips=_TEXTS.validate_python(description["clips"], strict=True),
        split=_split(description),
        state=_COUNTERS.validate_python(description["state"], strict=True),
        provenance=_TEXTS.validate_python(description["provenance"], strict=True),
    )


def _split(description: dict[str, Any]) -> HeldoutSplit:
    """Return which clips are held out; checkpoints of older versions do not say so."""
    if "split" in description:
        return HeldoutSplit(**_NAMES.validate_python(description["split"]))
    return split_of_older_run(list(description["clips"]))
