"""Evaluations drawn beside one another."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from parc.configuration.errors import UserError
from parc.picture import draw_picture
from parc.pictures.evaluation_plot import PANELS, evaluations_figure
from parc.pictures.evaluations import as_evaluation, evaluations_in, read_evaluation
from parc.pictures.paper_figures import BY_GUIDANCE_SCALE, BY_ITERATION, GUIDANCE_SCALES

KINDS = ("flat", "stairs")


def content(fwd: float = 1.0, scale: float | None = 0.5, name: str = "demo", **changes) -> dict:
    def figures(more: float) -> dict:
        return {metric: {"mean": fwd + more, "low": fwd + more - 0.25, "high": None} for metric in PANELS}

    values = {
        "name": name,
        "is_model": scale is not None,
        "guidance_scale": scale,
        "kinds": {kind: figures(number) for number, kind in enumerate(KINDS)},
        "all": figures(0.5),
        "reference": {"slide": {"mean": 0.125, "low": 0.1, "high": 0.2}} if scale is not None else None,
        "metrics": {metric: {"label": f"the {metric}", "unit": "m"} for metric in PANELS},
    }
    return values | changes


def write(folder: Path, **values) -> Path:
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps(content(**values)))
    return folder


def axes_of(figure, metric: str) -> Axes:
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left") == f"the {metric} (m)"]
    return axes


def points_of(axes: Axes) -> list[tuple[float, float]]:
    """Return the points with intervals, in the order in which they were drawn."""
    return [
        (float(x), float(y))
        for container in axes.containers
        if isinstance(container, ErrorbarContainer) and container.lines[0] is not None
        for x, y in np.array([np.asarray(values) for values in container.lines[0].get_data()]).T
    ]


def level_lines(axes: Axes, style: str) -> list[float]:
    """Return the heights of the lines from side to side that have a style."""
    ends = [
        np.array([np.asarray(values) for values in line.get_data()]).T
        for line in axes.get_lines()
        if line.get_linestyle() == style
    ]
    return [float(each[0, 1]) for each in ends if len(each) == 2 and each[0, 1] == each[1, 1]]


def legend_of(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_evaluation_has_a_point_for_each_kind_and_all_beside_the_paper_and_the_training_clips():
    figure = evaluations_figure([as_evaluation(content(), "one"), as_evaluation(content(fwd=3.0), "two")])
    axes = axes_of(figure, "fwd")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["flat", "stairs", "all"]
    assert [y for _, y in points_of(axes)] == [1.0, 2.0, 1.5, 3.0, 4.0, 3.5]
    assert [round(x) for x, _ in points_of(axes)] == [0, 1, 2, 0, 1, 2]
    assert level_lines(axes, ":") == list(BY_ITERATION["fwd"])
    slide = axes_of(figure, "slide")
    assert level_lines(slide, "-") == [0.125]
    assert level_lines(slide, ":") == [], "the paper says nothing of slide"
    assert legend_of(figure) == ["one", "two", "the paper's iterations 1 to 4, on its terrains", "training clips"]


def test_an_interval_reaches_from_its_low_to_its_high_end():
    axes = axes_of(evaluations_figure([as_evaluation(content(), "one")]), "fwd")
    container = axes.containers[0]
    assert isinstance(container, ErrorbarContainer)
    (segment,) = container.lines[2][0].get_segments()
    assert segment[:, 1].tolist() == [0.75, 1.0]


def test_where_guidance_scales_differ_a_model_is_a_line_over_them():
    several = [
        as_evaluation(content(fwd=1 + scale, scale=scale), f"demo, guidance_scale={scale}") for scale in (0.8, 0.2)
    ]
    figure = evaluations_figure(several)
    axes = axes_of(figure, "fwd")
    assert points_of(axes) == [(0.2, 1.7), (0.8, 2.3)]
    (paper,) = [line for line in axes.get_lines() if line.get_linestyle() == ":"]
    np.testing.assert_array_equal(paper.get_data(), [GUIDANCE_SCALES, BY_GUIDANCE_SCALE["fwd"]])
    assert legend_of(figure)[0] == "demo"


def test_clips_are_drawn_without_the_paper():
    figure = evaluations_figure([as_evaluation(content(scale=None), "clips")])
    assert legend_of(figure) == ["clips"]


def test_what_nobody_measured_has_no_panel():
    values = content()
    values["all"] = {"fwd": values["all"]["fwd"]}
    assert len(evaluations_figure([as_evaluation(values, "one")]).axes) == 1


def test_folders_of_evaluations_and_of_sweeps_are_drawn(tmp_path):
    first, second = write(tmp_path / "first"), write(tmp_path / "sweep/job", scale=0.2)
    jobs = [
        {"folder": str(second), "overrides": ["of='runs/second'", "rollout.guidance_scale=0.2"]},
        {"folder": str(tmp_path / "sweep/unfinished"), "overrides": ["seed=3"]},
    ]
    (tmp_path / "sweep/sweep.json").write_text(json.dumps(jobs))
    assert evaluations_in(tmp_path / "sweep") == [(second, "runs/second, guidance_scale=0.2")]
    assert draw_picture([first, tmp_path / "sweep"], tmp_path / "both.png").stat().st_size > 10_000


def test_other_folders_beside_evaluations_and_broken_ones_are_one_line(tmp_path):
    first = write(tmp_path / "first")
    (tmp_path / "clips").mkdir()
    with pytest.raises(UserError, match=r"clips: has no evaluation\.json"):
        draw_picture([first, tmp_path / "clips"], tmp_path / "x.png")
    (first / "evaluation.json").write_text('{"name": 3')
    with pytest.raises(UserError, match=r"evaluation\.json: broken"):
        read_evaluation(first)
