"""Sending sweeps to SLURM, through submitit."""

import contextlib
import io
import logging
import math
import shlex
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from parc.cluster.following import draw_together, follow, say_that_jobs_run_on, show_sent
from parc.cluster.job import description_of
from parc.cluster.slurm_job import run_job
from parc.cluster.slurm_queue import array_numbers, refuse_second_sending
from parc.cluster.slurm_settings import SlurmSettings, slurm_settings
from parc.cluster.sweep_lock import stop_signals_held_back, sweep_lock
from parc.cluster.sweep_plan import Sweep, SweepJob, write_sweep
from parc.configuration.errors import EXIT_USER_ERROR, UserError
from parc.stages.overwriting import delete_runs
from parc.stages.run_folder import SUBMITIT_FOLDER, SWEEP_FILE
from parc.stages.stage import Run

log = logging.getLogger(__name__)

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
    for run in sweep.runs:
        _refuse_uneven_processes(run, settings)
    _refuse_patterns(sweep.folder)
    with sweep_lock(sweep.folder):
        refuse_second_sending(sweep)
        delete_runs(sweep.anew)
        try:
            _send_and_record(sweep, settings, sweep.jobs)
        except KeyboardInterrupt:
            if sweep.jobs[0].job_id:
                say_that_jobs_run_on(sweep.folder, sweep.jobs)
            raise
    _show_and_follow(sweep, settings)


def run_chain(chain: Sweep, launchers: list[dict[str, Any]]) -> None:
    """Send each run of a chain as a job that starts once the one before it has finished; SLURM cancels it if that one fails.

    Args:
        chain: the runs, in order.
        launchers: settings of the launcher for each.

    Raises:
        UserError: as of `run_sweep`.
    """
    settings = [slurm_settings(each) for each in launchers]
    for run, its in zip(chain.runs, settings, strict=True):
        _refuse_uneven_processes(run, its)
    _refuse_patterns(chain.folder)
    # Chains of other iterations beside it may have runs in common with it.
    with sweep_lock(chain.folder.parent), sweep_lock(chain.folder):
        refuse_second_sending(chain)
        delete_runs(chain.anew)
        _send_links(chain, settings)
    _show_and_follow(chain, settings[0])


def _show_and_follow(sweep: Sweep, settings: SlurmSettings) -> None:
    show_sent(sweep.folder, sweep.jobs)
    if settings.wait:
        finished = follow(sweep.folder)
        draw_together(sweep)
        if not finished:
            sys.exit(EXIT_USER_ERROR)


def _send_links(chain: Sweep, settings: list[SlurmSettings]) -> None:
    record = chain.folder / SWEEP_FILE
    earlier = record.read_bytes() if record.exists() else None
    dependency: dict[str, Any] = {}
    try:
        for number, (job, run, its) in enumerate(zip(chain.jobs, chain.runs, settings, strict=True), start=1):
            if number > 1:
                waits = {"kill-on-invalid-dep": "yes", **(its.additional_parameters or {})}
                dependency = {"dependency": f"afterok:{chain.jobs[number - 2].job_id}", "additional_parameters": waits}
            link = Sweep(chain.folder, None, [job], [run])
            _send_and_record(link, replace(its, **dependency), chain.jobs[:number])
    except BaseException:
        # A chain that is not whole, nobody asked for.
        with stop_signals_held_back():
            if _cancel(chain.jobs):
                record.unlink(missing_ok=True)
                if earlier is not None:
                    record.write_bytes(earlier)
        raise


def _send_and_record(sweep: Sweep, settings: SlurmSettings, jobs: list[SweepJob]) -> None:
    """Send the jobs of a sweep, and record all that were sent so far: no signal comes between.

    Raises:
        UserError: they were not sent, or cannot be recorded and were cancelled.
        KeyboardInterrupt: a signal came; they were sent and are recorded.
    """
    with stop_signals_held_back():
        _send(sweep, settings)
        try:
            write_sweep(sweep.folder, jobs)
        except UserError as error:
            if _cancel(jobs):
                raise UserError(f"{error}; the jobs were cancelled") from error
            raise


def _refuse_patterns(folder: Path) -> None:
    """Check that SLURM takes a folder's path as it is.

    Raises:
        UserError: it would expand part of it.
    """
    if "%" in str(folder.absolute()) or "\\" in str(folder.absolute()):
        raise UserError(
            f"{folder}: SLURM reads % in a path as a pattern (of the job's number, for instance) and \\ as an escape; choose a "
            "folder without them (output_dir=, data_dir=); nothing was sent"
        )


def _refuse_uneven_processes(run: Run[Any], settings: SlurmSettings) -> None:
    """Check that the processes of a job can share its run.

    Raises:
        UserError: they cannot.
    """
    try:
        run.settings.refuse_processes(settings.tasks)
    except UserError as error:
        raise UserError(f"{error} (hydra.launcher.nodes x tasks_per_node); nothing was sent") from error


def _send(sweep: Sweep, settings: SlurmSettings) -> None:
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


def _cancel(jobs: list[SweepJob]) -> bool:
    """Cancel jobs as far as they were sent; say whether SLURM has done so."""
    numbers = array_numbers([job.job_id for job in jobs if job.job_id])
    if not numbers:
        return True
    try:
        answer = subprocess.run(["scancel", *numbers], capture_output=True, text=True, timeout=60, check=False)
        reason = (answer.stderr or f"exit code {answer.returncode}") if answer.returncode else ""
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(error)
    if reason:
        reason = " ".join(reason.split())
        log.warning("jobs that were sent could not be cancelled (%s); later: scancel %s", reason, " ".join(numbers))
    return not reason
