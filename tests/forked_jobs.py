"""Jobs of a sweep or chain on one machine, in processes forked off one that has everything imported: each starts at once."""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from parc.cluster.job import run_described
from parc.configuration.errors import exit_with_one_line
from parc.configuration.messages import show_messages

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["parc.training.stage", "torch.distributed"])


def run_job(job, description: dict[str, Any], _: list) -> int:
    """Run a job as `parc.cluster.local` does, which this stands in for; return its exit code."""
    log = Path(job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    process = _PROCESSES.Process(target=_do, args=(description, log))
    process.start()
    process.join()
    sys.stdout.write(log.read_text())
    assert process.exitcode is not None
    return process.exitcode


def _do(description: dict[str, Any], log: Path) -> None:
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
    show_messages()
    exit_with_one_line(lambda: run_described(description))
