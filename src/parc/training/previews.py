"""Moving pictures of what a model does while it trains: at its checkpoints, in the run's folder and in Weights & Biases.

They are drawn from the checkpoints' files, so that training is what it would be without them.
"""

import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from parc.configuration.errors import Interrupted
from parc.motion_generator.checkpoint_files import (
    FINAL_CHECKPOINT,
    epoch_checkpoints,
    epoch_of_checkpoint,
)
from parc.motion_generator.trained_model import TrainedModel, load_trained_model
from parc.stages.stopping import StopRequest
from parc.training.run_log import WandbLogger
from parc.training.trainer import TrainerSettings

log = logging.getLogger(__name__)

PREVIEW_FOLDER = "previews"
PREVIEW_NAME = re.compile(r"epoch_\d{6,}\.gif")


def preview_name(epoch: int) -> str:
    """Return the name of the moving picture after an epoch."""
    return f"epoch_{epoch:06d}.gif"


@runtime_checkable
class Preview(Protocol):
    """What shows how a model does while it trains. One of your own is a class with these methods, and an option that names it.

    What its constructor takes by position or name are its settings. Constructors read no files.
    """

    def is_due(self, number: int, is_last: bool) -> bool:
        """Say whether a checkpoint is to be shown.

        Args:
            number: of the checkpoint, from 1.
            is_last: whether it is that of the finished training.
        """
        ...

    def draw(self, model: TrainedModel, title: str, path: Path) -> None:
        """Draw what a model does as a moving picture, and write it whole.

        Args:
            model: with the averaged weights of the checkpoint, on the device that trains.
            title: of the picture.
            path: of the picture, a .gif.

        Raises:
            UserError: there is nothing to draw, or it cannot be written; training goes on.
        """
        ...


@dataclass(frozen=True)
class NoPreview:
    """No moving pictures."""

    def is_due(self, number: int, is_last: bool) -> bool:
        """No checkpoint is shown."""
        return False

    def draw(self, model: TrainedModel, title: str, path: Path) -> None:
        """Nothing is drawn."""


WITHOUT_PREVIEW = NoPreview()


@dataclass(frozen=True)
class Previews:
    """The previews of a run, each drawn once.

    Attributes:
        preview: draws them.
        trainer: the settings of training.
        folder: the run's.
        logger: that is given them, too.
        stop: signals noted; one ends the drawing at once, and is left for the training to heed.
        device: that trains.
    """

    preview: Preview
    trainer: TrainerSettings
    folder: Path
    logger: WandbLogger
    stop: StopRequest
    device: torch.device

    def draw_newest(self, epoch: int) -> None:
        """Draw the newest epoch checkpoint up to an epoch where it is due: also one whose drawing was cut short."""
        newest = epoch_checkpoints(self.folder, epoch)[:1]
        for path in newest:
            self._draw_if_due(path, epoch_of_checkpoint(path))

    def draw_final(self) -> None:
        """Draw what the finished training came to, unless its last epoch's checkpoint has been drawn."""
        self._draw_if_due(self.folder / FINAL_CHECKPOINT, self.trainer.epochs)

    def _draw_if_due(self, checkpoint: Path, epoch: int) -> None:
        path = self.folder / PREVIEW_FOLDER / preview_name(epoch)
        number = -(-epoch // self.trainer.epochs_per_checkpoint)
        if path.is_file() or not self.preview.is_due(number, epoch == self.trainer.epochs):
            return
        began = time.monotonic()
        try:
            with self.stop.at_once(f"while the preview of epoch {epoch} was drawn"):
                model = load_trained_model(checkpoint, self.device)
                self.preview.draw(model, f"epoch {epoch}", path)
        except Interrupted:
            log.debug("no preview of epoch %d: the run is asked to stop", epoch)
            return
        except Exception as error:  # whatever keeps it from being drawn must not keep the training from going on
            log.warning("no preview of epoch %d (%s); training continues", epoch, " ".join(str(error).split()))
            return
        log.debug("preview: %s, drawn in %.1f s", path, time.monotonic() - began)
        self.logger.add_film("preview", path, epoch * self.trainer.iters_per_epoch)
