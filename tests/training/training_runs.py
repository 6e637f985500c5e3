"""Tiny trainings for tests: in this process, or in processes of their own that real signals can be sent to."""

import copy
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from parc.anim.clip_files import write_clip
from parc.configuration.errors import exit_with_one_line
from parc.configuration.messages import show_messages
from parc.configuration.trusted import trust
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT
from parc.stages.metrics import read_metrics
from parc.stages.stage import read_run
from synthetic_clips import random_clip

# Training processes are forked off a process that has everything imported, so that each starts at once.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["parc.training.stage", "torch.distributed"])

TINY = [
    "dataset=clips", "model=mdm", "logger=off", "device=cpu", "threads=1",
    "model.denoiser.d_model=16", "model.denoiser.num_heads=2", "model.denoiser.d_hid=16", "model.denoiser.num_layers=1",
    "model.denoiser.mlp_width=16", "model.denoiser.target_mlp_width=16", "trainer.batch_size=4", "trainer.epochs=3",
    "trainer.iters_per_epoch=4", "trainer.epochs_per_checkpoint=2", "trainer.ema_start_step=5", "trainer.learning_rate=0.001",
]  # fmt: skip


def write_clips(folder: Path, character, count: int = 3) -> Path:
    for number in range(count):
        name = f"clip_{number}"
        write_clip(folder / f"{name}.safetensors", random_clip(character, number, name=name, cells=(12, 14)))
    return folder


def composed(*overrides: str) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from parc.configuration.composing import conf_folder, run_config

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return run_config(compose("train", overrides=[*TINY, *overrides]))


def train(config: dict[str, Any]) -> None:
    read_run(config).start()


def changed(config: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return a config with other values; `trainer__epochs=2` sets trainer.epochs, `folder` the run's folder.

    Prepared clips lie beside that folder, so that runs in one folder share them.
    """
    config = copy.deepcopy(config)
    if "folder" in values:
        folder = values.pop("folder")
        config["output_dir"] = str(folder)
        config["sampler"]["sampler_save_folder"] = str(folder.parent / "prepared")
    for name, value in values.items():
        *groups, key = name.split("__")
        place = config
        for group in groups:
            place = place[group]
        assert key in place, name
        place[key] = value
    return config


def result(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], list[dict[str, Any]]]:
    """Return what two runs must share: all tensors of the final checkpoint, its counters, the rows but for speeds."""
    checkpoint = read_checkpoint(folder / FINAL_CHECKPOINT)
    tensors = {
        f"{part}.{name}": tensor
        for part in ("model", "ema", "optimizer", "progress")
        for name, tensor in getattr(checkpoint, part).items()
    }
    rows = [
        {key: value for key, value in row.items() if key != "samples_per_second"}
        for row in read_metrics(folder / "metrics.jsonl")
    ]
    return tensors, dict(checkpoint.state), rows


def assert_same_result(folder: Path, other: Path) -> None:
    (tensors, state, rows), (other_tensors, other_state, other_rows) = result(folder), result(other)
    assert tensors.keys() == other_tensors.keys()
    different = [name for name, tensor in tensors.items() if not torch.equal(tensor, other_tensors[name])]
    assert not different
    assert state == other_state
    assert rows == other_rows


class TrainingProcess:
    """A training in a process of its own; what it says is in the file `log`."""

    def __init__(self, config: dict[str, Any], log: Path, **environment: str) -> None:
        self.log, self.folder = log, Path(config["output_dir"])
        self.process = _PROCESSES.Process(target=_train, args=(config, str(log), environment))
        self.process.start()

    def __enter__(self) -> "TrainingProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()

    def send(self, signal: int) -> None:
        assert self.process.pid
        os.kill(self.process.pid, signal)

    def wait(self, seconds: float = 120) -> int:
        """Return the exit code; minus the signal's number where one ended the process."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"still running:\n{self.said()}"
        return self.process.exitcode

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait_until(self, happened, what: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < until, f"{what} did not happen:\n{self.said()}"
            assert self.process.is_alive(), f"ended before {what}:\n{self.said()}"
            time.sleep(0.001)

    def wait_for_rows(self, count: int) -> None:
        path = self.folder / "metrics.jsonl"
        self.wait_until(lambda: path.is_file() and path.read_bytes().count(b"\n") >= count, f"row {count}")


def run_to_end(config: dict[str, Any], log: Path, seconds: float = 120) -> tuple[int, str]:
    with TrainingProcess(config, log) as process:
        return process.wait(seconds), process.said()


def _train(config: dict[str, Any], log: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with open(log, "a") as file:  # noqa: PTH123
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["python -m parc.train", "output_dir=" + config["output_dir"]]
    show_messages()
    trust(["slow_to_read", "slow_to_write"])  # as a command that names it does
    exit_with_one_line(lambda: train(config))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
