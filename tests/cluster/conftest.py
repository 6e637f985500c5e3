"""A SLURM of shell scripts: its programs answer what a test tells them to, and note what they were asked."""

import json
import os
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parc.cluster import following, slurm_queue
from parc.stages.progress import Progress, write_progress


class FakeSlurm:
    """Programs of SLURM in a folder that comes first in PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.answers("srun")
        self.answers("squeue")
        self.answers("sacct")

    def answers(self, program: str, text: str = "", error: str = "", code: int = 0, first: str = "") -> None:
        """Let a program print a text and an error, and leave with an exit code, after some shell commands."""
        path = self.folder / program
        path.write_text(
            f'#!/bin/bash\necho "$@" >> {shlex.quote(str(path))}.calls\n{first}\n'
            f"printf %s {shlex.quote(text)}\nprintf %s {shlex.quote(error)} >&2\nexit {code}\n"
        )
        path.chmod(0o755)

    def calls(self, program: str) -> list[str]:
        """Return the arguments that a program was called with, a line each."""
        calls = self.folder / f"{program}.calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{fake.folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_queue, "_silent", set())
    return fake


@pytest.fixture
def looks(monkeypatch) -> list[float]:
    """Pauses between looks, none of which is waited for: who looks for the twentieth time would look for ever."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        assert len(pauses) < 20, "followed for ever"

    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=pause))
    return pauses


def record(sweep: Path, *job_ids: str | None, **what: Any) -> list[Path]:
    """Write the record of a sweep of ten epochs a job; return the folders of its jobs."""
    runs = [sweep / f"run_{number}" for number in range(len(job_ids))]
    for run in runs:
        run.mkdir(parents=True)
    jobs = [
        {
            "overrides": [f"seed={number}"],
            "folder": str(run),
            "log": str(run / "job.log"),
            "total": 10,
            "unit": "epochs",
        }
        | {"job_id": job_id, "state": None}
        | what
        for number, (job_id, run) in enumerate(zip(job_ids, runs, strict=True))
    ]
    (sweep / "sweep.json").write_text(json.dumps(jobs))
    return runs


def finish(run: Path, total: int = 10) -> None:
    """Let a run's own files say that it is finished."""
    write_progress(run, Progress(total, total, "epochs", {"training loss": 0.5}, finished=True))
