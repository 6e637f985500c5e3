"""Watching the jobs of a sweep until they have ended."""

import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from parc.cluster.slurm_queue import ENDED, WAITING_STATES, array_numbers, is_slurm_here, slurm_states
from parc.cluster.sweep_lock import is_being_run
from parc.cluster.sweep_plan import Sweep, SweepJob, look_command, read_sweep
from parc.cluster.sweep_table import (
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    WAITING,
    JobStatus,
    last_lines,
    plain_console,
    sweep_table,
    write_csv,
)
from parc.configuration.errors import UserError
from parc.stages.progress import Progress, progress_of_version_1, read_progress
from parc.stages.run_folder import is_locked

SECONDS_BETWEEN_LOOKS = 2.0
# Accounting lags behind the queue, so an end is believed when it has been seen so often in a row.
_LOOKS_TO_BELIEVE = 2


def show_sent(folder: Path, jobs: list[SweepJob]) -> None:
    """Print job ids, overrides, folders and log files of a sweep that was sent."""
    console = plain_console()
    console.print(
        sweep_table([JobStatus(job, WAITING, _progress(job, read_progress(Path(job.folder)))) for job in jobs])
    )
    for job in jobs:
        console.print(f"log of {job.job_id}: {job.log}", soft_wrap=True)
    console.print(f"later: {look_command(folder)}", soft_wrap=True)


def say_that_jobs_run_on(folder: Path, jobs: list[SweepJob]) -> None:
    """Print how to come back to the jobs of a sweep, and how to cancel those that were sent."""
    console = plain_console()
    job_ids = [job.job_id for job in jobs if job.job_id]
    console.print("the jobs keep running")
    console.print(f"to come back: {look_command(folder)}", soft_wrap=True)
    if job_ids:
        console.print(f"to cancel them: scancel {' '.join(array_numbers(job_ids))}", soft_wrap=True)


def look(folder: Path) -> list[JobStatus]:
    """Return how each job of a sweep is doing.

    SLURM says what has become of a job, and the runs' own files how far they are and whether they are finished; for a
    local sweep its record says what SLURM would.

    Raises:
        UserError: the folder holds no sweep, or SLURM is not on this machine and not all its jobs are finished.
    """
    jobs = read_sweep(folder)
    said = [read_progress(Path(job.folder)) for job in jobs]
    known = _known_to_slurm(jobs, said)
    is_run_here = is_being_run(folder)
    return [
        JobStatus(
            job,
            _state_of_sent(job, its, known.get(job.job_id)) if job.job_id else _state_of_local(job, its, is_run_here),
            _progress(job, its),
        )
        for job, its in zip(jobs, said, strict=True)
    ]


def _known_to_slurm(jobs: list[SweepJob], said: list[Progress | None]) -> dict[str, str]:
    sent = [job for job in jobs if job.job_id]
    if sent and is_slurm_here():
        return slurm_states(sent)
    if all(_is_finished(job, its) for job, its in zip(jobs, said, strict=True) if job.job_id):
        return {}
    raise UserError("there is neither sacct nor squeue on this machine; ask where SLURM is")


def _progress(job: SweepJob, said: Progress | None) -> Progress:
    return said or progress_of_version_1(Path(job.folder), job.total, job.unit)


def _is_finished(job: SweepJob, said: Progress | None) -> bool:
    # What a run said before it was made longer no longer holds.
    return said is not None and said.finished and said.total == job.total


def _state_of_sent(job: SweepJob, said: Progress | None, slurm: str | None) -> str:
    finished = _is_finished(job, said)
    if slurm in ENDED:
        # A run of version 1 says nothing of how far it is; one that has failed leaves with another exit code.
        if finished or (slurm == "COMPLETED" and (said is None or said.finished)):
            return FINISHED
        return STOPPED if slurm in ("CANCELLED", "PREEMPTED") else FAILED
    if slurm is not None and slurm not in WAITING_STATES:
        return RUNNING
    # SLURM may hear of a job's start seconds after its first epoch.
    if is_locked(Path(job.folder)):
        return RUNNING
    return FINISHED if slurm is None and finished else WAITING


def _state_of_local(job: SweepJob, said: Progress | None, is_run_here: bool) -> str:
    if _is_finished(job, said):
        return FINISHED
    if job.state is None:  # has begun, and may have been killed since
        return RUNNING if is_run_here or is_locked(Path(job.folder)) else STOPPED
    return STOPPED if job.state == WAITING and not is_run_here else job.state


def follow(folder: Path) -> bool:
    """Show a live table of a sweep's jobs until all have ended, then the end; return whether all finished.

    Ctrl-C leaves the jobs running and says how to come back or cancel.

    Raises:
        UserError: as of `look`.
    """
    console = plain_console()
    seen = 0
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while seen < _LOOKS_TO_BELIEVE:
                statuses = look(folder)
                seen = seen + 1 if all(each.state in (FINISHED, FAILED, STOPPED) for each in statuses) else 0
                live.update(sweep_table(statuses), refresh=console.is_terminal)
                time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        say_that_jobs_run_on(folder, read_sweep(folder))
        return True
    return conclude(folder)


def conclude(folder: Path) -> bool:
    """Print the table of a sweep and the ends of the logs of failed jobs, write `sweep.csv` where that can be.

    Returns:
        Whether none has failed or was stopped.

    Raises:
        UserError: as of `look`.
    """
    console = plain_console()
    statuses = look(folder)
    console.print(sweep_table(statuses))
    try:
        console.print(f"table: {write_csv(folder, statuses)}", soft_wrap=True)
    except UserError as error:
        console.print(f"the table is not kept: {error}", soft_wrap=True)
    for job in (each.job for each in statuses if each.state == FAILED):
        _show_failure(console, job)
    well = not any(each.state in (FAILED, STOPPED) for each in statuses)
    if not well:
        console.print("the same command resumes them; what is finished stays as it is")
    return well


def draw_together(sweep: Sweep) -> None:
    """Draw what the runs of a sweep found beside one another, where their stage can."""
    stage = sweep.runs[0].stage
    if stage.compare is None or len(sweep.runs) == 1 or any(run.stage is not stage for run in sweep.runs):
        return
    try:
        picture = stage.compare(sweep.folder)
    except UserError as error:
        plain_console().print(f"nothing is drawn: {error}", soft_wrap=True)
        return
    if picture is not None:
        plain_console().print(f"picture: {picture}", soft_wrap=True)


def _show_failure(console: Console, job: SweepJob) -> None:
    """Print the end of the log of a failed job, or why there may be none."""
    log = Path(job.log)
    lines = last_lines(log)
    if not lines and job.job_id:
        command = f"sacct --jobs={job.job_id} --format=JobID,State,ExitCode,NodeList"
        console.print(
            f"failed: {job.folder}, without a log ({log}): its node may not see this folder; `{command}` names the node",
            soft_wrap=True,
        )
        return
    console.print(f"failed: {job.folder}, the end of {log}:", soft_wrap=True)
    for line in lines or ["(no log)"]:
        console.print(f"    {line}", soft_wrap=True)
    # One process of several fails first, and seldom the one whose log is shown.
    others = set(log.parent.glob(f"{job.job_id}_*_log.out")) - {log} if job.job_id else set()
    for other in sorted(others):
        causes = [line for line in last_lines(other) if line.startswith("error: ")]
        if causes:
            console.print(f"{other}: {causes[-1]}", soft_wrap=True)
