"""Checkpoints are whole or absent, and the furthest whole one is taken."""

import json
import shutil
import signal

import pytest
import torch
from test_exact_resume import stop_after
from training_runs import assert_same_result, changed, result, train

from parc.configuration.errors import Interrupted, UserError
from parc.motion_generator.checkpoint import check_weights_fit, read_checkpoint, write_checkpoint
from parc.motion_generator.checkpoint_files import checkpoint_files, epoch_checkpoints, newest_checkpoint


@pytest.fixture(scope="module")
def stopped_before(tiny_config, tmp_path_factory):
    config = changed(tiny_config, folder=tmp_path_factory.mktemp("stopped") / "run", trainer__epochs_per_checkpoint=1)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 9)
        with pytest.raises(Interrupted):
            train(config)
    return config


@pytest.fixture
def stopped(stopped_before, tmp_path):
    """A run with checkpoints of epochs 1 and 2 and a rolling one after step 9; a copy, for a folder may be moved."""
    shutil.copytree(stopped_before["output_dir"], tmp_path / "run")
    return changed(stopped_before, folder=tmp_path / "run"), tmp_path / "run"


def cut_short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def a_bit_flipped(data: bytes) -> bytes:
    place = len(data) - 1000
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


def emptied(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut_short, a_bit_flipped, emptied])
@pytest.mark.parametrize("damaged", [["latest.ckpt"], ["latest.ckpt", "model_epoch_2.ckpt"]])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(stopped, undisturbed, caplog, damage, damaged):
    config, folder = stopped
    for name in damaged:
        path = folder / "checkpoints" / name
        path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level("INFO"):
        path, checkpoint = newest_checkpoint(folder)
        assert path.name == ["model_epoch_2.ckpt", "model_epoch_1.ckpt"][len(damaged) - 1]
        assert checkpoint.state["step"] == 8 // len(damaged)
        for name in damaged:
            assert f"{name}: damaged" in caplog.text
        train(config)
    assert_same_result(undisturbed, folder)


def test_with_no_whole_checkpoint_the_run_begins_anew_and_says_so(stopped, undisturbed, caplog):
    config, folder = stopped
    for path in checkpoint_files(folder):
        path.write_bytes(b"rubbish")
    with caplog.at_level("INFO"):
        train(config)
    assert "no checkpoint is intact, training starts from scratch" in caplog.text
    assert_same_result(undisturbed, folder)


def test_a_damaged_final_checkpoint_is_made_again(tiny_config, tmp_path, undisturbed, caplog):
    config = changed(tiny_config, folder=tmp_path / "run", trainer__epochs_per_checkpoint=1)
    shutil.copytree(undisturbed, tmp_path / "run")
    path = tmp_path / "run" / "final_model.ckpt"
    path.write_bytes(a_bit_flipped(path.read_bytes()))
    with caplog.at_level("INFO"):
        train(config)
    assert caplog.text.count("ckpt: damaged") == 1
    assert_same_result(undisturbed, tmp_path / "run")


def test_the_last_few_epochs_are_kept(tiny_config, tmp_path):
    train(changed(tiny_config, folder=tmp_path / "run", trainer__epochs_per_checkpoint=1, trainer__epochs=5,
                  trainer__iters_per_epoch=1, trainer__keep_last_checkpoints=2))  # fmt: skip
    assert [path.name for path in epoch_checkpoints(tmp_path / "run")] == ["model_epoch_5.ckpt", "model_epoch_4.ckpt"]
    assert (tmp_path / "run" / "final_model.ckpt").is_file()
    assert not (tmp_path / "run" / "checkpoints" / "latest.ckpt").exists()


def test_all_epochs_are_kept_by_default(undisturbed):
    assert len(epoch_checkpoints(undisturbed)) == 3


def test_damaged_checkpoints_of_later_epochs_do_not_push_out_whole_ones(stopped, monkeypatch):
    """The newest is damaged, the run is back at epoch 1, and only one is to be kept."""
    config, folder = stopped
    checkpoints = folder / "checkpoints"
    (checkpoints / "latest.ckpt").unlink()
    (checkpoints / "model_epoch_2.ckpt").rename(checkpoints / "model_epoch_3.ckpt")
    (checkpoints / "model_epoch_3.ckpt").write_bytes(b"rubbish")
    stop_after(monkeypatch, 9)
    with pytest.raises(Interrupted):
        train(changed(config, trainer__keep_last_checkpoints=1))
    assert read_checkpoint(checkpoints / "model_epoch_2.ckpt").state["step"] == 8


def test_the_rolling_checkpoint_follows_the_clock(tiny_config, tmp_path, monkeypatch):
    """With no epoch checkpoints before the end, a killed run still goes on from its rolling one."""
    from parc.training import loop

    saved = []
    monkeypatch.setattr(loop, "save", lambda state, outputs, path: saved.append((state.step, path.name)))
    train(changed(tiny_config, folder=tmp_path / "run", trainer__minutes_per_latest=1e-6))
    latest = [step for step, name in saved if name == "latest.ckpt"]
    assert latest == list(range(1, 12))


def test_what_a_killed_process_left_is_taken_away(stopped, undisturbed):
    config, folder = stopped
    parts = [folder / "checkpoints" / ".latest.ckpt.abcd_123.part", folder / ".final_model.ckpt.abcd_123.part",
             folder / ".mdm_config.yaml.x1y2z3_4.part"]  # fmt: skip
    for part in parts:
        part.mkdir()
        (part / ".tmpx1").write_bytes(b"half of a file")
    train(config)
    assert not any(part.exists() for part in parts)
    assert_same_result(undisturbed, folder)


def test_what_others_write_in_folders_of_their_own_is_left_alone(stopped):
    """Another run in a folder of this run's, or prepared data: each has a lock of its own."""
    config, folder = stopped
    parts = []
    for name, lock in (("other run/checkpoints", "../.lock"), ("prepared", ".0123456789abcdef.lock")):
        parts.append(folder / name / ".file.abcd_123.part")
        parts[-1].mkdir(parents=True)
        (folder / name / lock).touch()
    train(config)
    assert all(part.exists() for part in parts)


def test_a_checkpoint_reads_back_as_it_was_written(undisturbed, tmp_path):
    checkpoint = read_checkpoint(undisturbed / "final_model.ckpt")
    write_checkpoint(tmp_path / "copy.ckpt", checkpoint)
    again = read_checkpoint(tmp_path / "copy.ckpt")
    assert again.state == checkpoint.state
    assert again.config == checkpoint.config
    assert again.clips.keys() == {"clip_0", "clip_1", "clip_2"}
    assert again.character.to_dict() == checkpoint.character.to_dict()
    for part in ("model", "ema", "optimizer", "progress"):
        assert all(
            torch.equal(tensor, getattr(again, part)[name]) for name, tensor in getattr(checkpoint, part).items()
        )


def test_a_checkpoint_is_enough_by_itself(undisturbed):
    tensors, state, _ = result(undisturbed)
    assert {name.partition(".")[0] for name in tensors} == {"model", "ema", "optimizer", "progress"}
    assert state["step"] == 12
    assert state["averaged_steps"] == 9  # a copy up to and with step 4, then averaged


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda weights: weights.pop("weight"), "weight is missing"),
    (lambda weights: weights.update(weight=torch.zeros(3)), "shape"),
    (lambda weights: weights.update(weight=torch.zeros(2, dtype=torch.float16)), "float16"),
    (lambda weights: weights.update(other=torch.zeros(2)), "other is unknown"),
])  # fmt: skip
def test_weights_that_do_not_fit_are_named(tmp_path, change, complaint):
    weights = {"weight": torch.zeros(2)}
    change(weights)
    with pytest.raises(UserError, match=complaint):
        check_weights_fit(tmp_path, weights, {"weight": torch.zeros(2)})


def test_a_checkpoint_whose_numbers_are_not_this_models_is_one_line(stopped):
    """Its digest is right: somebody made it so."""
    config, folder = stopped
    path = folder / "checkpoints" / "latest.ckpt"
    checkpoint = read_checkpoint(path)
    bad = torch.zeros(2)
    for part in ("optimizer", "progress", "model", "ema"):
        tensors = getattr(checkpoint, part)
        name = next(iter(tensors))
        write_checkpoint(path, type(checkpoint)(**{**vars(checkpoint), part: tensors | {name: bad}}))
        with pytest.raises(UserError, match=str(path)):
            train(config)
    for change in ({"step": "9"}, {"step": 9.5}, {"wandb_id": 3}, {"skipped": []}):
        write_checkpoint(path, type(checkpoint)(**{**vars(checkpoint), "state": checkpoint.state | change}))
        with pytest.raises(UserError, match="no checkpoint that this version can read"):
            read_checkpoint(path)


def test_another_config_in_a_started_folder_is_refused_with_the_differences(stopped):
    with pytest.raises(UserError, match=r"seed: 0 -> 1") as refused:
        train(changed(stopped[0], seed=1))
    assert "overwrite=true" in str(refused.value)
    assert "run_2" in str(refused.value)


def test_what_changes_no_numbers_may_change(stopped, undisturbed):
    config, folder = stopped
    train(changed(config, trainer__minutes_per_latest=1.0, trainer__keep_last_checkpoints=7))
    assert_same_result(undisturbed, folder)


def test_signals_are_given_back(config):
    before = signal.getsignal(signal.SIGTERM)
    train(changed(config, trainer__epochs=1))
    assert signal.getsignal(signal.SIGTERM) is before


def test_rows_are_json_that_others_read(undisturbed):
    for line in (undisturbed / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
