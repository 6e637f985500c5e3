"""What a run says while it trains: a progress bar or lines, and Weights & Biases."""

import logging
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from parc.configuration.messages import duration
from parc.configuration.provenance import sweep_of_this_job
from parc.stages.metrics import HELDOUT_ERROR, TERRAIN_SENSITIVITY, TRAIN_LOSS, Summary

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0
SECONDS_FOR_WANDB = 20  # to begin and to end; less than what ranks wait for each other


class Display:
    """Epoch, loss, speed and time left: a bar on a terminal, plain lines now and then elsewhere and in the log file.

    Args:
        epochs: of the whole run.
        done: epochs done before.
    """

    def __init__(self, epochs: int, done: int) -> None:
        self.epochs = epochs
        self.bar = tqdm(total=epochs, initial=done, unit="epoch", disable=not sys.stderr.isatty(), dynamic_ncols=True)
        self._last_line = 0.0

    def show(self, row: dict[str, Any], seconds_left: float) -> None:
        """Show the row of an epoch; a line at most every few seconds, but for the last epoch and where more was measured."""
        loss = "-" if row[TRAIN_LOSS] is None else f"{row[TRAIN_LOSS]:.2f}"
        self.bar.set_postfix_str(f"loss {loss}, {row['samples_per_second']:.0f} samples/s")
        self.bar.update(row["epoch"] - self.bar.n)
        wanted = HELDOUT_ERROR in row or row["epoch"] == self.epochs
        if wanted or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            # Beside a bar, the line goes to the log file alone.
            level = logging.INFO if self.bar.disable else logging.DEBUG
            log.log(level, epoch_line(row, self.epochs, seconds_left))

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def epoch_line(row: dict[str, Any], epochs: int, seconds_left: float) -> str:
    """Return the line that says how an epoch went."""
    loss = "-" if row[TRAIN_LOSS] is None else f"{row[TRAIN_LOSS]:.3f}"
    heldout = f", held-out error {row[HELDOUT_ERROR]:.3f} m" if HELDOUT_ERROR in row else ""
    return (
        f"epoch {row['epoch']}/{epochs}: loss {loss}{heldout}, "
        f"{row['samples_per_second']:.1f} samples/s, {duration(seconds_left)} left"
    )


def heldout_before_and_after(summary: Summary) -> str:
    """Say what training did to the error on held-out clips; nothing where none was measured."""
    first, last = (numbers.get(HELDOUT_ERROR) for numbers in (summary.earliest, summary.latest))
    if last is None:
        return ""
    before = f"{first:.3f} m before, " if summary.measured_before_training else ""
    sensitivity = summary.latest.get(TERRAIN_SENSITIVITY)
    looks = "" if sensitivity is None else f"; terrain sensitivity {sensitivity:.2f} (1 = ignores the terrain)"
    return f"; held-out error {before}{last:.3f} m after{looks}"


class WandbLogger:
    """Settings of Weights & Biases, and the same rows as in `metrics.jsonl` sent there.

    Args:
        use_wandb: whether anything is sent; off leaves no trace of it.
        project: the project there.
        group: runs shown together; None for those of a sweep, or else of an iteration.
        name: of the run; None for its folder's name in a sweep, or else one that Weights & Biases thinks up.
        mode: online, or offline (kept in the run's folder, no account needed).
    """

    def __init__(
        self, use_wandb: bool, project: str, group: str | None, name: str | None, mode: Literal["online", "offline"]
    ) -> None:
        self.use_wandb, self.project, self.group, self.name = use_wandb, project, group, name
        self.mode: Literal["online", "offline"] = mode
        self.run: Any = None

    def start(
        self, folder: Path, iteration: str, run_id: str | None, config: dict[str, Any], provenance: dict[str, str]
    ) -> str | None:
        """Begin, or go on with, the run of this id; return its id, or None where nothing is sent.

        Args:
            folder: the run's.
            iteration: its name.
            run_id: of the run that is gone on with; None for a new one.
            config: to be shown with the run.
            provenance: likewise.
        """
        if not self.use_wandb:
            return None
        sweep = sweep_of_this_job()
        group, name = self.group or sweep or iteration, self.name or (folder.name if sweep else None)
        run_id = run_id or secrets.token_hex(4)
        try:
            import wandb

            settings = wandb.Settings(silent=True, init_timeout=SECONDS_FOR_WANDB)
            # It would try for ever to hand over the rest to a server that has gone; older versions cannot be told.
            if "finish_timeout" in wandb.Settings.model_fields:
                settings.finish_timeout = SECONDS_FOR_WANDB
            self.run = wandb.init(
                project=self.project, group=group, name=name, id=run_id, resume="allow", dir=folder,
                mode=self.mode, config={**config, "provenance": provenance}, settings=settings,
            )  # fmt: skip
        except Exception as error:  # whatever keeps wandb from starting must not keep the training from it
            log.warning(
                "Weights & Biases cannot be reached (%s); training continues without it", " ".join(str(error).split())
            )
        return run_id

    def add(self, row: dict[str, Any]) -> None:
        """Send the row of an epoch."""
        self._send(lambda: row, row["step"])

    def add_film(self, name: str, path: Path, step: int) -> None:
        """Send a moving picture, a .gif.

        Args:
            name: under which it is shown.
            path: of the picture.
            step: of the training that it shows.
        """

        def video() -> dict[str, Any]:
            import wandb

            return {name: wandb.Video(str(path), format="gif")}

        self._send(video, step)

    def _send(self, values: Callable[[], dict[str, Any]], step: int) -> None:
        if self.run is not None:
            try:
                self.run.log(values(), step=step)
            except Exception as error:
                log.warning(
                    "Weights & Biases is given up (%s); training continues without it", " ".join(str(error).split())
                )
                self.run = None

    def close(self) -> None:
        """End the run there."""
        if self.run is not None:
            try:
                self.run.finish()
            except Exception as error:
                log.warning("Weights & Biases has not got everything (%s)", " ".join(str(error).split()))
