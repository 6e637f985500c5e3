"""Two runs in one folder are refused; a dead process holds nothing."""

import errno
import fcntl
import json
import signal
import socket

import pytest
from training_runs import TrainingProcess, changed, run_to_end, train

from parc.configuration.errors import UserError
from parc.stages.overwriting import RunFiles, delete_runs
from parc.stages.run_folder import is_locked, lock_run_folder
from parc.training.settings import CONFIG_FILE

LONG = {"trainer__epochs": 5000, "trainer__epochs_per_checkpoint": 5000}


def test_a_second_run_is_refused_with_host_process_and_job_of_the_first(config, tmp_path):
    config = changed(config, **LONG)
    with TrainingProcess(config, tmp_path / "log", SLURM_JOB_ID="4711") as first:
        first.wait_for_rows(1)
        code, said = run_to_end(config, tmp_path / "second log")
        assert code == 1
        expected = (
            f"another process works in this folder (host {socket.gethostname()}, process {first.process.pid}, job 4711)"
        )
        assert expected in said
        assert len(said.splitlines()) == 1
        assert is_locked(tmp_path / "run")
        with pytest.raises(UserError, match="another process works in this folder"):
            delete_runs([RunFiles(tmp_path / "run", CONFIG_FILE, {})])
        first.send(signal.SIGTERM)  # the first is none the worse
        assert first.wait() == 75


@pytest.mark.slow
def test_a_killed_process_holds_no_lock(config, tmp_path):
    config = changed(config, **LONG)
    with TrainingProcess(config, tmp_path / "log") as training:
        training.wait_for_rows(1)
        training.process.kill()
        training.process.join()
    assert json.loads((tmp_path / "run" / ".lock_owner.json").read_text())["process"] == training.process.pid
    assert not is_locked(tmp_path / "run")
    with TrainingProcess(config, tmp_path / "log 2") as again:
        again.wait_for_rows(2)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_lock_is_named(config, tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match=r"run: this file system cannot lock files.*choose a folder on another one"):
        train(config)


def test_a_lock_is_free_again_whatever_happened_inside(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), lock_run_folder(tmp_path / "run"):
            assert is_locked(tmp_path / "run")
            _ = 1 / 0
    assert not is_locked(tmp_path / "run")


def test_looking_at_a_folder_makes_none(tmp_path):
    assert not is_locked(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_of_several_folders_all_are_deleted_or_none(tmp_path):
    run, thesis, missing = (tmp_path / name for name in ("run", "thesis", "missing"))
    for folder, file in ((run, CONFIG_FILE), (thesis, "thesis.tex")):
        folder.mkdir()
        (folder / file).touch()
    with pytest.raises(UserError, match="thesis holds no mdm_config"):
        delete_runs([RunFiles(each, CONFIG_FILE, {}) for each in (run, missing, thesis)])
    assert (run / CONFIG_FILE).exists()
    delete_runs([RunFiles(each, CONFIG_FILE, {}) for each in (run, missing)])
    assert not run.exists()


def test_what_a_sweep_keeps_in_a_runs_folder_is_no_strangers(tmp_path, caplog):
    """A sweep of one job has its folder in common with its run."""
    run = tmp_path / "run"
    (run / "wandb").mkdir(parents=True)
    for name in ("sweep.json", "sweep.csv", ".sweep_in_use"):
        (run / name).touch()
    with caplog.at_level("INFO"):
        delete_runs([RunFiles(run, CONFIG_FILE, {})])  # its job did not begin: there is nothing to delete
        (run / CONFIG_FILE).touch()
        delete_runs([RunFiles(run, CONFIG_FILE, {})])
    assert not (run / CONFIG_FILE).exists() and (run / "sweep.json").exists()
    assert not caplog.text
    for name in (CONFIG_FILE, "notes.txt"):
        (run / name).touch()
    with caplog.at_level("INFO"):
        delete_runs([RunFiles(run, CONFIG_FILE, {})])
    assert caplog.text.endswith("left what such a run does not write: notes.txt\n")
