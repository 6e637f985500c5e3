"""What runs inside a SLURM job: a named function of a plain dict, so that a job file holds no code of ours."""

import faulthandler
import signal
import sys
import time
from typing import Any

import submitit
from submitit.core.utils import UncompletedJobError
from submitit.helpers import DelayedSubmission

from parc.cluster.job import run_described
from parc.configuration.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, Interrupted, UserError
from parc.configuration.messages import show_messages
from parc.configuration.program import open_standard_streams

SECONDS_TO_BE_ENDED = 600  # a job that has saved its state waits so long for SLURM to end or requeue it


def run_job(job: dict[str, Any]) -> None:
    """Do the run of a job; every task of the SLURM job is a process of it.

    Args:
        job: what `description_of` gave.

    A run that fails leaves with exit code 1, which makes the job FAILED. One that is told to stop saves its state; SLURM
    requeues the job, and it goes on from its folder.
    """
    open_standard_streams()
    faulthandler.enable()
    show_messages()
    environment = submitit.JobEnvironment()
    if environment.num_tasks > 1:
        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
    try:
        _run(job)
        # All is done: a warning that comes while Python leaves would end the process, and make the job a failed one.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    except UserError as error:
        print(f"error: {error}", flush=True)
        sys.exit(EXIT_USER_ERROR)
    except UncompletedJobError:
        print(
            "error: the job reached its time limit more often than hydra.launcher.max_num_timeout allows; the command that sent "
            "it resumes from its last checkpoint",
            flush=True,
        )
        sys.exit(EXIT_USER_ERROR)


def _run(job: dict[str, Any]) -> None:
    try:
        run_described(job)
    except Interrupted as stop:
        print(stop, flush=True)
        _let_slurm_requeue(stop)


def resubmission(job: dict[str, Any]) -> DelayedSubmission:
    """Return what submitit runs when a job comes back: the same again, for the run's state is in its folder."""
    return DelayedSubmission(run_job, job)


# submitit asks the function that it runs, for what to requeue.
run_job.checkpoint = resubmission  # type: ignore[attr-defined]


def _let_slurm_requeue(stop: Interrupted) -> None:
    """Let submitit's own handler requeue a job that ran out of time or was preempted; otherwise wait to be ended.

    That handler raises UncompletedJobError where the job may not be requeued again.

    SIGTERM alone may be a cancelled job or one that SLURM is about to requeue by itself. Leaving early would make it a
    failed one, so it waits for SLURM to do what it means to.
    """
    if signal.SIGUSR2 in stop.signals:
        handler = signal.getsignal(signal.SIGUSR2)
        assert callable(handler)
        handler(signal.SIGUSR2, None)  # on rank 0 it does not come back
    # A signal that comes to this rank later than to another still finds submitit's handler while this one sleeps.
    time.sleep(SECONDS_TO_BE_ENDED)
    sys.exit(EXIT_INTERRUPTED)
