"""From what each motion measured to means with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from parc.evaluation.measured_paths import MeasuredPath
from parc.evaluation.metrics import METRICS, PATH_METRICS
from parc.stages.randomness import seed_of

COVERED = 95.0  # % of the bootstrap's means that an interval holds


@dataclass(frozen=True)
class Figure:
    """A metric of some motions.

    Attributes:
        mean: over the motions (over the paths for what is measured of paths) that have a value.
        low: of the interval of the mean over paths like these; None where one path says nothing of others.
        high: likewise.
        count: how many have a value.
    """

    mean: float
    low: float | None
    high: float | None
    count: int


def figures_by_kind(paths: Sequence[MeasuredPath], seed: int, draws: int) -> dict[str, dict[str, Figure]]:
    """Return the figures of each kind, by the names of kinds and metrics."""
    return {kind: figures_of([path for path in paths if path.kind == kind], seed, draws) for kind in kinds_of(paths)}


def figures_of(paths: Sequence[MeasuredPath], seed: int, draws: int) -> dict[str, Figure]:
    """Return every metric's mean over the motions of some paths, with its interval; metrics that none has are left out.

    Intervals are the middle `COVERED` % of the means over as many paths drawn again, with replacement, within each kind, since
    the motions of one path are alike. All metrics are drawn with the same paths.

    Args:
        paths: what was measured.
        seed: of the drawing.
        draws: how often.
    """
    picks = _picks([path.kind for path in paths], seed, draws)
    figures = {}
    for name in METRICS:
        values = [[path.values] if name in PATH_METRICS else path.motions for path in paths]
        known = [[each[name] for each in its if each.get(name) is not None] for its in values]
        counts = np.array([len(its) for its in known], dtype=float)
        sums = np.array([sum(filter(None, its)) for its in known], dtype=float)
        if counts.sum():
            figures[name] = Figure(sums.sum() / counts.sum(), *_interval(sums, counts, picks), int(counts.sum()))
    return figures


def kinds_of(paths: Sequence[MeasuredPath]) -> list[str]:
    """Return the kinds of some paths, in order."""
    return list(dict.fromkeys(path.kind for path in paths))


def _picks(kinds: list[str], seed: int, draws: int) -> Int[np.ndarray, "draws paths"]:
    """Return paths drawn with replacement, within each kind: a kind has the same ones whatever others there are."""
    chosen = []
    for kind in dict.fromkeys(kinds):
        of_kind = np.flatnonzero([each == kind for each in kinds])
        random = np.random.default_rng(seed_of(seed, f"bootstrap over {kind}", len(of_kind)))
        chosen.append(of_kind[random.integers(len(of_kind), size=(draws, len(of_kind)))])
    return np.concatenate(chosen, axis=1) if chosen else np.zeros((draws, 0), dtype=int)


def _interval(
    sums: Float[np.ndarray, " paths"], counts: Float[np.ndarray, " paths"], picks: Int[np.ndarray, "draws paths"]
) -> tuple[float | None, float | None]:
    if (counts > 0).sum() < 2 or (picks == picks[0]).all():  # one path of each kind: nothing varies
        return None, None
    drawn = counts[picks].sum(1)
    means = sums[picks].sum(1)[drawn > 0] / drawn[drawn > 0]
    low, high = np.percentile(means, [50 - COVERED / 2, 50 + COVERED / 2])
    return float(low), float(high)
