"""What SLURM says of jobs: its accounting, and its queue."""

import contextlib
import logging
import subprocess
from pathlib import Path

from parc.cluster.sweep_plan import SWEEP_FILE, SweepJob, read_sweep
from parc.configuration.errors import UserError

log = logging.getLogger(__name__)


def array_numbers(jobs: list[SweepJob]) -> list[str]:
    """Return SLURM's numbers of the arrays (or single jobs) that jobs belong to."""
    return sorted({job.job_id.partition("_")[0] for job in jobs if job.job_id})


def slurm_states(jobs: list[SweepJob]) -> dict[str, str]:
    """Return what SLURM's accounting says of jobs, by job id; nothing of those that it does not know (yet)."""
    command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State"]
    command += ["--jobs", ",".join(array_numbers(jobs))]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except FileNotFoundError as error:
        raise UserError("there is no sacct on this machine; ask where SLURM is") from error
    except subprocess.SubprocessError as error:
        # Accounting has its hiccups: the next look may succeed.
        log.warning("sacct does not answer (%s)", " ".join(str(getattr(error, "stderr", "") or error).split()))
        return {}
    states = {}
    for line in answer.splitlines():
        job_id, _, state = line.partition("|")
        states[job_id] = state.split(" ")[0]
    return states


def refuse_second_sending(folder: Path) -> None:
    """Check that no job of a sweep is still on the cluster.

    Raises:
        UserError: there is one; says how to watch it or to cancel it.
    """
    if not (folder / SWEEP_FILE).is_file():
        return
    sent = array_numbers(read_sweep(folder))
    if not sent:
        return
    command = ["squeue", "--noheader", "--format=%F", "--states=PENDING,RUNNING,SUSPENDED", f"--jobs={','.join(sent)}"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # it does not know jobs that ended long ago
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        if there := sorted(set(answer.split())):
            numbers = " ".join(there)
            raise UserError(
                f"{folder}: jobs of this sweep are still on the cluster ({numbers}); watch them with `python -m parc.sweep "
                f"{folder} --wait`, or cancel them with `scancel {numbers}` and try again; nothing was sent"
            )
