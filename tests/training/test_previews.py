"""Moving pictures while a model trains: drawn at checkpoints, given to the logger, and without a trace in the training."""

import os
import signal
import subprocess
import sys

import pytest
from training_runs import assert_same_result, changed, composed, train

from parc.configuration.errors import Interrupted, UserError
from parc.motion_synthesis.previews import RolloutPreview
from parc.stages.stage import read_run
from parc.training.run_log import WandbLogger

SHORT = [
    "preview=rollout", "~preview.terrains.stairs", "preview.paths=1", "preview.rollout.max_seconds=0.4",
    "preview.terrains.flat.cells_x=10", "preview.terrains.flat.cells_y=10", "preview.path.min_distance=2.0",
]  # fmt: skip


@pytest.fixture(scope="module")
def preview():
    return composed("dataset.motion_lib_file=clips", *SHORT)["preview"]


@pytest.fixture
def previewed(config, preview):
    """A run that draws previews and drops connections, whose draws would show whoever takes random numbers."""
    return changed(config, preview=preview, model__denoiser__dropout=0.3)


def drawn(folder) -> list[str]:
    return sorted(path.name for path in (folder / "previews").rglob("*"))


def warnings_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_training_with_previews_is_the_same_as_one_without(previewed, tiny_config, tmp_path, caplog):
    plain = changed(tiny_config, folder=tmp_path / "plain", model__denoiser__dropout=0.3)
    train(plain)
    assert not (tmp_path / "plain" / "previews").exists()
    train(previewed)
    assert drawn(tmp_path / "run") == ["epoch_000002.gif", "epoch_000003.gif"]  # every second epoch, and the end
    assert_same_result(tmp_path / "plain", tmp_path / "run")
    assert not warnings_of(caplog)


def test_a_stop_while_a_preview_is_drawn_is_heeded_at_once_and_loses_nothing(
    previewed, tiny_config, tmp_path, monkeypatch
):
    train(changed(tiny_config, folder=tmp_path / "plain", model__denoiser__dropout=0.3))
    after = []
    with monkeypatch.context() as patch:

        def stopped(self, model):
            os.kill(os.getpid(), signal.SIGTERM)
            after.append("went on")

        patch.setattr(RolloutPreview, "motions", stopped)
        with pytest.raises(Interrupted, match="after step 9, everything is saved"):
            train(previewed)
    assert not after and not (tmp_path / "run" / "previews").exists()
    train(previewed)
    assert drawn(tmp_path / "run") == ["epoch_000002.gif", "epoch_000003.gif"]
    assert_same_result(tmp_path / "plain", tmp_path / "run")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"preview__path__min_distance": 500.0}, "path"),
        ({"preview__rollout__new_frames": 900}, "rollout.new_frames"),
    ],
)
def test_a_preview_that_cannot_be_drawn_is_a_warning_each_time(previewed, tmp_path, caplog, values, why):
    train(changed(previewed, **values))
    for warning, epoch in zip(warnings_of(caplog), (2, 3), strict=True):
        assert warning.startswith(f"no preview of epoch {epoch} ({why}") and "\n" not in warning
    assert (tmp_path / "run" / "final_model.ckpt").is_file() and not (tmp_path / "run" / "previews").exists()


def test_whatever_goes_wrong_in_drawing_does_not_stop_the_training(previewed, tmp_path, monkeypatch, caplog):
    def broken(self, model):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(RolloutPreview, "motions", broken)
    train(previewed)
    assert warnings_of(caplog)[0] == "no preview of epoch 2 (out of memory); training continues"
    assert (tmp_path / "run" / "final_model.ckpt").is_file()


def test_previews_may_be_chosen_on_resume_also_for_runs_of_before_there_were_any(config, preview, tmp_path):
    del config["preview"]
    train(changed(config, trainer__epochs=2))
    assert "preview:" not in (tmp_path / "run" / "mdm_config.yaml").read_text()
    train(config | {"preview": preview})
    # The newest checkpoint is shown at once, then what comes.
    assert drawn(tmp_path / "run") == ["epoch_000002.gif", "epoch_000003.gif"]
    assert read_run(changed(config, trainer__epochs=3)).is_finished()


def test_overwriting_deletes_previews_and_nothing_else_beside_them(previewed, tmp_path):
    train(previewed)
    mine = tmp_path / "run" / "previews" / "best.gif"
    mine.write_bytes((tmp_path / "run" / "previews" / "epoch_000002.gif").read_bytes())
    read_run(changed(previewed, preview={"_target_": "parc.training.previews.NoPreview"})).start(overwrite=True)
    assert drawn(tmp_path / "run") == ["best.gif"]


def test_of_several_checkpoints_every_nth_and_the_last_are_shown(preview):
    shown = read_run(composed("dataset.motion_lib_file=clips", *SHORT, "preview.every_checkpoints=3")).settings.preview
    assert [number for number in range(1, 8) if shown.is_due(number, is_last=False)] == [3, 6]
    assert shown.is_due(7, is_last=True)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("preview.every_checkpoints=0", "preview.every_checkpoints is 0, expected at least 1"),
        ("preview.seed=-1", "preview.seed is -1, expected at least 0"),
        ("preview.paths=13", "1 terrains x 13 paths x 1 candidates are 13 motions, expected 1 to 12"),
        ("~preview.terrains.flat", "0 terrains x 1 paths x 1 candidates are 0 motions"),
    ],
)
def test_settings_that_are_no_preview_are_refused_before_anything_else(override, complaint):
    with pytest.raises(UserError, match=complaint):
        read_run(composed("dataset.motion_lib_file=clips", *SHORT, override))


def test_without_previews_neither_rollouts_nor_pictures_are_imported(tmp_path):
    program = (
        "import sys; from training_runs import composed; from parc.stages.stage import read_run\n"
        "read_run(composed('dataset.motion_lib_file=clips'))\n"
        "print(sorted(name for name in sys.modules if name.startswith(('parc.pictures', 'parc.motion_synthesis'))))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=_with_path(), timeout=120
    )
    assert said.stdout == "[]\n", said.stderr


def _with_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


class Run:
    """A run of Weights & Biases that keeps what it is given."""

    def __init__(self, broken: bool = False) -> None:
        self.rows: list[tuple[dict, int]] = []
        self.broken = broken

    def log(self, row, step) -> None:
        if self.broken:
            raise OSError("no\nnetwork")
        self.rows.append((row, step))

    def finish(self) -> None:
        pass


def test_previews_go_to_the_logger_beside_the_row_of_their_epoch(previewed, tmp_path, monkeypatch):
    import wandb

    run = Run()
    monkeypatch.setattr(wandb, "init", lambda **_: run)
    train(changed(previewed, logger__use_wandb=True))
    steps = [row.get("step", "preview") for row, _ in run.rows]
    assert steps == [4, 8, "preview", 12, "preview"]
    assert [step for row, step in run.rows if "preview" in row] == [8, 12]
    assert all(isinstance(row["preview"], wandb.Video) for row, _ in run.rows if "preview" in row)


def test_a_logger_that_cannot_be_given_a_preview_is_given_up(tmp_path, caplog):
    logger = WandbLogger(True, "parc", None, None, "offline")
    logger.run = Run()
    logger.add_film("preview", tmp_path / "missing.gif", 4)
    assert logger.run is None and len(warnings_of(caplog)) == 1
    logger.add_film("preview", tmp_path / "missing.gif", 8)
    assert len(warnings_of(caplog)) == 1
