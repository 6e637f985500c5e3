"""A SLURM of shell scripts: its programs answer what a test tells them to, and note what they were asked."""

import os
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from parc.cluster import following, slurm_queue


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
