"""Losses and gradients that are not finite: skipped, counted, their clips named, and an end where they do not end."""

import json
import math
import signal

import pytest
import torch
from test_exact_resume import stop_after
from training_runs import changed, result, rows_of, train, write_clips

from parc.anim.clip_files import write_clip
from parc.configuration.errors import Interrupted, UserError
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import newest_checkpoint
from parc.motion_generator.heldout_error import HeldoutError
from parc.motion_generator.losses import MotionLosses
from parc.stages.progress import read_progress
from synthetic_clips import random_clip


def break_steps(monkeypatch, broken: set[int], first: int = 1) -> None:
    """Make the loss of some steps infinite; the first one trained is `first`."""
    original = MotionLosses.weighted_means
    step = iter(range(first, 10_000))

    def weighted_means(self, terms):
        means = original(self, terms)
        return means * math.inf if next(step) in broken else means

    monkeypatch.setattr(MotionLosses, "weighted_means", weighted_means)


def test_a_broken_step_is_skipped_counted_and_its_clips_named(config, tmp_path, monkeypatch, caplog):
    break_steps(monkeypatch, {2, 3, 9})
    train(config)
    _, state, rows = result(tmp_path / "run")
    assert (state["skipped"], state["skipped_in_a_row"], state["step"]) == (3, 0, 12)
    assert [row["skipped_steps"] for row in rows] == [2, 2, 3]
    lines = [message for message in caplog.messages if "not finite" in message]
    assert [line.split(":")[0] for line in lines] == ["step 2", "step 3", "step 9"]
    assert all("clips: clip_" in line for line in lines)
    assert all(torch.isfinite(tensor).all() for tensor in result(tmp_path / "run")[0].values())
    assert all(math.isfinite(row["train/loss"]) for row in rows)


def test_only_the_clips_whose_own_loss_is_broken_are_named(config, tmp_path, monkeypatch, caplog):
    original = MotionLosses.per_sample
    broken = []

    def per_sample(self, predicted, true, surroundings):
        terms = original(self, predicted, true, surroundings)
        if "root_position" in terms and len(broken) < 2:  # the first step, and the second look at it
            broken.append(true)
            one = torch.tensor([0, 1, 0, 0], dtype=torch.bool)
            terms["root_position"] = torch.where(one, math.nan, terms["root_position"])
        return terms

    monkeypatch.setattr(MotionLosses, "per_sample", per_sample)
    train(config)
    (line,) = [message for message in caplog.messages if "not finite" in message]
    assert line.startswith("step 1:") and line.count("clip_") == 1


def test_an_epoch_of_skipped_steps_has_no_loss(config, tmp_path, monkeypatch):
    break_steps(monkeypatch, {1, 2, 3, 4})
    train(config)
    rows = rows_of(tmp_path / "run")
    assert rows[0]["train/loss"] is None
    assert rows[1]["train/loss"] is not None
    assert read_progress(tmp_path / "run").figures == {"training loss": rows[-1]["train/loss"]}


def test_too_many_in_a_row_end_the_run_with_one_line_and_the_last_checkpoint_intact(config, tmp_path, monkeypatch):
    break_steps(monkeypatch, set(range(9, 100)))
    config = changed(config, trainer__max_skipped_in_a_row=2)
    with pytest.raises(UserError, match=r"3 steps in a row .* up to step 11 \(clips of the last: clip_") as ended:
        train(config)
    assert "\n" not in str(ended.value)
    path, checkpoint = newest_checkpoint(tmp_path / "run")
    assert (path.name, checkpoint.state["step"], checkpoint.state["skipped"]) == ("model_epoch_2.ckpt", 8, 0)


def test_what_is_skipped_is_counted_across_stops(config, tmp_path, monkeypatch):
    config = changed(config, trainer__max_skipped_in_a_row=3)
    with monkeypatch.context() as patch:
        break_steps(patch, {5, 6, 7})
        stop_after(patch, 7)
        with pytest.raises(Interrupted):
            train(config)
    assert newest_checkpoint(tmp_path / "run")[1].state["skipped_in_a_row"] == 3
    break_steps(monkeypatch, {8}, first=8)
    with pytest.raises(UserError, match="4 steps in a row"):
        train(config)


def test_checkpoints_of_ruined_weights_push_out_no_good_ones(config, tmp_path, monkeypatch):
    """Each epoch is one step; the last ten before the end are skipped; two checkpoints are kept."""
    break_steps(monkeypatch, set(range(5, 100)))
    config = changed(
        config, trainer__iters_per_epoch=1, trainer__epochs=12, trainer__epochs_per_checkpoint=1,
        trainer__keep_last_checkpoints=2, trainer__max_skipped_in_a_row=4, trainer__minutes_per_latest=1e-6,
    )  # fmt: skip
    with pytest.raises(UserError, match="5 steps in a row"):
        train(config)
    checkpoints = tmp_path / "run" / "checkpoints"
    assert read_checkpoint(checkpoints / "model_epoch_3.ckpt").state["skipped"] == 0
    assert read_checkpoint(checkpoints / "model_epoch_4.ckpt").state["skipped"] == 0
    assert read_checkpoint(checkpoints / "latest.ckpt").state["step"] == 4


def test_a_learning_rate_that_ruins_the_weights_ends_the_run(config, tmp_path, caplog):
    with pytest.raises(UserError, match=r"Lower trainer.learning_rate"):
        train(changed(config, trainer__learning_rate=1e30, trainer__epochs=20))
    assert "not finite" in caplog.text
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_clip_of_huge_numbers_is_named(humanoid, config, tmp_path, caplog):
    clips = tmp_path / "clips"
    clip = random_clip(humanoid, name="huge", cells=(6, 6))
    clip.root_pos[20:] *= 1e19
    write_clip(clips / "huge.safetensors", clip)
    with pytest.raises(UserError, match="huge"):
        train(changed(config, dataset__motion_lib_file=str(clips), trainer__epochs=20))


def test_a_heldout_error_that_is_no_number_is_left_out(humanoid, config, tmp_path, monkeypatch):
    # Enough clips that some are held out.
    config = changed(config, dataset__motion_lib_file=str(write_clips(tmp_path / "clips", humanoid, 21)))
    errors = iter([2.0, math.nan, 1.0])
    monkeypatch.setattr(HeldoutError, "measure", lambda *_: {"body_position": next(errors), "sliding": math.inf})
    train(config)
    rows = [row for row in rows_of(tmp_path / "run") if "heldout/body_position" in row]
    assert [row["heldout/body_position"] for row in rows] == [2.0, 1.0]
    assert not any("heldout/sliding" in row for row in rows)
    assert read_progress(tmp_path / "run").figures == {"held-out error (m)": 1.0}


def test_a_signal_while_steps_are_skipped_saves_all_the_same(config, tmp_path, monkeypatch):
    break_steps(monkeypatch, {6, 7})
    stop_after(monkeypatch, 7, signal.SIGUSR2)
    with pytest.raises(Interrupted):
        train(config)
    assert newest_checkpoint(tmp_path / "run")[1].state["step"] == 7
