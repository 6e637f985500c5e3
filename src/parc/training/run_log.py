"""What a run says while it trains: metrics.jsonl, a log file, a progress bar, and Weights & Biases."""

import json
import logging
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from parc.configuration.files import unwritable, write_text_whole
from parc.pictures.metrics import METRICS_FILE

log = logging.getLogger(__name__)

LOG_FILE = "train.log"
SECONDS_BETWEEN_LINES = 10.0
SECONDS_FOR_WANDB = 20  # to begin and to end; less than what ranks wait for each other


class Metrics:
    """The run's `metrics.jsonl`: a row an epoch, each epoch once, however often the run was stopped.

    Args:
        folder: the run's.
        step: rows after this step, written by a process that got further than its last checkpoint, are taken out.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / METRICS_FILE
        rows = [row for row in read_metrics(self.path) if row["step"] <= step]
        write_text_whole(self.path, "".join(json.dumps(row) + "\n" for row in rows))
        self.written = {row["epoch"] for row in rows}

    def add(self, row: dict[str, Any]) -> None:
        """Append the row of an epoch, unless it is there. It is on the disk before any checkpoint that is further.

        Raises:
            UserError: it cannot be written.
        """
        if row["epoch"] in self.written:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.written.add(row["epoch"])


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a `metrics.jsonl`; lines that were cut short or are damaged are left out."""
    rows = []
    if path.is_file():
        for line in path.read_bytes().splitlines():
            try:
                row = json.loads(line)
                rows.append({**row, "step": int(row["step"]), "epoch": int(row["epoch"])})
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                log.warning("%s: a row is not whole and is left out", path)
    return rows


class LogFile(logging.FileHandler):
    """The run's `train.log`. A disk that is full is reported by what matters more than this file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / LOG_FILE, delay=True)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Leave the line out."""


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
        loss = "-" if row["train/loss"] is None else f"{row['train/loss']:.2f}"
        self.bar.set_postfix_str(f"loss {loss}, {row['samples_per_second']:.0f} samples/s")
        self.bar.update(row["epoch"] - self.bar.n)
        wanted = "heldout/loss" in row or row["epoch"] == self.epochs
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
    loss = "-" if row["train/loss"] is None else f"{row['train/loss']:.3f}"
    heldout = f", held-out loss {row['heldout/loss']:.3f}" if "heldout/loss" in row else ""
    return (
        f"epoch {row['epoch']}/{epochs}: loss {loss}{heldout}, "
        f"{row['samples_per_second']:.1f} samples/s, {duration(seconds_left)} left"
    )


def heldout_before_and_after(rows: list[dict[str, Any]]) -> str:
    """Say what training did to the held-out loss; nothing where none was measured."""
    losses = [row["heldout/loss"] for row in rows if "heldout/loss" in row]
    return f"; held-out loss {losses[0]:.2f} before, {losses[-1]:.2f} after" if len(losses) > 1 else ""


def duration(seconds: float) -> str:
    """Return a length of time as people say it: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class WandbLogger:
    """Settings of Weights & Biases, and the same rows as in `metrics.jsonl` sent there.

    Args:
        use_wandb: whether anything is sent; off leaves no trace of it.
        project: the project there.
        group: runs shown together: an iteration or a sweep.
        name: of the run.
        mode: online, or offline (kept in the run's folder, no account needed).
    """

    def __init__(
        self, use_wandb: bool, project: str, group: str | None, name: str | None, mode: Literal["online", "offline"]
    ) -> None:
        self.use_wandb, self.project, self.group, self.name = use_wandb, project, group, name
        self.mode: Literal["online", "offline"] = mode
        self.run: Any = None

    def start(self, folder: Path, run_id: str | None, config: dict[str, Any], provenance: dict[str, str]) -> str | None:
        """Begin, or go on with, the run of this id; return its id, or None where nothing is sent."""
        if not self.use_wandb:
            return None
        run_id = run_id or secrets.token_hex(4)
        try:
            import wandb

            settings = wandb.Settings(silent=True, init_timeout=SECONDS_FOR_WANDB)
            # It would try for ever to hand over the rest to a server that has gone; older versions cannot be told.
            if "finish_timeout" in wandb.Settings.model_fields:
                settings.finish_timeout = SECONDS_FOR_WANDB
            self.run = wandb.init(
                project=self.project, group=self.group, name=self.name, id=run_id, resume="allow", dir=folder,
                mode=self.mode, config={**config, "provenance": provenance}, settings=settings,
            )  # fmt: skip
        except Exception as error:  # whatever keeps wandb from starting must not keep the training from it
            log.warning(
                "Weights & Biases cannot be reached (%s); training goes on without it", " ".join(str(error).split())
            )
        return run_id

    def add(self, row: dict[str, Any]) -> None:
        """Send the row of an epoch."""
        if self.run is not None:
            try:
                self.run.log(row, step=row["step"])
            except Exception as error:
                log.warning(
                    "Weights & Biases is given up (%s); training goes on without it", " ".join(str(error).split())
                )
                self.run = None

    def close(self) -> None:
        """End the run there."""
        if self.run is not None:
            try:
                self.run.finish()
            except Exception as error:
                log.warning("Weights & Biases has not got everything (%s)", " ".join(str(error).split()))
