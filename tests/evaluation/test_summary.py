"""Means over motions, and bootstrap intervals over paths."""

import numpy as np
import pytest

from parc.evaluation.measured_paths import MeasuredPath
from parc.evaluation.metrics import METRICS
from parc.evaluation.summary import figures_by_kind, figures_of

DRAWS = 4000


def path(number: int, values, kind: str = "flat", **of_path) -> MeasuredPath:
    motions = [{"fwd": value, "slide": value} for value in values]
    return MeasuredPath(kind, number, False, f"{kind}_{number}", motions, {"diversity": None} | of_path, 1.0)


def paths_of(groups: np.ndarray, kind: str = "flat") -> list[MeasuredPath]:
    return [path(number, values.tolist(), kind) for number, values in enumerate(groups)]


def test_means_are_over_motions_that_have_a_value_and_what_none_has_is_left_out():
    figures = figures_of([path(0, [1.0, 2.0, None], diversity=3.0), path(1, [6.0, None, None])], 0, 10)
    assert list(figures) == [name for name in METRICS if name in ("fwd", "slide", "diversity")]
    assert (figures["fwd"].mean, figures["fwd"].count) == (3.0, 3)
    assert (figures["diversity"].mean, figures["diversity"].low, figures["diversity"].count) == (3.0, None, 1)


def test_an_interval_is_that_of_means_over_independent_paths():
    """20 paths of 8 motions that are the same along a path: as wide as for 20 motions, not for 160."""
    of_path = np.random.default_rng(0).normal(5.0, 2.0, (20, 1))
    figure = figures_of(paths_of(of_path.repeat(8, axis=1)), 0, DRAWS)["fwd"]
    error = of_path.std() / np.sqrt(20)
    assert figure.low == pytest.approx(figure.mean - 1.96 * error, abs=0.2 * error)
    assert figure.high == pytest.approx(figure.mean + 1.96 * error, abs=0.2 * error)


def test_kinds_are_drawn_within_themselves():
    """Two kinds that differ, but not within themselves, leave nothing open."""
    paths = paths_of(np.full((6, 2), 1.0), "flat") + paths_of(np.full((6, 2), 9.0), "stairs")
    figure = figures_of(paths, 0, 200)["fwd"]
    assert (figure.low, figure.mean, figure.high) == (5.0, 5.0, 5.0)
    alone = paths_of(np.random.default_rng(1).normal(size=(6, 2)))
    both = figures_by_kind([*alone, *paths[6:]], 3, 200)
    assert list(both) == ["flat", "stairs"] and both["flat"] == figures_of(alone, 3, 200)


def test_intervals_are_seeded_and_all_metrics_are_drawn_with_the_same_paths():
    paths = paths_of(np.random.default_rng(2).normal(size=(9, 4)))
    figures = figures_of(paths, 5, 300)
    assert figures == figures_of(paths, 5, 300)
    assert figures["fwd"] == figures["slide"]
    assert figures["fwd"].low != figures_of(paths, 6, 300)["fwd"].low
