"""Sending sweeps to SLURM, through submitit, and reading how their jobs are doing."""

import contextlib
import io
import logging
import math
import shlex
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from parc.cluster.following import follow, show_sent
from parc.cluster.slurm_job import run_job
from parc.cluster.sweep_plan import SWEEP_FILE, SweepJob, read_sweep, write_sweep
from parc.cluster.sweeping import Sweep
from parc.configuration.errors import EXIT_USER_ERROR, UserError
from parc.configuration.pieces import checked_arguments
from parc.configuration.provenance import command_line

log = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class SlurmSettings:
    """What a job asks of SLURM, by submitit's names.

    Attributes:
        partition, account, qos, constraint: where jobs may run; None leaves it to the cluster.
        timeout_min: time limit, minutes.
        nodes: nodes a job.
        tasks_per_node: processes of a training on each node.
        gpus_per_node: GPUs on each node.
        cpus_per_task: processor cores of a process.
        mem_gb: memory of a node, GB.
        array_parallelism: jobs of a sweep at a time.
        setup: shell commands before a job.
        dependency: what jobs wait for, in sbatch's words.
        max_num_timeout: times that a job may be requeued after its time is over.
        signal_delay_s: seconds before its end that a job is told to save and requeue.
        additional_parameters: further ones of sbatch.
        wait: whether the command stays until all jobs have ended.
    """

    partition: str | None
    account: str | None
    qos: str | None
    timeout_min: int
    nodes: int
    tasks_per_node: int
    gpus_per_node: int | None
    cpus_per_task: int
    mem_gb: float
    constraint: str | None
    array_parallelism: int
    setup: list[str]
    dependency: str | None
    max_num_timeout: int
    signal_delay_s: int
    additional_parameters: dict[str, Any] | None
    wait: bool

    def __post_init__(self) -> None:
        for name in ("timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "array_parallelism", "mem_gb"):
            if getattr(self, name) <= 0:
                raise UserError(f"hydra.launcher.{name} is {getattr(self, name)}, expected a number above 0")
        for name in ("gpus_per_node", "max_num_timeout", "signal_delay_s"):
            if (getattr(self, name) or 0) < 0:
                raise UserError(f"hydra.launcher.{name} is {getattr(self, name)}, expected 0 or more")
        if self.signal_delay_s >= 60 * self.timeout_min:
            raise UserError(
                f"hydra.launcher.signal_delay_s is {self.signal_delay_s}, expected less than the job's time, "
                f"hydra.launcher.timeout_min = {self.timeout_min} minutes: a job would be told to stop at its start"
            )

    @property
    def tasks(self) -> int:
        """Processes of a training."""
        return self.nodes * self.tasks_per_node


def slurm_settings(launcher: dict[str, Any]) -> SlurmSettings:
    """Check a launcher's settings.

    Raises:
        UserError: names the key, what is wrong with it and what was expected.
    """
    return SlurmSettings(**checked_arguments(SlurmSettings, launcher, "hydra.launcher"))


def run_sweep(sweep: Sweep, launcher: dict[str, Any]) -> None:
    """Send a sweep as one job array; wait for its jobs where `wait` is set.

    Leaves the process with exit code 1 if any job failed.

    Raises:
        UserError: the settings are wrong, jobs of this sweep are on the cluster already, there is no SLURM here, or it
            refuses the jobs. Nothing was sent then.
    """
    settings = slurm_settings(launcher)
    refuse_second_sending(sweep.folder)
    for config in sweep.configs:
        refuse_uneven_batch(config, settings)
    send(sweep, settings)
    write_sweep(sweep.folder, sweep.jobs)
    show_sent(sweep.folder, sweep.jobs)
    if settings.wait and not follow(sweep.folder, sweep.jobs):
        sys.exit(EXIT_USER_ERROR)


def refuse_uneven_batch(config: dict[str, Any], settings: SlurmSettings) -> None:
    """Check that the processes of a job can share its batches.

    Raises:
        UserError: they cannot.
    """
    batch_size = config["trainer"]["batch_size"]
    if batch_size % settings.tasks:
        raise UserError(
            f"trainer.batch_size is {batch_size}, which hydra.launcher.nodes x tasks_per_node = {settings.tasks} processes "
            "cannot share; expected a multiple; nothing was sent"
        )


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


def array_numbers(jobs: list[SweepJob]) -> list[str]:
    """Return SLURM's numbers of the arrays (or single jobs) that jobs belong to."""
    return sorted({job.job_id.partition("_")[0] for job in jobs if job.job_id})


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
    command = command_line()
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    try:
        # submitit would print what sbatch says; it belongs in the one line.
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():
            sent = [executor.submit(run_job, {"config": config, "command": command}) for config in sweep.configs]
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
