"""What a sweep is: its jobs, their folders, and the record of both in the sweep's folder."""

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from parc.configuration.errors import UserError
from parc.configuration.files import read_text, write_text_whole
from parc.configuration.pieces import checked_arguments
from parc.stages.overwriting import RunFiles
from parc.stages.run_folder import JOB_LOG_FILE, SWEEP_FILE
from parc.stages.settings import Length
from parc.stages.stage import Run

LONGEST_NAME = 80
CHAINS = "chains"  # the folder of all chains, in the data folder


@dataclass
class SweepJob:
    """What is recorded of a job.

    Attributes:
        overrides: that make it differ from the others.
        folder: of its run.
        log: file with everything that it prints.
        total: how long its run is.
        unit: in what that is counted: epochs, motions.
        job_id: on the cluster, where it is one.
        state: how it ended, where whoever ran it knows; None while it may still run.
    """

    overrides: list[str]
    folder: str
    log: str
    total: int
    unit: str
    job_id: str | None = None
    state: str | None = None


@dataclass
class Sweep:
    """The jobs of a sweep.

    Attributes:
        folder: of the sweep: the one that all its jobs' folders lie in; of a single job, its own.
        name: what it is called where its jobs are shown together; None for a single job.
        jobs: what is recorded of each.
        runs: what each does.
        anew: what the runs that are to start anew wrote before; whoever runs or sends the jobs deletes it.
    """

    folder: Path
    name: str | None
    jobs: list[SweepJob]
    runs: list[Run[Any]]
    anew: list[RunFiles] = field(default_factory=list)


def job_of(run: Run[Any], overrides: list[str]) -> SweepJob:
    """Return what is recorded of a job that has not been started."""
    length: Length = run.settings.length
    return SweepJob(overrides, str(run.folder), str(run.folder / JOB_LOG_FILE), length.total, length.unit)


def job_name(swept: Sequence[str], overrides: Sequence[str]) -> str:
    """Return a folder name for a job: its swept overrides, made fit for a file system, and a hash of all overrides.

    The same at every submission, so that a sweep that is sent again continues.
    """
    slug = re.sub(r"[^A-Za-z0-9=.,_-]+", "-", ",".join(swept))[:LONGEST_NAME].strip("-.,")
    digest = hashlib.sha256(json.dumps(sorted(overrides)).encode()).hexdigest()[:8]
    return f"{slug}-{digest}" if slug else digest


def look_command(folder: Path) -> str:
    """Return the command that shows a sweep."""
    return shlex.join(["python", "-m", "parc.sweep", str(folder)])


def write_sweep(folder: Path, jobs: list[SweepJob]) -> None:
    """Record a sweep in its folder."""
    write_text_whole(folder / SWEEP_FILE, json.dumps([asdict(job) for job in jobs], indent=1))


def read_sweep(folder: Path) -> list[SweepJob]:
    """Read the record of a sweep.

    Raises:
        UserError: the folder holds none, or a broken one.
    """
    path = folder / SWEEP_FILE
    if not path.is_file():
        raise UserError(
            f"{folder}: there is no {SWEEP_FILE}; expected the folder of a sweep (python -m parc.train -m ...)"
        )
    try:
        return [_read_job(number, job) for number, job in enumerate(_read_list(read_text(path)))]
    except UserError as error:
        raise UserError(
            f"{path}: broken ({error}); if none of its jobs is on the cluster (squeue --me), delete it and give the command "
            "of the sweep again, which goes on with its runs"
        ) from error


def _read_list(text: str) -> list[Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {str(error)[:160]}") from error
    if not isinstance(content, list):
        raise UserError("expected a list of jobs")
    return content


def _read_job(number: int, job: Any) -> SweepJob:
    if not isinstance(job, dict):
        raise UserError(f"job {number} is {job!r:.40}, expected what is recorded of one")
    return SweepJob(**checked_arguments(SweepJob, _up_to_date(job), f"job {number}"))


def _up_to_date(job: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a job as this version writes it: older ones knew trainings only."""
    if "epochs" not in job:
        return job
    return {
        **{name: value for name, value in job.items() if name != "epochs"},
        "total": job["epochs"],
        "unit": "epochs",
    }
