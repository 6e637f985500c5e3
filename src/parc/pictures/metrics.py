"""What a run measured, by columns, to be drawn."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from parc.configuration.errors import UserError
from parc.stages.metrics import HELDOUT_ERROR, METRICS_FILE, TERM_PREFIX, TRAIN_LOSS, read_metrics


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
    """Read a run's metrics. Rows that are not whole are named and left out; a step measured again counts once.

    Args:
        run_folder: the folder that holds `metrics.jsonl`.
        name: what the run shall be called.

    Raises:
        UserError: the file is missing, or holds no losses yet.
    """
    path = run_folder / METRICS_FILE
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; expected the metrics of a run")
    rows: dict[float, dict[str, float]] = {}
    for row in read_metrics(path):
        numbers = {name: float(value) for name, value in row.items() if value is not None}
        rows.setdefault(numbers["step"], {}).update(numbers)
    values = _columns([rows[step] for step in sorted(rows)])
    if TRAIN_LOSS not in values and HELDOUT_ERROR not in values:
        raise UserError(
            f"{path}: holds no '{TRAIN_LOSS}' or '{HELDOUT_ERROR}' yet; try again when the run has finished an epoch"
        )
    return RunMetrics(name, values)


def _columns(rows: list[dict[str, float]]) -> dict[str, Float[np.ndarray, "2 rows"]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: np.array([(row["step"], row[name]) for row in rows if name in row], dtype=float).T
        for name in names
        if name != "step"
    }
