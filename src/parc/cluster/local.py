"""A sweep on one machine: jobs one after another, each in a process of its own."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from parc.cluster.following import conclude
from parc.cluster.job import description_of
from parc.cluster.sweep_plan import Sweep, SweepJob, write_sweep
from parc.cluster.sweep_table import FAILED, FINISHED, STOPPED, WAITING
from parc.configuration.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR
from parc.configuration.messages import duration
from parc.configuration.provenance import continue_command

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_jobs(sweep: Sweep, stop_at_failure: bool = False) -> None:
    """Run the jobs of a sweep; one that fails does not stop the rest. Ends with the sweep's table and `sweep.csv`.

    Leaves the process with exit code 1 if any job failed, and 75 if it was asked to stop (Ctrl-C, SIGTERM): the job that
    runs then saves its state, and the others wait for the sweep to be given again.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for job in sweep.jobs:
        job.state = WAITING
    running: list[subprocess.Popen[str]] = []
    with _signals_passed_on(running) as signals:
        for number, (job, run) in enumerate(zip(sweep.jobs, sweep.runs, strict=True), start=1):
            job.state = None
            write_sweep(sweep.folder, sweep.jobs)
            began = time.monotonic()
            console.print(f"[{number}/{len(sweep.jobs)}] {' '.join(job.overrides) or job.folder}")
            code = _run_job(job, description_of(run, sweep.name), running)
            job.state = FINISHED if code == 0 else STOPPED if signals or code == EXIT_INTERRUPTED else FAILED
            console.print(f"    {job.state} after {duration(time.monotonic() - began)}; what it said: {job.log}")
            if signals or job.state == STOPPED or (stop_at_failure and job.state == FAILED):
                break
    write_sweep(sweep.folder, sweep.jobs)
    finished = conclude(sweep.folder, sweep.jobs)
    if signals or any(job.state == STOPPED for job in sweep.jobs):
        console.print(f"stopped; to resume: {continue_command()}")
        sys.exit(EXIT_INTERRUPTED)
    if not finished:
        sys.exit(EXIT_USER_ERROR)


@contextmanager
def _signals_passed_on(running: list[subprocess.Popen[str]]) -> Iterator[list[int]]:
    """Note signals that ask for a stop, and pass each on to the job that runs, once."""
    seen: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        seen.append(number)
        for process in running:
            process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    before = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_job(job: SweepJob, description: dict[str, Any], running: list[subprocess.Popen[str]]) -> int:
    """Run one job, its output going to its log and to the terminal; return its exit code."""
    log = Path(job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as described, log.open("a", encoding="utf-8") as said:
        json.dump(description, described)
        described.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "parc.cluster.job"],
            stdin=described,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # A terminal sends Ctrl-C to all processes of a session: the job is to get it once, from here.
            start_new_session=True,
        )
        running.append(process)
        try:
            assert process.stdout
            for line in process.stdout:
                said.write(line)
                said.flush()
                print(f"    {line}", end="", flush=True)
            return process.wait()
        finally:
            if process.poll() is None:  # whoever read what this process prints has gone
                process.terminate()
                process.wait()
            running.remove(process)
