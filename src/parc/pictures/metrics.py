"""Reading what a run measured: its `metrics.jsonl`, a row an epoch."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from parc.configuration.errors import UserError

METRICS_FILE = "metrics.jsonl"
TRAIN_LOSS, HELD_OUT_LOSS = "train/loss", "heldout/loss"
TERM_PREFIX = "train/"


@dataclass(frozen=True)
class RunMetrics:
    """What a run measured.

    Attributes:
        name: of the run, for legends.
        values: by the names of the columns, the steps at which each was measured (row 0) and its values (row 1).
    """

    name: str
    values: dict[str, Float[np.ndarray, "2 rows"]]

    def terms(self) -> list[str]:
        """Return the names of the terms of the loss, the largest at the end of the run first."""
        names = [name for name in self.values if name.startswith(TERM_PREFIX) and name != TRAIN_LOSS]
        return sorted(names, key=lambda name: -np.nan_to_num(self.values[name][1, -1], nan=-math.inf))


def read_run_metrics(run_folder: Path, name: str) -> RunMetrics:
    """Read a run's metrics. A last line that was cut off in writing is left out; a step measured again counts once.

    Args:
        run_folder: the folder that holds `metrics.jsonl`.
        name: what the run shall be called.

    Raises:
        UserError: the file is missing, empty or broken; names the line.
    """
    path = run_folder / METRICS_FILE
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected the metrics of a run") from error
    rows: dict[float, dict[str, float]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _checked_row(json.loads(line))
        except ValueError as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise UserError(
                f"{path}: line {number}: {error}; expected a row of numbers by name, 'step' among them"
            ) from error
        rows.setdefault(row["step"], {}).update(row)
    values = _columns([rows[step] for step in sorted(rows)])
    if TRAIN_LOSS not in values and HELD_OUT_LOSS not in values:
        raise UserError(
            f"{path}: holds no '{TRAIN_LOSS}' or '{HELD_OUT_LOSS}' yet; try again when the run has finished an epoch"
        )
    return RunMetrics(name, values)


def _checked_row(content: object) -> dict[str, float]:
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__}")
    numbers = {name: value for name, value in content.items() if value is not None}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name} is {str(value)[:40]!r}")
    if not math.isfinite(numbers.get("step", math.nan)):
        raise ValueError("no step")
    return {name: float(value) for name, value in numbers.items()}


def _columns(rows: list[dict[str, float]]) -> dict[str, Float[np.ndarray, "2 rows"]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: np.array([(row["step"], row[name]) for row in rows if name in row], dtype=float).T
        for name in names
        if name != "step"
    }
