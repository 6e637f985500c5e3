"""A training that is stopped and started again gives, bit by bit, what an undisturbed one gives."""

import dataclasses
import os
import shutil
import signal

import pytest
import torch
from training_runs import assert_same_result, changed, result, rows_of, train, write_clips

from parc.anim.clip_files import read_clip, write_clip
from parc.configuration.errors import Interrupted
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import newest_checkpoint
from parc.motion_generator.losses import MotionLosses
from parc.motion_generator.mdm import DiffusionDraws
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MotionWindows
from parc.stages.progress import read_progress
from parc.training import loop
from parc.training.batches import batch_at, batches
from parc.training.ranks import Ranks

ALONE = Ranks()
VARIANTS = {
    "dropout": {"model__denoiser__dropout": 0.3},
    "cosine": {"trainer__learning_rate_schedule": "cosine", "trainer__warmup_steps": 5},
    "noise": {
        "sampler__angle_noise_scale": 0.1,
        "sampler__pos_noise_scale": 0.1,
        "sampler__height_error__chance": 0.5,
        "sampler__height_error__deviation": 0.1,
    },
    "bf16": {"trainer__precision": "bf16"},
}
VARIANTS["all but bf16"] = VARIANTS["dropout"] | VARIANTS["cosine"] | VARIANTS["noise"]


def stop_after(monkeypatch, steps: int, number: int = signal.SIGTERM) -> None:
    """Send this process a signal while step `steps` is being trained."""
    original = batches

    def signalling(steps_to_make, **settings):
        for step, batch in zip(steps_to_make, original(steps_to_make, **settings), strict=True):
            if step + 1 == steps:
                os.kill(os.getpid(), number)
            yield batch

    monkeypatch.setattr(loop, "batches", signalling)


def train_with_stops(config, monkeypatch, stops) -> None:
    for steps in stops:
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            with pytest.raises(Interrupted, match=f"after step {steps}, everything is saved"):
                train(config)
    train(config)


@pytest.mark.parametrize(
    "variant",
    ["all but bf16", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dropout", "cosine", "noise", "bf16"))],
)
def test_stops_anywhere_change_nothing(tiny_config, tmp_path, monkeypatch, variant):
    config = changed(tiny_config, **VARIANTS[variant])
    train(changed(config, folder=tmp_path / "undisturbed"))
    # Within an epoch, at its end, where averaging begins, twice in a row, before the last step.
    train_with_stops(changed(config, folder=tmp_path / "stopped"), monkeypatch, [1, 4, 5, 6, 11])
    assert_same_result(tmp_path / "undisturbed", tmp_path / "stopped")
    assert [row["epoch"] for row in rows_of(tmp_path / "stopped")] == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("stop", range(1, 12))
def test_a_stop_after_any_step_changes_nothing(tiny_config, tmp_path, monkeypatch, stop):
    config = changed(tiny_config, **VARIANTS["cosine"], model__denoiser__dropout=0.1)
    train(changed(config, folder=tmp_path / "undisturbed"))
    train_with_stops(changed(config, folder=tmp_path / "stopped"), monkeypatch, [stop])
    assert_same_result(tmp_path / "undisturbed", tmp_path / "stopped")


def test_stops_between_skipped_steps_change_nothing(tiny_config, tmp_path, monkeypatch):
    calls = []
    original = MotionLosses.weighted_means

    def broken_at_some_steps(self, terms):
        # Which step this is can be told by the random numbers of its batch, as the loss has them.
        means = original(self, terms)
        broken = int(means.detach().double().sum() * 1e6) % 3 == 0
        calls.append(broken)
        return means * float("nan") if broken else means

    monkeypatch.setattr(MotionLosses, "weighted_means", broken_at_some_steps)
    train(changed(tiny_config, folder=tmp_path / "undisturbed"))
    assert 0 < sum(calls) < len(calls)
    train_with_stops(changed(tiny_config, folder=tmp_path / "stopped"), monkeypatch, [2, 3, 7])
    assert_same_result(tmp_path / "undisturbed", tmp_path / "stopped")
    assert result(tmp_path / "stopped")[1]["skipped"] == sum(calls[:12])


def test_heldout_errors_survive_stops(many_clips, tiny_config, tmp_path, monkeypatch):
    config = changed(tiny_config, dataset__motion_lib_file=str(many_clips))
    train(changed(config, folder=tmp_path / "undisturbed"))
    train_with_stops(changed(config, folder=tmp_path / "stopped"), monkeypatch, [3, 9])
    assert_same_result(tmp_path / "undisturbed", tmp_path / "stopped")
    rows = rows_of(tmp_path / "stopped")
    assert [row["epoch"] for row in rows if "heldout/body_position" in row] == [0, 2, 3]
    assert read_progress(tmp_path / "stopped").figures == {
        "held-out error (m)": rows[-1]["heldout/body_position"],
        "terrain sensitivity": rows[-1]["heldout/terrain_sensitivity"],
        "target sensitivity": rows[-1]["heldout/target_sensitivity"],
    }
    split = read_checkpoint(tmp_path / "stopped" / "final_model.ckpt").split
    assert split.heldout == {"clip_20"} and split.trained == {f"clip_{number}" for number in range(20)}


def test_more_epochs_go_on_from_a_finished_run(tiny_config, undisturbed, tmp_path):
    train(changed(tiny_config, folder=tmp_path / "short", trainer__epochs=2))
    train(changed(tiny_config, folder=tmp_path / "short"))
    assert_same_result(undisturbed, tmp_path / "short")


def test_a_finished_run_does_nothing(config, undisturbed, tmp_path, caplog):
    shutil.copytree(undisturbed, tmp_path / "run")
    files = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with caplog.at_level("INFO"):
        train(config)
    assert "finished" in caplog.text
    files.pop(tmp_path / "run" / "train.log")
    assert all(path.read_bytes() == data for path, data in files.items())


def test_rows_that_got_further_than_the_checkpoint_are_written_again_once(config, undisturbed, tmp_path, monkeypatch):
    """As after a loss of power: an epoch's row is there, its checkpoint is not."""
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted):
            train(config)
    metrics = tmp_path / "run" / "metrics.jsonl"
    whole = (undisturbed / "metrics.jsonl").read_bytes()
    metrics.write_bytes(whole + b"\x00\x00\xff\n" + b'{"step": Infinity, "epoch": 1}\n' + whole[:40])
    train(config)
    assert_same_result(undisturbed, tmp_path / "run")


def test_the_seed_makes_the_difference(config, undisturbed, tmp_path):
    train(changed(config, seed=1))
    weights, other_weights = result(undisturbed)[0], result(tmp_path / "run")[0]
    assert not all(torch.equal(weights[name], other_weights[name]) for name in weights)


@pytest.fixture
def settings_of_batches(config, monkeypatch) -> dict:
    seen = {}
    original = batches

    def looking(steps, **settings):
        seen.update(settings)
        return original(steps, **settings)

    monkeypatch.setattr(loop, "batches", looking)
    train(changed(config, trainer__epochs=1))
    return seen


def test_batches_for_a_gpu_wait_for_it_in_pinned_memory(settings_of_batches, monkeypatch):
    """Without a GPU: what would be pinned is marked, and nothing is moved."""
    pinned = set()

    def pin_memory(tensor: torch.Tensor) -> torch.Tensor:
        pinned.add(id(tensor))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    for kind in (MotionWindows, DiffusionDraws):
        monkeypatch.setattr(kind, "to", lambda batch, device: batch)
    ((windows, draws),) = batches(range(5, 6), **settings_of_batches | {"device": torch.device("cuda")})
    moved = [windows.clips, windows.heightmap, windows.frames.root_pos, draws.noise, draws.previous_clean]
    assert {id(tensor) for tensor in moved} <= pinned


def test_batches_made_ahead_are_those_made_when_needed(settings_of_batches):
    seen = dict(settings_of_batches)
    device = seen.pop("device")
    ahead = list(batches(range(5, 9), device=device, **seen))
    for step, (windows, draws) in zip(range(5, 9), ahead, strict=True):
        now_windows, now_draws = batch_at(step, **seen)
        assert torch.equal(windows.frames.root_pos, now_windows.frames.root_pos)
        assert torch.equal(windows.heightmap, now_windows.heightmap)
        assert torch.equal(draws.noise, now_draws.noise)


def test_other_clips_than_before_are_refused_by_name(humanoid, tiny_config, undisturbed, tmp_path, monkeypatch):
    clips = write_clips(tmp_path / "clips", humanoid)
    config = changed(tiny_config, folder=tmp_path / "run", dataset__motion_lib_file=str(clips))
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(Interrupted):
            train(config)
    path = clips / "clip_1.safetensors"
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(Exception, match="gone: clip_1") as refused:
        train(config)
    assert "\n" not in str(refused.value)
    path.write_bytes((clips / "clip_0.safetensors").read_bytes())
    with pytest.raises(Exception, match="changed: clip_1"):
        train(config)
    path.write_bytes(data)
    clip = read_clip(path, humanoid)
    raised = dataclasses.replace(clip.terrain, heights=clip.terrain.heights + 0.1)
    write_clip(path, dataclasses.replace(clip, terrain=raised))
    with pytest.raises(Exception, match="changed: clip_1"):
        train(config)
    path.write_bytes(data)
    (clips / "another.safetensors").write_bytes(data)
    with pytest.raises(Exception, match="new: another"):
        train(config)
    (clips / "another.safetensors").unlink()
    assert newest_checkpoint(tmp_path / "run")[1].state["step"] == 5
    train(config)
    assert_same_result(undisturbed, tmp_path / "run")
