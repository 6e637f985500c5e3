"""How the jobs of a sweep are doing: a table for people, and sweep.csv for programs."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parc.cluster.sweep_plan import SweepJob
from parc.configuration.files import write_text_whole
from parc.stages.progress import Progress
from parc.stages.run_folder import SWEEP_TABLE

WIDTH_IN_A_FILE = 400
FINISHED, FAILED, STOPPED, RUNNING, WAITING = "finished", "failed", "stopped", "running", "waiting"
_COLOURS = {FINISHED: "green", FAILED: "red", STOPPED: "yellow", RUNNING: "cyan"}
_LONGEST_END = 64 * 1024  # bytes of a log that are read for its last lines


@dataclass(frozen=True)
class JobStatus:
    """How a job is doing.

    Attributes:
        job: what is recorded of it.
        state: finished, failed, stopped, running or waiting.
        progress: how far its run is.
    """

    job: SweepJob
    state: str
    progress: Progress


def plain_console() -> Console:
    """Return where tables and messages go: whatever users typed is shown as it is, never read as markup.

    As wide as the terminal, or wide enough for folders in one line where it is a file.
    """
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_IN_A_FILE
    return console


def sweep_table(statuses: list[JobStatus]) -> Table:
    """Return the table of a sweep: overrides, state, progress, what to judge the runs by, folder."""
    figures = _figures(statuses)
    table = Table("job", "overrides", "state", "progress", *figures)
    table.add_column("folder", overflow="fold")
    for number, status in enumerate(statuses):
        job, its = status.job, status.progress
        table.add_row(
            job.job_id or str(number),
            " ".join(job.overrides) or "-",
            Text(status.state, style=_COLOURS.get(status.state, "white")),
            f"{its.done}/{its.total} {its.unit}",
            *(f"{its.figures[name]:.4g}" if name in its.figures else "" for name in figures),
            job.folder,
        )
    return table


def write_csv(folder: Path, statuses: list[JobStatus]) -> Path:
    """Write the sweep's table as `sweep.csv`; return its path.

    Raises:
        UserError: the folder cannot be written.
    """
    figures = _figures(statuses)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "overrides", "state", "done", "total", "unit", *figures, "folder"])
    for number, status in enumerate(statuses):
        job, its = status.job, status.progress
        row: list[Any] = [job.job_id or number, " ".join(job.overrides), status.state, its.done, its.total, its.unit]
        writer.writerow([*row, *(its.figures.get(name) for name in figures), job.folder])
    write_text_whole(folder / SWEEP_TABLE, text.getvalue())
    return folder / SWEEP_TABLE


def _figures(statuses: list[JobStatus]) -> list[str]:
    """Return the names of what jobs are judged by, in the order of the jobs."""
    return list(dict.fromkeys(name for each in statuses for name in each.progress.figures))


def last_lines(path: Path, count: int = 8) -> list[str]:
    """Return the last lines of a log, however long it is; none where it cannot be read."""
    try:
        with path.open("rb") as log:
            length = log.seek(0, io.SEEK_END)
            log.seek(max(0, length - _LONGEST_END))
            return log.read().decode("utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []
