"""Watching the jobs of a sweep until they have ended."""

import time
from pathlib import Path

from rich.live import Live

from parc.cluster.slurm_queue import slurm_states
from parc.cluster.sweep_plan import SweepJob
from parc.cluster.sweep_table import (
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    WAITING,
    last_lines,
    sweep_table,
    table_console,
    write_csv,
)
from parc.stages.progress import read_progress
from parc.stages.run_folder import is_locked

SECONDS_BETWEEN_LOOKS = 2.0
# A job that SLURM calls so will not run again. PREEMPTED and NODE_FAIL jobs come back.
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "REVOKED")
# Accounting lags behind the queue, so an end is believed when it has been seen so often in a row.
_LOOKS_TO_BELIEVE = 2


def show_sent(folder: Path, jobs: list[SweepJob]) -> None:
    """Print job ids, overrides, folders and log files of a sweep that was sent."""
    console = table_console()
    console.print(sweep_table(jobs, [WAITING] * len(jobs)))
    for job in jobs:
        console.print(f"log of {job.job_id}: {job.log}", highlight=False, soft_wrap=True)
    console.print(f"later: python -m parc.sweep {folder}", highlight=False, soft_wrap=True)


def job_states(jobs: list[SweepJob]) -> list[str]:
    """Return how each job is doing: from SLURM's accounting and the run folders, or from the record of a local sweep."""
    known = slurm_states(jobs) if any(job.job_id for job in jobs) else {}
    return [_state(job, known.get(job.job_id or "")) for job in jobs]


def _state(job: SweepJob, slurm: str | None) -> str:
    if job.job_id is None:
        return job.state or (RUNNING if is_locked(Path(job.folder)) else STOPPED)
    if slurm is None or slurm in ("PENDING", "REQUEUED", "SUSPENDED", "PREEMPTED", "NODE_FAIL"):
        # Accounting may hear of a job's start seconds after its first epoch.
        return RUNNING if is_locked(Path(job.folder)) else WAITING
    if slurm not in _ENDED:
        return RUNNING
    if slurm == "COMPLETED":
        progress = read_progress(Path(job.folder))
        # A run of version 1 says nothing of how far it is; one that has failed leaves with another exit code.
        return FINISHED if progress is None or progress.finished else FAILED
    return STOPPED if slurm == "CANCELLED" else FAILED


def follow(folder: Path, jobs: list[SweepJob]) -> bool:
    """Show a live table of the jobs until all have ended, then the end; return whether all finished.

    Ctrl-C leaves the jobs running and says how to come back or cancel.
    """
    console = table_console()
    seen = 0
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while seen < _LOOKS_TO_BELIEVE:
                states = job_states(jobs)
                seen = seen + 1 if all(state in (FINISHED, FAILED, STOPPED) for state in states) else 0
                live.update(sweep_table(jobs, states), refresh=console.is_terminal)
                time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        numbers = " ".join(sorted({(job.job_id or "").partition("_")[0] for job in jobs}))
        console.print("the jobs keep running", highlight=False)
        console.print(f"to come back: python -m parc.sweep {folder}", highlight=False, soft_wrap=True)
        console.print(f"to cancel them: scancel {numbers}", highlight=False)
        return True
    return conclude(folder, jobs)


def conclude(folder: Path, jobs: list[SweepJob]) -> bool:
    """Print the table of a sweep and the ends of the logs of failed jobs, write `sweep.csv`.

    Returns:
        Whether none has failed or was stopped.
    """
    console = table_console()
    states = job_states(jobs)
    console.print(sweep_table(jobs, states))
    console.print(f"table: {write_csv(folder, jobs, states)}", highlight=False, soft_wrap=True)
    for job in (job for job, state in zip(jobs, states, strict=True) if state == FAILED):
        log = Path(job.log)
        console.print(f"failed: {job.folder}, the end of {log}:", highlight=False, markup=False, soft_wrap=True)
        for line in last_lines(log):
            console.print(f"    {line}", highlight=False, markup=False, soft_wrap=True)
        # One process of several fails first, and seldom the one whose log is shown.
        others = set(log.parent.glob(f"{job.job_id}_*_log.out")) - {log} if job.job_id else set()
        for other in sorted(others):
            causes = [line for line in last_lines(other) if line.startswith("error: ")]
            if causes:
                console.print(f"{other}: {causes[-1]}", highlight=False, markup=False, soft_wrap=True)
    if FAILED in states or STOPPED in states:
        console.print("the same command resumes them; what is finished stays as it is", highlight=False)
    return FAILED not in states and STOPPED not in states
