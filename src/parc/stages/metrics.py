"""A run's `metrics.jsonl`: a row at a time, each step once, however often the run was stopped."""

import json
import logging
import math
import os
from pathlib import Path
from typing import TypeAlias

from parc.configuration.files import refuse_lost_folder, unwritable, write_text_whole

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
TRAIN_LOSS = "train/loss"
HELDOUT_PREFIX = "heldout/"
HELDOUT_ERROR = "heldout/body_position"  # metres: what to judge models by while there are no motions out of them
TERRAIN_SENSITIVITY, TARGET_SENSITIVITY = "heldout/terrain_sensitivity", "heldout/target_sensitivity"
TERM_PREFIX = "train/"  # of the terms that the training loss is made of
_JUDGED_BY = {
    HELDOUT_ERROR: "held-out error (m)",
    TERRAIN_SENSITIVITY: "terrain sensitivity",
    TARGET_SENSITIVITY: "target sensitivity",
}
Row: TypeAlias = dict[str, int | float | None]


class Summary:
    """What the rows of a run come to.

    Attributes:
        earliest, latest: the first and the last number so far in each column.
        measured_before_training: whether there is a held-out error of step 0: older versions measured none.
    """

    def __init__(self) -> None:
        self.earliest: dict[str, float] = {}
        self.latest: dict[str, float] = {}
        self.measured_before_training = False

    def count_in(self, row: Row) -> None:
        """Take the next row."""
        self.measured_before_training |= row.get("step") == 0 and row.get(HELDOUT_ERROR) is not None
        for name, number in row.items():
            if number is not None and math.isfinite(number):
                self.earliest.setdefault(name, number)
                self.latest[name] = number

    @property
    def figures(self) -> dict[str, float]:
        """What to judge a training by, as last measured: its error on held-out clips, or else its training loss."""
        names = _JUDGED_BY if HELDOUT_ERROR in self.latest else {TRAIN_LOSS: "training loss"}
        return {label: self.latest[name] for name, label in names.items() if name in self.latest}


class Metrics:
    """The rows of a run.

    Args:
        folder: the run's.
        step: rows after this step, written by a process that got further than its last checkpoint, are taken out.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / METRICS_FILE
        self.summary = Summary()
        self._steps: set[float] = set()
        rows = [row for row in read_metrics(self.path) if _step(row) <= step]
        write_text_whole(self.path, "".join(json.dumps(row) + "\n" for row in rows))
        for row in rows:
            self._count_in(row)

    def add(self, row: Row) -> None:
        """Append the row of a step, unless it is there. It is on the disk before any checkpoint that is further.

        Raises:
            UserError: it cannot be written.
        """
        if _step(row) in self._steps:
            return
        refuse_lost_folder(self.path)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._count_in(row)

    def _count_in(self, row: Row) -> None:
        self._steps.add(_step(row))
        self.summary.count_in(row)


def summary_of(folder: Path) -> Summary:
    """Return what the rows in a run's folder come to."""
    summary = Summary()
    for row in read_metrics(folder / METRICS_FILE):
        summary.count_in(row)
    return summary


def read_metrics(path: Path) -> list[Row]:
    """Return the rows of a `metrics.jsonl`, numbers by name; lines that are cut short or damaged are named and left out."""
    rows = []
    if path.is_file():
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                rows.append(_checked_row(line))
            except (ValueError, RecursionError) as error:
                log.warning("%s: line %d is no whole row and is left out (%s)", path, number, str(error)[:80])
    return rows


def _step(row: Row) -> int | float:
    step = row["step"]
    assert step is not None  # `read_metrics` leaves such rows out
    return step


def _checked_row(line: bytes) -> Row:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("no numbers by name")
    for name, value in row.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ValueError(f"{name} is {str(value)[:40]!r}")
    step = row.get("step")
    if step is None or not math.isfinite(step) or step != int(step):
        raise ValueError("no step")
    return {**row, "step": int(step)}
