"""Where results come from: versions, git commit, command and host, recorded with every run."""

import importlib.metadata
import os
import platform
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import parc

COMMAND_VARIABLE = "PARC_COMMAND"  # set for jobs that another command starts
SWEEP_VARIABLE = "PARC_SWEEP"  # set for the jobs of a sweep
_PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf", "roma", "safetensors")


def provenance() -> dict[str, str]:
    """Return versions, git commit (with "+changes" where the checkout has any), command, host and job."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "parc": parc.__version__,
        "python": platform.python_version(),
        **versions,
        "git_commit": _git_commit(),
        "command": command_line(),
        "host": socket.gethostname(),
        "job": os.environ.get("SLURM_JOB_ID", ""),
    }


def command_line() -> str:
    """Return the command that started this process, or the sweep or chain that it belongs to, to be typed again."""
    if COMMAND_VARIABLE in os.environ:
        return os.environ[COMMAND_VARIABLE]
    program = sys.argv[0]
    package = Path(parc.__file__).parent
    if Path(program).resolve().parent != package:
        return shlex.join(sys.argv)
    starter = ["python"]
    if "TORCHELASTIC_RUN_ID" in os.environ:  # set by torchrun
        starter = ["torchrun", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"]]
    return shlex.join([*starter, "-m", f"parc.{Path(program).stem}", *sys.argv[1:]])


def sweep_of_this_job() -> str | None:
    """Return the name of the sweep that this process is a job of; None where it is none."""
    return os.environ.get(SWEEP_VARIABLE)


def continue_command() -> str:
    """Return the command that goes on with what this process does: the one that began it, but it must not overwrite it."""
    words = shlex.split(command_line())
    return shlex.join(word for word in words if not word.lstrip("+").startswith("overwrite="))


def _git_commit() -> str:
    folder = Path(parc.__file__).parent
    try:
        # The package may lie in somebody's unrelated repository (a virtual environment there): only ours counts.
        top = _git(folder, "rev-parse", "--show-toplevel")
        if not folder.is_relative_to(Path(top) / "src"):
            return "unknown"
        return _git(folder, "rev-parse", "HEAD") + ("+changes" if _git(folder, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
