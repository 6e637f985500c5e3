"""A full disk, a folder that cannot be written, a wandb that cannot be reached: one line, and whole checkpoints."""

import errno
import os
import subprocess
from contextlib import contextmanager

import pytest
from training_runs import TrainingProcess, assert_same_result, changed, run_to_end, train

from parc.configuration.errors import UserError
from parc.configuration.files import write_text_whole
from parc.configuration.provenance import SWEEP_VARIABLE
from parc.motion_generator.checkpoint_files import epoch_checkpoints, newest_checkpoint
from parc.stages.metrics import Metrics
from parc.training.run_log import WandbLogger

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@contextmanager
def small_disk(folder, size: str):
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def one_line_of(said: str) -> str:
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, said
    assert "Traceback" not in said
    assert "Logging error" not in said
    return errors[0]


@needs_root
def test_a_disk_that_becomes_full_leaves_whole_checkpoints_and_the_run_goes_on_after(config, undisturbed, tmp_path):
    config = changed(config, trainer__epochs_per_checkpoint=1)
    with small_disk(tmp_path / "disk", "4m") as disk:
        full = changed(config, folder=disk / "run")
        code, said = run_to_end(full, tmp_path / "log")
        assert code == 1, said
        assert "no space left on the disk; free some" in one_line_of(said)
        assert not list(disk.rglob("*.part"))
        whole = epoch_checkpoints(disk / "run")
        assert whole
        assert newest_checkpoint(disk / "run")[0] == whole[0]
        # The same command on a larger disk.
        subprocess.run(["mount", "-o", "remount,size=60m", disk], check=True)
        code, said = run_to_end(full, tmp_path / "log 2")
        assert code == 0, said
        assert_same_result(undisturbed, disk / "run")


@needs_root
@pytest.mark.parametrize("kilobytes", [0, 200, *(pytest.param(each, marks=pytest.mark.slow) for each in (8, 40, 1500))])
def test_a_disk_that_is_full_from_the_start_gives_one_line(config, tmp_path, kilobytes):
    with small_disk(tmp_path / "disk", "4m") as disk:
        (disk / "filler").write_bytes(b"x" * (4 * 1024**2 - kilobytes * 1024))
        code, said = run_to_end(changed(config, folder=disk / "run"), tmp_path / "log")
        assert code == 1, said
        assert "no space left on the disk" in one_line_of(said)
        assert not list(disk.rglob("*.part"))


@needs_root
def test_a_row_that_finds_no_space_is_one_line(tmp_path):
    with small_disk(tmp_path / "disk", "64k") as disk:
        metrics = Metrics(disk, 0)
        (disk / "filler").write_bytes(b"x" * 60 * 1024)
        with pytest.raises(UserError, match="no space left"):
            for epoch in range(1000):
                metrics.add({"step": epoch, "epoch": epoch, "x" * 1000: 1.0})
        (disk / "filler").unlink()
        assert Metrics(disk, 10**6).summary.latest  # the row that was cut short is left out


@needs_root
def test_a_folder_that_cannot_be_written_is_one_line(config, tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        code, said = run_to_end(changed(config, folder=disk / "run"), tmp_path / "log")
        assert code == 1
        assert "Read-only file system" in one_line_of(said)


@needs_root
def test_a_checkpoint_folder_that_becomes_unwritable_is_one_line_and_its_checkpoints_are_whole(config, tmp_path):
    config = changed(config, trainer__epochs=5000, trainer__epochs_per_checkpoint=2)
    checkpoints = tmp_path / "run" / "checkpoints"
    with TrainingProcess(config, tmp_path / "log") as training:
        training.wait_until((checkpoints / "model_epoch_4.ckpt").exists, "epoch 4")
        if subprocess.run(["chattr", "+i", checkpoints], capture_output=True).returncode:
            pytest.skip("this file system has no immutable folders, and permissions do not bind root")
        try:
            assert training.wait() == 1
        finally:
            subprocess.run(["chattr", "-i", checkpoints], check=True)
        assert "cannot be written (Operation not permitted)" in one_line_of(training.said())
    assert newest_checkpoint(tmp_path / "run")[1].state["epoch"] >= 4


def test_an_output_dir_that_is_a_file_is_one_line(config, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match="cannot be written"):
            train(changed(config, folder=folder))
    assert (tmp_path / "file").read_text() == "mine"


def test_what_fails_to_be_written_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_text_whole(path, "before")

    def fsync(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError, match="Input/output error"):
        write_text_whole(path, "after")
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_vanished_clip_is_one_line_that_names_it(few_clips, config, tmp_path):
    manifest = tmp_path / "motions.yaml"
    manifest.write_text(f"motions: [{{file: {few_clips}/clip_0.safetensors}}, {{file: {tmp_path}/gone.safetensors}}]")
    with pytest.raises(UserError, match=r"there is no clip .*gone.safetensors"):
        train(changed(config, dataset__motion_lib_file=str(manifest)))
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_begin_leaves_other_files_alone(config, tmp_path):
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("precious")
    with pytest.raises(UserError, match="no such file or folder"):
        train(changed(config, folder=folder, dataset__motion_lib_file=str(tmp_path / "nothing")))
    assert (folder / ".git" / "HEAD").read_text() == "precious"


def wandb_config(config, mode):
    return changed(config, logger__use_wandb=True, logger__mode=mode)


def test_without_wandb_there_is_no_trace_of_it(config, tmp_path):
    assert run_to_end(config, tmp_path / "log")[0] == 0
    assert "wandb" not in {path.name for path in (tmp_path / "run").iterdir()}


@pytest.mark.slow
def test_an_offline_wandb_needs_no_account(config, tmp_path):
    with TrainingProcess(
        wandb_config(config, "offline"), tmp_path / "log", WANDB_API_KEY="", NETRC=str(tmp_path / "none")
    ) as training:
        assert training.wait() == 0, training.said()
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert newest_checkpoint(tmp_path / "run")[1].state["wandb_id"]


@pytest.mark.slow
def test_a_wandb_that_cannot_be_reached_does_not_stop_training(config, tmp_path):
    with TrainingProcess(
        wandb_config(config, "online"),
        tmp_path / "log",
        WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_API_KEY="0" * 40,
    ) as training:
        assert training.wait(120) == 0, training.said()
    assert "training continues without it" in training.said()
    assert "Traceback" not in training.said()


@pytest.mark.slow
def test_a_run_with_wandb_that_is_killed_holds_no_lock_and_keeps_its_id(config, tmp_path):
    config = wandb_config(changed(config, trainer__epochs=2000, trainer__epochs_per_checkpoint=1), "offline")
    with TrainingProcess(config, tmp_path / "log") as training:
        training.wait_for_rows(3)
        training.process.kill()
        training.process.join()
    before = newest_checkpoint(tmp_path / "run")[1].state
    with TrainingProcess(config, tmp_path / "log") as training:
        training.wait_for_rows(before["epoch"] + 2)
        training.send(15)
        assert training.wait() == 75
    assert newest_checkpoint(tmp_path / "run")[1].state["wandb_id"] == before["wandb_id"] is not None


@pytest.mark.parametrize(
    ("sweep", "given", "expected"),
    [
        (None, (None, None), ("iter1", None)),
        ("width", (None, None), ("width", "run")),
        ("width", ("mine", "best"), ("mine", "best")),
    ],
)
def test_jobs_of_a_sweep_stand_together_there_and_runs_under_their_iteration(
    monkeypatch, tmp_path, sweep, given, expected
):
    import wandb

    begun = {}
    monkeypatch.setattr(wandb, "init", lambda **settings: begun.update(settings))
    monkeypatch.delenv(SWEEP_VARIABLE, raising=False)
    if sweep:
        monkeypatch.setenv(SWEEP_VARIABLE, sweep)
    WandbLogger(True, "parc", *given, "offline").start(tmp_path / "run", "iter1", None, {}, {})
    assert (begun["group"], begun["name"]) == expected
