"""Curves of one or more runs: the training loss, the terms it is made of, and what was measured on held-out clips."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter
from scipy import ndimage

from parc.pictures import palette
from parc.pictures.figure_files import write_figure
from parc.pictures.metrics import RunMetrics
from parc.stages.metrics import HELDOUT_ERROR, TARGET_SENSITIVITY, TERM_PREFIX, TERRAIN_SENSITIVITY, TRAIN_LOSS

WIDTH, DPI = 1920, 120  # pixels
HEIGHT, HEIGHT_OF_A_ROW = 1080, 400  # pixels: a slide, or more for many runs
SMOOTHED_SHARE = 0.02  # of a curve's rows: the width of the window over which its bold line is averaged
LINES = ("-", "--", ":")


def draw_loss_curves(runs: list[RunMetrics], path: Path) -> None:
    """Draw the runs' training losses and what was measured on held-out clips, and beside them each run's terms, over the steps.

    The picture is a PNG of at least 1920 x 1080 pixels.

    Args:
        runs: what `read_run_metrics` gave, at least one.
        path: the picture to write.

    Raises:
        UserError: the picture cannot be written.
    """
    write_figure(loss_curves_figure(runs), path)


def loss_curves_figure(runs: list[RunMetrics]) -> Figure:
    """Return the figure that `draw_loss_curves` writes: the axes of all runs from top to bottom, then those of terms."""
    with_terms = [run for run in runs if run.terms()]
    columns = 1 if len(with_terms) <= 2 else 2 if len(with_terms) <= 6 else 3
    rows = max(1, math.ceil(len(with_terms) / columns))
    height = max(HEIGHT, rows * HEIGHT_OF_A_ROW)
    figure = Figure(
        figsize=(WIDTH / DPI, height / DPI), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.14)
    )
    if with_terms:
        left, right = figure.subfigures(1, 2, width_ratios=(1, 1.2), squeeze=False)[0]
        _draw_runs(left, runs)
        _draw_terms(right, with_terms, rows, columns)
    else:
        _draw_runs(figure, runs)
    return figure


def _draw_runs(figure: Figure | SubFigure, runs: list[RunMetrics]) -> None:
    """Draw a panel for everything that was measured, and a line for each run in it."""
    panels = [panel for panel in _PANELS if any(column in run.values for column in panel.columns for run in runs)]
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=[p.height for p in panels])
    for axes, panel in zip(all_axes[:, 0], panels, strict=True):
        panel.draw(axes, runs)
        if panel is not panels[-1]:
            axes.set_xlabel("")


@dataclass(frozen=True)
class _Panel:
    """Axes that hold one or two columns of all runs.

    Attributes:
        title: above it.
        columns: what is drawn, each with its line and its word in the legend.
        height: against that of other panels.
        is_measured: at checkpoints only, so that values have markers; the first and the last are written out.
    """

    title: str
    columns: dict[str, tuple[Literal["-", "--"], str]]
    height: float
    is_measured: bool

    def draw(self, axes: Axes, runs: list[RunMetrics]) -> None:
        """Draw the runs' columns."""
        several = len(runs) > 1
        for run, colour in zip(runs, _colours(len(runs)), strict=True):
            for number, (column, (line, _)) in enumerate(self.columns.items()):
                if column in run.values:
                    own_colour = colour if several else palette.SERIES[number]
                    if self.is_measured:
                        _draw_measured(axes, run.values[column], own_colour, line, note_ends=not several)
                    else:
                        _draw_curve(axes, run.values[column], own_colour, line)
        _dress(axes, self.title if several else f"{self.title} of {runs[0].name}")
        entries = []
        if several and not self.is_measured:
            entries = [
                Line2D([], [], color=colour, linewidth=2, label=run.name)
                for run, colour in zip(runs, _colours(len(runs)), strict=True)
            ]
        elif len(self.columns) > 1:
            entries = [
                Line2D([], [], color=palette.FAINT_TEXT if several else palette.SERIES[n], linestyle=line, label=word)
                for n, (line, word) in enumerate(self.columns.values())
            ]
        if entries:
            legend = axes.legend(
                handles=entries, fontsize=11, frameon=True, framealpha=0.85, edgecolor="none", handlelength=2.6
            )
            for text in legend.get_texts():
                text.set_parse_math(False)  # names of runs


_PANELS = (
    _Panel("Training loss", {TRAIN_LOSS: ("-", "")}, 1.2, is_measured=False),
    _Panel("Held-out error (m)", {HELDOUT_ERROR: ("-", "")}, 1.0, is_measured=True),
    _Panel(
        "Sensitivity (1 = ignored)",
        {TERRAIN_SENSITIVITY: ("-", "terrain"), TARGET_SENSITIVITY: ("--", "target")},
        0.9,
        is_measured=True,
    ),
)


def _draw_measured(axes: Axes, points: Float[np.ndarray, "2 rows"], colour: str, line: str, note_ends: bool) -> None:
    steps, values = points
    axes.plot(
        steps, values, color=colour, linestyle=line, marker="o", markersize=6, markeredgecolor="white", linewidth=1.8,
        markevery=max(1, len(steps) // 25),
    )  # fmt: skip
    if note_ends:
        axes.margins(x=0.1)
        for place in (0, -1) if len(values) > 1 else (0,):
            axes.annotate(
                f"{values[place]:.3g}",
                (float(steps[place]), float(values[place])),
                textcoords="offset points",
                xytext=(9, 0),
                va="center",
                fontsize=12,
                weight="bold",
                color=colour,
            )


def _draw_terms(figure: SubFigure, runs: list[RunMetrics], rows: int, columns: int) -> None:
    all_axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    terms = list(dict.fromkeys(term for run in runs for term in run.terms()))
    for axes, run in zip(all_axes, runs, strict=False):
        for number, term in enumerate(terms):
            if term in run.values:
                colour = palette.SERIES[number % len(palette.SERIES)]
                line = LINES[number // len(palette.SERIES) % len(LINES)]
                name = term.removeprefix(TERM_PREFIX).replace("_", " ")
                _draw_curve(axes, run.values[term], colour, line, name)
        _dress(axes, f"Terms of {run.name}" if len(runs) > 1 else "Terms of the training loss")
        axes.tick_params(labelbottom=True, labelleft=True)
    for axes in all_axes[len(runs) :]:
        axes.remove()
    # One legend serves all runs: terms have the same lines everywhere.
    entries = {
        label: handle
        for axes in all_axes[: len(runs)]
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        entries.values(), entries.keys(), loc="outside right upper", fontsize=11, frameon=False, handlelength=2.6
    )


def _draw_curve(
    axes: Axes, points: Float[np.ndarray, "2 rows"], colour: str, line: str, label: str | None = None
) -> None:
    steps, values = points
    window = round(SMOOTHED_SHARE * len(values))
    if window < 2:
        axes.plot(steps, values, color=colour, linestyle=line, linewidth=2, label=label)
        return
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.22)
    smooth = ndimage.uniform_filter1d(values, window, mode="nearest")
    axes.plot(steps, smooth, color=colour, linestyle=line, linewidth=2, label=label)


def _dress(axes: Axes, title: str) -> None:
    shown = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    if (shown > 0).any():
        axes.set_yscale("log", nonpositive="mask")
        axes.tick_params(axis="y", which="both", labelsize=11)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(_PlainLogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.4)))
    axes.set_title(title, fontsize=15, weight="bold", loc="left", color=palette.TEXT, parse_math=False)
    axes.margins(y=0.06)
    axes.set_xlabel("training steps", fontsize=12)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="x", labelsize=11)
    axes.grid(True, which="major", color="#DDE1E5", linewidth=0.8)
    axes.grid(True, which="minor", axis="y", color="#EEF0F2", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


class _PlainLogFormatter(LogFormatter):
    """Writes 20 or 0.3 where matplotlib has room for them between decades, and not 2 x 10^1 or 3e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _colours(count: int) -> list[str]:
    """Return a colour for each run: from a scale where there are more of them than distinct colours."""
    if count <= len(palette.SERIES):
        return list(palette.SERIES[:count])
    return [to_hex(matplotlib.colormaps["viridis"](share)) for share in np.linspace(0, 0.9, count)]
