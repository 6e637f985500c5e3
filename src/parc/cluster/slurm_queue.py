"""What SLURM says of jobs: its accounting, and its queue."""

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from parc.cluster.sweep_plan import CHAINS, Sweep, SweepJob, look_command, read_sweep
from parc.configuration.errors import UserError
from parc.stages.run_folder import SWEEP_FILE

log = logging.getLogger(__name__)

GONE = "GONE"  # neither in the queue nor, as ended, in the accounts
_SECONDS_TO_ANSWER = 60
_ENDED_FOR_GOOD = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "REVOKED")
# A job of which accounting says so may have been requeued. Only the queue knows.
_MAY_COME_BACK = ("PREEMPTED", "NODE_FAIL")
ENDED = (*_ENDED_FOR_GOOD, *_MAY_COME_BACK, GONE)
WAITING_STATES = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "SUSPENDED")
_silent: set[str] = set()  # programs of which was said that they do not answer


def is_slurm_here() -> bool:
    """Say whether this machine has a program that can be asked about jobs."""
    return any(map(shutil.which, ("sacct", "squeue")))


def array_numbers(job_ids: list[str]) -> list[str]:
    """Return SLURM's numbers of the arrays (or single jobs) that jobs belong to."""
    return sorted({job_id.partition("_")[0] for job_id in job_ids})


def slurm_states(jobs: list[SweepJob]) -> dict[str, str]:
    """Return what has become of jobs, by job id and in SLURM's words; nothing of those about which it does not answer.

    PREEMPTED and NODE_FAIL jobs will not come back: one that was requeued is PENDING. One that has ended unseen is GONE.
    """
    job_ids = [job.job_id for job in jobs if job.job_id]
    accounted = _accounted(job_ids) or {}
    ended = {job_id: accounted[job_id] for job_id in job_ids if accounted.get(job_id) in _ENDED_FOR_GOOD}
    if len(ended) == len(job_ids):
        return ended
    queued = _queued(job_ids)
    if queued is None:
        return {job_id: state for job_id, state in accounted.items() if state not in _MAY_COME_BACK}
    states = {}
    for job_id in job_ids:
        last = accounted.get(job_id)
        states[job_id] = queued.get(job_id) or (last if last in _MAY_COME_BACK else GONE)
    return states | ended


def refuse_second_sending(sweep: Sweep) -> None:
    """Check that no job of a sweep is still on the cluster, and none of another sweep or chain that does a run of it.

    Raises:
        UserError: there is one, and how to watch it or to cancel it; or SLURM does not say.
    """
    if shutil.which("squeue") is None:
        return
    for folder, job_ids in _sent_before(sweep):
        queued = _queued(job_ids)
        if queued is None:
            raise UserError(
                f"{folder}: squeue does not answer, so it is not known whether jobs of this sweep are still on the cluster; "
                "try again; nothing was started"
            )
        there = [job_id for job_id in job_ids if queued.get(job_id, GONE) not in (*ENDED, "COMPLETING")]
        if numbers := " ".join(array_numbers(there)):
            raise UserError(
                f"{folder}: jobs of this sweep are still on the cluster ({numbers}); watch them with "
                f"`{look_command(folder)} --wait`, or cancel them with `scancel {numbers}` and try again; nothing was started"
            )


def _sent_before(sweep: Sweep) -> Iterator[tuple[Path, list[str]]]:
    """Yield the folders of sweeps and chains that did runs of this one, or that it is, with the ids of those jobs."""
    runs = {str(run.folder) for run in sweep.runs}
    places = {sweep.folder, *(place for run in sweep.runs for place in (run.folder, *run.folder.parents))}
    for data in {Path(run.settings.data_dir) for run in sweep.runs}:
        places |= {path.parent for path in (data / CHAINS).glob(f"*/{SWEEP_FILE}")}
    for folder in sorted(places):
        try:
            jobs = read_sweep(folder)
        except UserError:
            if folder == sweep.folder and (folder / SWEEP_FILE).exists():
                raise
            continue  # most places have none, and others may call something else so
        sent = [job.job_id for job in jobs if job.job_id and (folder == sweep.folder or job.folder in runs)]
        if sent:
            yield folder, sent


def _accounted(job_ids: list[str]) -> dict[str, str] | None:
    command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State"]
    return _states(_answer([*command, f"--jobs={','.join(array_numbers(job_ids))}"]))


def _queued(job_ids: list[str]) -> dict[str, str] | None:
    # The queue remembers jobs for some minutes after their end.
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T"]
    return _states(_answer([*command, f"--jobs={','.join(array_numbers(job_ids))}"]))


def _states(lines: str | None) -> dict[str, str] | None:
    if lines is None:
        return None
    parted = [line.partition("|") for line in lines.splitlines()]
    return {task: state.split(" ")[0] for jobs, _, state in parted for task in _tasks(jobs.strip())}


def _tasks(jobs: str) -> Iterator[str]:
    """Yield the job ids that a line is about: 7_1, 7_3 and 7_4 of `7_[1,3-4%2]`, tasks that have not started."""
    number, bracket, tasks = jobs.partition("_[")
    if not bracket:
        yield jobs
        return
    for each in tasks.rstrip("]").partition("%")[0].split(","):  # after % comes how many may run at a time
        if part := re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", each):
            first, last, step = int(part[1]), int(part[2] or part[1]), int(part[3] or 1)
            yield from (f"{number}_{task}" for task in range(first, last + 1, step))


def _answer(command: list[str]) -> str | None:
    """Return what a program of SLURM says; None where it has nothing to say, which is told once."""
    environment = {**os.environ, "SLURM_BITSTR_LEN": "0"}  # long ranges of tasks are cut short otherwise
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_TO_ANSWER, env=environment)
        reason = answer.stderr or f"exit code {answer.returncode}"
    except (OSError, subprocess.SubprocessError) as error:
        answer, reason = None, str(error)
    if answer and answer.returncode == 0:
        return answer.stdout
    if "Invalid job id" in reason:
        return ""  # the queue has forgotten the job
    if command[0] not in _silent:
        _silent.add(command[0])
        log.warning("%s does not answer (%s)", command[0], " ".join(reason.split()))
    return None
