"""Evaluations beside one another: a panel a metric, with intervals, the training clips and the paper's figures."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from parc.pictures import palette
from parc.pictures.evaluations import Evaluation, Mean
from parc.pictures.figure_files import write_figure
from parc.pictures.paper_figures import BY_GUIDANCE_SCALE, BY_ITERATION, GUIDANCE_SCALES

WIDTH, HEIGHT, DPI = 1920, 1200, 120  # pixels
PANELS = (
    "finished", "fwd", "accepted", "diversity", "tpl", "tcl", "hjf", "fastest_body", "slide", "hovering", "deep",
    "label_precision",
)  # fmt: skip
COLUMNS = 4
ALL = "all"
_MOST_KINDS = 5  # that are told apart
# What spans powers of ten: below this it is shown linearly, since the training clips may have 0.
_LINEAR_BELOW = {"tpl": 1.0, "tcl": 0.1, "hjf": 0.1}
_REFERENCE = "#8A9199"
_PAPER = palette.TEXT


def draw_evaluations(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Draw evaluations as a PNG: over their guidance scales where these differ, else by kind of terrain (or class of clips).

    Args:
        evaluations: at least one.
        path: the picture to write.

    Raises:
        UserError: the picture cannot be written.
    """
    write_figure(evaluations_figure(evaluations), path)


def evaluations_figure(evaluations: Sequence[Evaluation]) -> Figure:
    """Return the figure that `draw_evaluations` writes."""
    panels = [name for name in PANELS if any(name in each.all for each in evaluations)]
    rows = max(1, math.ceil(len(panels) / COLUMNS))
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    all_axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    over_scales = len({each.guidance_scale for each in evaluations if each.is_model}) > 1
    handles: dict[str, Line2D] = {}
    for axes, name in zip(all_axes, panels, strict=False):
        draw = _draw_over_guidance_scales if over_scales else _draw_by_kind
        handles |= {str(line.get_label()): line for line in draw(axes, name, evaluations)}
        handles |= {str(line.get_label()): line for line in _draw_reference(axes, name, evaluations)}
        _dress(axes, name, evaluations)
    for axes in all_axes[len(panels) :]:
        axes.remove()
    legend = figure.legend(
        handles=list(handles.values()),
        loc="outside lower center",
        ncols=min(len(handles), 4),
        fontsize=12,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # names of runs
    return figure


def _draw_by_kind(axes: Axes, name: str, evaluations: Sequence[Evaluation]) -> Iterable[Line2D]:
    """Draw a point with its interval for each evaluation and kind; the paper's iterations as lines."""
    kinds = list(dict.fromkeys(kind for each in evaluations for kind in each.kinds))
    shown = [*kinds, ALL] if 1 < len(kinds) <= _MOST_KINDS else [ALL]
    width = 0.7 / len(evaluations)
    for number, (each, colour) in enumerate(zip(evaluations, _colours(len(evaluations)), strict=True)):
        means = {**each.kinds, ALL: each.all}
        for place, kind in enumerate(shown):
            if mean := means.get(kind, {}).get(name):
                x = place + (number - (len(evaluations) - 1) / 2) * width
                _draw_points(axes, [x], [mean], colour, "o" if kind == ALL else "D")
        yield _entry(each.name, colour)
    if len(shown) > 1:
        axes.axvspan(len(shown) - 1.5, len(shown) - 0.5, color="#F3F5F7", zorder=0)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_xticks(range(len(shown)), shown)
    if name in BY_ITERATION and any(each.is_model for each in evaluations):
        for iteration, value in enumerate(BY_ITERATION[name], start=1):
            axes.axhline(value, color=_PAPER, linestyle=":", linewidth=1.2)
            axes.annotate(
                str(iteration), (1, value), xycoords=("axes fraction", "data"), xytext=(9 * iteration - 6, 0),
                textcoords="offset points", va="center", fontsize=10, color=_PAPER,
            )  # fmt: skip
        yield Line2D([], [], color=_PAPER, linestyle=":", label="the paper's iterations 1 to 4, on its terrains")


def _draw_over_guidance_scales(axes: Axes, name: str, evaluations: Sequence[Evaluation]) -> Iterable[Line2D]:
    """Draw a line for each model over the guidance scales, and the paper's."""
    models: dict[str, list[Evaluation]] = {}
    for each in evaluations:
        if each.is_model and name in each.all:
            models.setdefault(_without_scale(each.name), []).append(each)
    for (model, its), colour in zip(models.items(), _colours(len(models)), strict=True):
        its.sort(key=lambda each: each.guidance_scale or 0.0)
        scales = [each.guidance_scale or 0.0 for each in its]
        _draw_points(axes, scales, [each.all[name] for each in its], colour, "o", joined=True)
        yield _entry(model, colour)
    if name in BY_GUIDANCE_SCALE:
        axes.plot(GUIDANCE_SCALES, BY_GUIDANCE_SCALE[name], color=_PAPER, linestyle=":", marker="x", linewidth=1.4)
        yield Line2D([], [], color=_PAPER, linestyle=":", marker="x", label="the paper's iteration 4, on its terrains")
    axes.set_xlim(-0.05, 1.05)
    axes.set_xlabel("guidance scale", fontsize=11)


def _draw_points(
    axes: Axes, places: Sequence[float], means: Sequence[Mean], colour: str, marker: str, joined: bool = False
) -> None:
    values = np.array([mean.mean for mean in means])
    ends = np.array(
        [(mean.mean if mean.low is None else mean.low, mean.mean if mean.high is None else mean.high) for mean in means]
    )
    reach = np.abs(ends.T - values).clip(min=0)
    axes.errorbar(
        places, values, yerr=reach, color=colour, marker=marker, markersize=7 if marker == "o" else 5, linewidth=1.8,
        linestyle="-" if joined else "none", elinewidth=2.2, capsize=3, markeredgecolor="white", zorder=3,
    )  # fmt: skip


def _draw_reference(axes: Axes, name: str, evaluations: Sequence[Evaluation]) -> Iterable[Line2D]:
    """Draw what the clips that models are compared with have: a line, and a band where there is an interval."""
    found = [each.reference[name] for each in evaluations if each.reference and name in each.reference]
    if found:
        axes.axhline(found[0].mean, color=_REFERENCE, linewidth=2, zorder=1)
        if found[0].low is not None and found[0].high is not None:
            axes.axhspan(found[0].low, found[0].high, color=_REFERENCE, alpha=0.25, linewidth=0, zorder=1)
        yield Line2D([], [], color=_REFERENCE, linewidth=2, label="training clips")


def _dress(axes: Axes, name: str, evaluations: Sequence[Evaluation]) -> None:
    heading = next(each.metrics[name] for each in evaluations if name in each.metrics)
    axes.set_title(f"{heading.label} ({heading.unit})", fontsize=11, weight="bold", loc="left", color=palette.TEXT)
    if name in _LINEAR_BELOW:
        axes.set_yscale("symlog", linthresh=_LINEAR_BELOW[name], linscale=0.4)
        axes.yaxis.set_major_formatter("{x:g}")
    low, high = axes.get_ylim()
    axes.set_ylim(0 if low > 0 or name in _LINEAR_BELOW else low, high)
    if heading.unit == "%" and name not in _LINEAR_BELOW:
        high = 103 if high > 50 else high
        axes.set_ylim(-0.03 * high, high)  # what is at 0 is seen
    axes.tick_params(labelsize=11)
    axes.grid(True, axis="y", color="#DDE1E5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _entry(name: str, colour: str) -> Line2D:
    return Line2D([], [], color=colour, marker="o", markersize=7, linewidth=2, label=name)


def _without_scale(name: str) -> str:
    """Return a name without the part that tells a guidance scale."""
    return ", ".join(part for part in name.split(", ") if not part.startswith("guidance_scale=")) or "the model"


def _colours(count: int) -> list[str]:
    if count <= len(palette.SERIES):
        return list(palette.SERIES[:count])
    return [to_hex(matplotlib.colormaps["viridis"](share)) for share in np.linspace(0, 0.9, count)]
