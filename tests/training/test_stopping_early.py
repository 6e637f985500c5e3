"""Signals that come before the first step, while clips are prepared or others are waited for, end a run where it is."""

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from test_ranks import free_port
from training_runs import TrainingProcess, changed, train

from parc.anim import library_cache
from parc.configuration.errors import Interrupted
from parc.training import starting
from parc.training import train as training

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2]
WORK = {
    "digests": (library_cache, "file_digests"),
    "clips": (library_cache, "read_clip"),
    "statistics": (starting, "compute_statistics"),
    "results": (library_cache, "write_prepared"),
}


def stopped(config, number: int) -> None:
    """Train until the signal stops it, and look at what is left."""
    began = time.monotonic()
    with pytest.raises(
        Interrupted, match=f"^stopped by {number.name} before the first step, nothing is lost; to resume: "
    ) as stop:
        train(config)
    assert time.monotonic() - began < 20
    assert stop.value.signals == [number]
    folder = Path(config["output_dir"])
    assert not folder.exists() or {path.name for path in folder.iterdir()} <= {".lock", "train.log"}
    assert not list(folder.parent.rglob("*.part"))


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("work", WORK)
def test_a_signal_stops_the_preparation_of_clips(config, monkeypatch, work, number):
    def takes_long(*_, **__):
        os.kill(os.getpid(), number)
        time.sleep(60)

    monkeypatch.setattr(*WORK[work], takes_long)
    stopped(config, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_stops_waiting_for_a_run_that_prepares_the_same_clips(config, monkeypatch, number):
    prepared = Path(config["sampler"]["sampler_save_folder"])
    train(changed(config, trainer__epochs=1))
    (path,) = prepared.glob("*.safetensors")
    path.unlink()

    def says(words: str, *_) -> None:
        if words.startswith("waiting for another process"):
            threading.Timer(0.5, os.kill, (os.getpid(), number)).start()

    monkeypatch.setattr(library_cache.log, "info", says)
    with (prepared / f".{path.stem}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stopped(changed(config, folder=prepared.parent / "waiting"), number)


def test_a_signal_is_no_error_of_what_it_interrupts(config, monkeypatch):
    """Readers of clips turn every exception of theirs into a line about the clip."""

    def reader(*_, **__):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except Exception as error:
            raise AssertionError("the signal was taken for an error") from error

    monkeypatch.setattr(library_cache, "read_clip", reader)
    stopped(config, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_stops_a_process_that_waits_for_the_others(config, tmp_path, rank):
    place = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    with TrainingProcess(changed(config, trainer__batch_size=8), tmp_path / "log", **place, LOCAL_RANK="0") as training:
        if rank == 0:
            training.wait_until((tmp_path / "run" / "mdm_config.yaml").exists, "the wait")
        time.sleep(3)
        training.send(signal.SIGTERM)
        assert training.wait(30) == 75
        assert training.said().splitlines()[-1].startswith("stopped by SIGTERM before the first step, nothing is lost")


def test_a_signal_that_came_first_stops_a_run_at_once(config, monkeypatch):
    lock_run_folder = training.lock_run_folder

    def signalled_first(folder):
        os.kill(os.getpid(), signal.SIGTERM)
        return lock_run_folder(folder)

    monkeypatch.setattr(training, "lock_run_folder", signalled_first)
    stopped(config, signal.SIGTERM)
