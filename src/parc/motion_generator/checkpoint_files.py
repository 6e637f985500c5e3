"""The checkpoints in a run's folder: their names, and which one is the furthest."""

import logging
import re
from pathlib import Path

from parc.configuration.errors import UserError
from parc.motion_generator.checkpoint import Checkpoint, read_checkpoint

log = logging.getLogger(__name__)

CHECKPOINT_FOLDER = "checkpoints"
FINAL_CHECKPOINT = "final_model.ckpt"
LATEST_CHECKPOINT = "latest.ckpt"
EPOCH_CHECKPOINT_NAME = re.compile(r"model_epoch_(\d+)\.ckpt")


def epoch_checkpoint(epoch: int) -> str:
    """Return the name of the checkpoint after an epoch."""
    return f"model_epoch_{epoch}.ckpt"


def epoch_of_checkpoint(path: Path) -> int:
    """Return the epoch after which an epoch checkpoint was written, by its name."""
    match = EPOCH_CHECKPOINT_NAME.fullmatch(path.name)
    assert match
    return int(match[1])


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
        if EPOCH_CHECKPOINT_NAME.fullmatch(path.name):
            break
    if found is None and checkpoint_files(folder):
        log.warning("%s: no checkpoint is intact, training starts from scratch", folder)
    return found


def model_file(path: Path) -> Path:
    """Return the file of a model: of a run's folder its furthest whole checkpoint; where it has none, the path itself."""
    newest = newest_checkpoint(path) if path.is_dir() else None
    return path if newest is None else newest[0]


def checkpoint_files(folder: Path) -> list[Path]:
    """Return a run's checkpoints: the final one, the latest, then those of epochs, newest first."""
    rolling = [folder / FINAL_CHECKPOINT, folder / CHECKPOINT_FOLDER / LATEST_CHECKPOINT]
    return [path for path in rolling if path.is_file()] + epoch_checkpoints(folder)


def epoch_checkpoints(folder: Path, last: int | None = None) -> list[Path]:
    """Return a run's epoch checkpoints up to epoch `last` if that is given, newest first."""
    found = (folder / CHECKPOINT_FOLDER).glob("model_epoch_*.ckpt")
    paths = [path for path in found if EPOCH_CHECKPOINT_NAME.fullmatch(path.name)]
    wanted = [path for path in paths if last is None or epoch_of_checkpoint(path) <= last]
    return sorted(wanted, key=epoch_of_checkpoint, reverse=True)
