"""Tiny trainings on the test cluster: the commands that a user types, each with a limit, and what comes of them."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from parc.anim.clip_files import write_clip
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT
from synthetic_clips import random_clip

TINY = [
    "dataset=clips", "model=mdm", "logger=off", "device=cpu", "threads=1", "model.denoiser.dropout=0",
    "model.denoiser.d_model=16", "model.denoiser.num_heads=2", "model.denoiser.d_hid=16", "model.denoiser.num_layers=1",
    "model.denoiser.mlp_width=16", "model.denoiser.target_mlp_width=16", "trainer.batch_size=4",
    "trainer.epochs=2", "trainer.iters_per_epoch=4",
    "trainer.ema_start_step=5", "trainer.learning_rate=0.001",
]  # fmt: skip
ON_SLURM = [
    "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2", "hydra.launcher.timeout_min=60",
]  # fmt: skip
# As long as a run is to last, however fast the machine: its steps take a while, and compute the same.
SLOW_STEPS = "trainer._target_=slow_trainer.SlowTrainer"
NO_WAIT = "hydra.launcher.wait=false"
SECONDS = 240  # a command that takes longer hangs


def write_clips(folder: Path, character, count: int = 3) -> Path:
    for number in range(count):
        name = f"clip_{number}"
        write_clip(folder / f"{name}.safetensors", random_clip(character, number, name=name, cells=(12, 14)))
    return folder


def begun(verb: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start `python -m parc.VERB ARGUMENTS`, everything that it says in one pipe; jobs find the modules of tests."""
    here = Path(__file__).parent
    modules = os.pathsep.join(filter(None, [str(here), str(here.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": modules, **environment}
    line = [sys.executable, "-m", f"parc.{verb}", *map(str, arguments)]
    return subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        # Shells let what they start in the background ignore Ctrl-C, and all below it: not what is tested here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return exit code and output of a command."""
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise AssertionError(f"{process.args} took more than {SECONDS} s:\n{process.communicate()[0]}") from error
    return process.returncode, said


def command(verb: str, *arguments: object, **environment: str) -> tuple[int, str]:
    return ended(begun(verb, *arguments, **environment))


def jobs_of(sweep: Path) -> list[dict[str, Any]]:
    """What is recorded of a sweep's jobs."""
    return json.loads((sweep / "sweep.json").read_text())


def table_of(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def queue() -> list[str]:
    """Jobs that wait or run, a line each."""
    line = ["squeue", "--noheader", "--array", "--states=PENDING,RUNNING", "--format=%i %j %T"]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def jobs_ever_sent() -> set[str]:
    """Every job that the cluster was given. Accounting learns of them some seconds later."""
    line = ["squeue", "--noheader", "--states=all", "--format=%A"]
    return set(subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout.split())


def accounted(*job_ids: str, format: str) -> list[list[str]]:
    """Rows of accounting, one for each time that a job was started."""
    line = ["sacct", "--allocations", "--duplicates", "--noheader", "--parsable2", f"--format={format}"]
    line += ["--jobs", ",".join(job_ids)]
    rows = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout
    return [row.split("|") for row in rows.splitlines()]


def weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(run / FINAL_CHECKPOINT)
    parts = {"model": checkpoint.model, "ema": checkpoint.ema, "optimizer": checkpoint.optimizer}
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics; none before there are any."""
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
