"""Sending sweeps to SLURM, through submitit."""

import contextlib
import io
import math
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from parc.cluster.following import follow, show_sent
from parc.cluster.job import description_of
from parc.cluster.slurm_job import run_job
from parc.cluster.slurm_queue import array_numbers, refuse_second_sending
from parc.cluster.slurm_settings import SlurmSettings, slurm_settings
from parc.cluster.sweep_plan import Sweep, SweepJob, write_sweep
from parc.configuration.errors import EXIT_USER_ERROR, UserError
from parc.stages.stage import Run

SUBMITIT_FOLDER = "submitit"
# Until Python has installed its handlers, SIGUSR2 would end a process, and a preempted job would be a failed one: the
# shell ignores it until, milliseconds later, it is held back for training.
_HOLD_EARLY_WARNINGS = [
    "sh",
    "-c",
    'trap "" USR2; exec "$0" "$@"',
    sys.executable,
    str(Path(__file__).with_name("hold_warnings.py")),
    sys.executable,
]


def run_sweep(sweep: Sweep, launcher: dict[str, Any]) -> None:
    """Send a sweep as one job array; wait for its jobs where `wait` is set.

    Leaves the process with exit code 1 if any job failed.

    Raises:
        UserError: the settings are wrong, jobs of this sweep are on the cluster already, there is no SLURM here, or it
            refuses the jobs. Nothing was sent then.
    """
    settings = slurm_settings(launcher)
    refuse_second_sending(sweep.folder)
    for run in sweep.runs:
        refuse_uneven_processes(run, settings)
    send(sweep, settings)
    write_sweep(sweep.folder, sweep.jobs)
    show_sent(sweep.folder, sweep.jobs)
    if settings.wait and not follow(sweep.folder, sweep.jobs):
        sys.exit(EXIT_USER_ERROR)


def refuse_uneven_processes(run: Run[Any], settings: SlurmSettings) -> None:
    """Check that the processes of a job can share its run.

    Raises:
        UserError: they cannot.
    """
    try:
        run.settings.refuse_processes(settings.tasks)
    except UserError as error:
        raise UserError(f"{error} (hydra.launcher.nodes x tasks_per_node); nothing was sent") from error


def send(sweep: Sweep, settings: SlurmSettings) -> None:
    """Send the jobs of a sweep as one array (one job alone as itself), and note their numbers and logs.

    Raises:
        UserError: there is no SLURM here, or it refuses the jobs.
    """
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    folder = (sweep.folder / SUBMITIT_FOLDER).absolute()
    try:
        executor = submitit.SlurmExecutor(folder, max_num_timeout=settings.max_num_timeout)
    except RuntimeError as error:
        raise UserError(
            f"hydra/launcher=slurm: there is no srun on this machine ({error}); run it where SLURM is"
        ) from error
    executor.python = shlex.join(_HOLD_EARLY_WARNINGS)
    # One log a process: what it said and what went wrong belong together.
    executor.update_parameters(job_name=f"parc-{sweep.folder.name}", stderr_to_stdout=True, **_parameters(settings))
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    try:
        # submitit would print what sbatch says; it belongs in the one line.
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():
            sent = [executor.submit(run_job, description_of(run, sweep.name)) for run in sweep.runs]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        _remove_leftovers(folder, before, missing)
        reason = "; ".join(line.removeprefix("sbatch: error: ") for line in str(error).splitlines() if line.strip())
        raise UserError(f"hydra/launcher=slurm: sbatch refused the jobs ({reason[:300]}); nothing was sent") from error
    for job, submitted in zip(sweep.jobs, sent, strict=True):
        job.job_id = submitted.job_id
        job.log = str(folder / f"{submitted.job_id}_0_log.out")


def _parameters(settings: SlurmSettings) -> dict[str, Any]:
    """Return settings by the names of submitit's SlurmExecutor."""
    options = {each.name: getattr(settings, each.name) for each in fields(settings)}
    for name in ("wait", "max_num_timeout", "mem_gb"):
        del options[name]
    renamed = {"timeout_min": "time", "tasks_per_node": "ntasks_per_node"}
    given = {renamed.get(name, name): value for name, value in options.items() if value not in (None, [])}
    return given | {
        "mem": f"{math.ceil(settings.mem_gb * 1024)}MB",
        # Since SLURM 22.05, srun does not take over the job's number of processor cores. A process that fails has to take
        # the others with it, which might wait for it for ever.
        "srun_args": [
            f"--cpus-per-task={settings.cpus_per_task}",
            *(["--kill-on-bad-exit=1"] if settings.tasks > 1 else []),
        ],
        # Clusters may have it that jobs are not requeued unless they say so.
        "additional_parameters": {"requeue": True, **(settings.additional_parameters or {})},
    }


def _remove_leftovers(folder: Path, before: set[Path], made: list[Path]) -> None:
    """Take away what submitit wrote for jobs that were not sent, and folders that were made for it, innermost first."""
    for path in set(folder.iterdir()) - before:
        path.unlink()
    with contextlib.suppress(OSError):  # there is something else in it
        for each in made:
            each.rmdir()


def cancel(jobs: list[SweepJob]) -> None:
    """Cancel jobs that were sent."""
    if numbers := array_numbers(jobs):
        subprocess.run(["scancel", *numbers], timeout=60, check=False)
