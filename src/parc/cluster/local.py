"""A sweep on one machine: jobs one after another, each in a process of its own."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from parc.cluster.following import conclude, draw_together
from parc.cluster.job import description_of
from parc.cluster.slurm_queue import refuse_second_sending
from parc.cluster.sweep_lock import sweep_lock
from parc.cluster.sweep_plan import Sweep, SweepJob, write_sweep
from parc.cluster.sweep_table import FAILED, FINISHED, STOPPED, WAITING, plain_console
from parc.configuration.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR
from parc.configuration.messages import duration
from parc.configuration.provenance import continue_command
from parc.stages.overwriting import delete_runs


def run_jobs(sweep: Sweep, stop_at_failure: bool = False) -> None:
    """Run the jobs of a sweep; one that fails does not stop the rest. Ends with the sweep's table and `sweep.csv`.

    Leaves the process with exit code 1 if any job failed, and 75 if it was asked to stop (Ctrl-C, SIGTERM): the job that
    runs then saves its state, and the others wait for the sweep to be given again.

    Raises:
        UserError: another command runs this sweep, jobs of it are on a cluster, or a run that is to start anew may not be
            deleted. Nothing was started then.
    """
    console = plain_console()
    running: list[subprocess.Popen[str]] = []
    with sweep_lock(sweep.folder), _signals_passed_on(running) as signals:
        refuse_second_sending(sweep)
        delete_runs(sweep.anew)
        for job in sweep.jobs:
            job.state = WAITING
        for number, (job, run) in enumerate(zip(sweep.jobs, sweep.runs, strict=True), start=1):
            if signals:
                break
            job.state = None
            write_sweep(sweep.folder, sweep.jobs)
            began = time.monotonic()
            console.print(f"[{number}/{len(sweep.jobs)}] {' '.join(job.overrides) or job.folder}", soft_wrap=True)
            code = _run_job(job, description_of(run, sweep.name), running)
            job.state = FINISHED if code == 0 else STOPPED if signals or code == EXIT_INTERRUPTED else FAILED
            took = duration(time.monotonic() - began)
            console.print(f"    {job.state} after {took}; what it said: {job.log}", soft_wrap=True)
            if signals or job.state == STOPPED or (stop_at_failure and job.state == FAILED):
                break
        write_sweep(sweep.folder, sweep.jobs)
    finished = conclude(sweep.folder)
    draw_together(sweep)
    if signals or any(job.state == STOPPED for job in sweep.jobs):
        console.print(f"stopped; to resume: {continue_command()}", soft_wrap=True)
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

    # Under nohup a terminal that is closed is no reason to stop.
    hung_up = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, *hung_up)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_job(job: SweepJob, description: dict[str, Any], running: list[subprocess.Popen[str]]) -> int:
    """Run one job, its output going to its log and to the terminal; return its exit code."""
    log = Path(job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "parc.cluster.job"],
            stdin=subprocess.PIPE,
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
            assert process.stdin and process.stdout
            with suppress(BrokenPipeError), process.stdin:  # it may end before it has read
                json.dump(description, process.stdin)
            for line in process.stdout:
                said.write(line)
                said.flush()
                print(f"    {line}", end="", flush=True)
            return process.wait()
        finally:
            if process.poll() is None:  # something went wrong here
                process.terminate()
                process.wait()
            running.remove(process)
