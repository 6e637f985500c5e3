"""Reading metrics, and the curves drawn from them."""

import json
import math
import struct
import warnings

import numpy as np
import pytest

from parc.configuration.errors import UserError
from parc.pictures.loss_curves import draw_loss_curves, loss_curves_figure
from parc.pictures.metrics import read_run_metrics
from parc.stages.metrics import HELDOUT_ERROR, TRAIN_LOSS

TERMS = ("root_position", "contacts")


def row(epoch: int, **more) -> dict:
    loss = 100 * math.exp(-epoch / 20)
    return {
        "step": 50 * epoch,
        "epoch": epoch,
        "train/loss": loss,
        "train/root_position": 0.2 * loss,
        "train/contacts": 0.8 * loss,
        "grad_norm": 1.0,
        "learning_rate": 1e-4,
        "samples_per_second": 300.0,
        **more,
    }


def heldout(epoch: int) -> dict:
    return {
        "heldout/body_position": 1 / epoch,
        "heldout/terrain_sensitivity": 1.0,
        "heldout/target_sensitivity": 1 + epoch / 10,
        "heldout/timestep_2/body_position": 0.5 / epoch,
    }


def write_run(folder, rows, tail=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rows) + tail)
    return folder


@pytest.fixture
def run(tmp_path):
    rows = [row(epoch, **(heldout(epoch) if epoch % 5 == 0 else {})) for epoch in range(1, 21)]
    return write_run(tmp_path / "run", rows)


def test_metrics_are_read_by_column_with_the_steps_they_were_measured_at(run):
    metrics = read_run_metrics(run, "run")
    np.testing.assert_array_equal(metrics.values[TRAIN_LOSS][0], 50 * np.arange(1, 21))
    np.testing.assert_allclose(metrics.values[TRAIN_LOSS][1], 100 * np.exp(-np.arange(1, 21) / 20))
    np.testing.assert_array_equal(metrics.values[HELDOUT_ERROR][0], [250, 500, 750, 1000])
    assert metrics.terms() == ["train/contacts", "train/root_position"]


@pytest.mark.parametrize("tail", ['{"step": 1050, "trai', '{"step": 1050', "{"])
def test_a_last_line_cut_off_by_a_killed_run_is_left_out(run, tail):
    with (run / "metrics.jsonl").open("a") as file:
        file.write(tail)
    assert read_run_metrics(run, "run").values[TRAIN_LOSS].shape == (2, 20)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{broken", "line 2"),
        ("[1, 2]", "line 2 is no whole row and is left out (no numbers by name)"),
        ('{"epoch": 3}', "line 2 is no whole row and is left out (no step)"),
        ('{"step": 100, "train/loss": "high"}', "line 2 is no whole row and is left out (train/loss is 'high')"),
        ('{"step": NaN}', "line 2 is no whole row and is left out (no step)"),
    ],
)
def test_other_broken_lines_are_named_and_left_out(tmp_path, line, said, caplog):
    run = write_run(tmp_path / "run", [row(1)], tail=f"{line}\n{json.dumps(row(3))}\n")
    np.testing.assert_array_equal(read_run_metrics(run, "run").values[TRAIN_LOSS][0], [50, 150])
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{run}/metrics.jsonl: ") and said in record.getMessage()


@pytest.mark.parametrize("text", ["", "\n", '{"step": 5, "grad_norm": 2.0}\n', '{"step": 5, "train/loss": null}\n'])
def test_a_run_without_a_loss_yet_is_one_line(tmp_path, text):
    run = write_run(tmp_path / "run", [], tail=text)
    with pytest.raises(UserError, match="holds no 'train/loss'"):
        read_run_metrics(run, "run")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.jsonl: there is no such file"):
        read_run_metrics(tmp_path, "run")


def test_a_step_measured_again_counts_once_and_the_later_row_counts(tmp_path):
    again = row(2) | {"train/loss": 7.0}
    run = write_run(tmp_path / "run", [row(1), row(2), row(3), again, {"step": 150, "heldout/body_position": 5.0}])
    values = read_run_metrics(run, "run").values
    np.testing.assert_array_equal(values[TRAIN_LOSS][0], [50, 100, 150])
    assert values[TRAIN_LOSS][1, 1] == 7.0
    np.testing.assert_array_equal(values[HELDOUT_ERROR], [[150], [5.0]])


def test_one_run_shows_its_losses_on_a_log_axis_beside_its_terms(run):
    figure = loss_curves_figure([read_run_metrics(run, "run")])
    losses, errors, sensitivities, terms = figure.axes
    assert losses.get_yscale() == terms.get_yscale() == "log"
    (training,) = losses.get_lines()
    np.testing.assert_allclose(training.get_ydata(), 100 * np.exp(-np.arange(1, 21) / 20))
    (held_out,) = errors.get_lines()
    np.testing.assert_array_equal(held_out.get_xdata(), [250, 500, 750, 1000])
    np.testing.assert_allclose(held_out.get_ydata(), [0.2, 0.1, 1 / 15, 0.05])
    assert [text.get_text() for text in errors.texts] == ["0.2", "0.05"]
    terrain, target = sensitivities.get_lines()
    np.testing.assert_allclose(terrain.get_ydata(), np.ones(4))
    np.testing.assert_allclose(target.get_ydata(), [1.5, 2.0, 2.5, 3.0])
    assert losses.get_title(loc="left") == "Training loss of run"
    assert [text.get_text() for text in sensitivities.get_legend().get_texts()] == ["terrain", "target"]
    assert {line.get_label() for line in terms.get_lines()} == {"contacts", "root position"}


def test_several_runs_share_the_losses_and_have_terms_of_their_own(run, tmp_path):
    other = write_run(tmp_path / "other", [row(epoch, **{"train/root_position": 0.0}) for epoch in range(1, 9)])
    figure = loss_curves_figure([read_run_metrics(run, "run"), read_run_metrics(other, "other")])
    losses, errors, sensitivities, *terms = figure.axes
    assert [axes.get_title(loc="left") for axes in terms] == ["Terms of run", "Terms of other"]
    names = [text.get_text() for text in losses.get_legend().get_texts()]
    assert names == ["run", "other"] and len(errors.get_lines()) == 1 and len(sensitivities.get_lines()) == 2
    assert len({line.get_color() for line in losses.get_lines()}) == 2
    # A term has the same line in every run.
    colours = [{line.get_label(): line.get_color() for line in axes.get_lines()} for axes in terms]
    assert colours[0] == colours[1]


def test_many_runs_have_colours_of_their_own(tmp_path):
    runs = [read_run_metrics(write_run(tmp_path / str(n), [row(1), row(2)]), f"run {n}") for n in range(12)]
    figure = loss_curves_figure(runs)
    assert len(figure.axes) == 13
    assert len({line.get_color() for line in figure.axes[0].get_lines()}) == 12


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_losses_that_no_log_axis_can_show_do_not_stop_the_picture(tmp_path, value):
    rows = [row(1), row(2) | {"train/loss": value, "train/contacts": value}, row(3)]
    path = tmp_path / "curves.png"
    draw_loss_curves([read_run_metrics(write_run(tmp_path / "run", rows), "run")], path)
    assert path.stat().st_size > 10_000


def test_loss_curves_are_a_png_the_size_of_a_slide(run, tmp_path):
    draw_loss_curves([read_run_metrics(run, "run")], tmp_path / "curves.png")
    head = (tmp_path / "curves.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", head[16:24]) == (1920, 1080)


def test_runs_may_have_any_name(run, tmp_path):
    names = (r"$\frac$", "_hidden", "a\nb", "größer 日本")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # letters that no font has are shown as boxes
        draw_loss_curves([read_run_metrics(run, name) for name in names], tmp_path / "curves.png")
    figure = loss_curves_figure([read_run_metrics(run, name) for name in names])
    legends = [legend for axes in figure.axes if (legend := axes.get_legend())]
    assert {*names} <= {text.get_text() for legend in legends for text in legend.get_texts()}
