"""What the process of a job does: the run of a config, whatever its stage."""

import json
import os
import sys
from typing import Any

from parc.configuration.messages import show_messages
from parc.configuration.older_configs import up_to_date
from parc.configuration.program import run_program
from parc.configuration.provenance import COMMAND_VARIABLE, SWEEP_VARIABLE, command_line
from parc.configuration.trusted import trust, trusted_packages
from parc.stages.stage import Run, read_run


def description_of(run: Run[Any], sweep: str | None) -> dict[str, Any]:
    """Return what another process needs to do a run, as plain values.

    Args:
        run: to be done; its config names its stage.
        sweep: that it is a job of; None for a job by itself.
    """
    return {
        "config": run.settings.record.versioned,
        "command": command_line(),
        "sweep": sweep,
        "packages": trusted_packages(),
    }


def run_described(job: dict[str, Any]) -> None:
    """Do the run of a job (see `description_of`).

    Raises:
        UserError: an input or the folder is not as it should be.
        Interrupted: a signal came; the state is saved, and the same job continues.
    """
    os.environ[COMMAND_VARIABLE] = job["command"]
    # A job may have waited in a queue since an older version sent it, which told it less.
    if job.get("sweep") is not None:
        os.environ[SWEEP_VARIABLE] = job["sweep"]
    trust(job.get("packages", []))
    read_run(up_to_date(job["config"], "the job")).start()


def main() -> None:
    """Do the run that is described on standard input."""
    show_messages()
    run_described(json.load(sys.stdin))


if __name__ == "__main__":
    run_program(main)
