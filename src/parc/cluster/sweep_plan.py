"""What a sweep is: its jobs, their folders, and the record of both in the sweep's folder."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from parc.configuration.errors import UserError
from parc.configuration.files import write_text_whole

SWEEP_FILE = "sweep.json"
LONGEST_NAME = 80


@dataclass
class SweepJob:
    """A run of a sweep.

    Attributes:
        overrides: that make it differ from the others.
        folder: of its run.
        log: file with everything that it prints.
        epochs: of the whole run.
        job_id: on the cluster, where it is one.
        state: how it ended, where whoever ran it knows; None while it may still run.
    """

    overrides: list[str]
    folder: str
    log: str
    epochs: int
    job_id: str | None = None
    state: str | None = None


def job_name(swept: Sequence[str], overrides: Sequence[str]) -> str:
    """Return a folder name for a job: its swept overrides, made fit for a file system, and a hash of all overrides.

    The same at every submission, so that a sweep that is sent again continues.
    """
    slug = re.sub(r"[^A-Za-z0-9=.,_-]+", "-", ",".join(swept))[:LONGEST_NAME].strip("-.,")
    digest = hashlib.sha256(json.dumps(sorted(overrides)).encode()).hexdigest()[:8]
    return f"{slug}-{digest}" if slug else digest


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
        content: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [SweepJob(**job) for job in content]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: broken ({error}); send the sweep again to write it anew") from error
