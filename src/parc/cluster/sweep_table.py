"""How the jobs of a sweep are doing: a table for people, and sweep.csv for programs."""

import csv
import io
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from parc.cluster.sweep_plan import SweepJob
from parc.configuration.files import write_text_whole
from parc.stages.progress import Progress, progress_of_version_1, read_progress

CSV_FILE = "sweep.csv"
WIDTH_IN_A_FILE = 400
FINISHED, FAILED, STOPPED, RUNNING, WAITING = "finished", "failed", "stopped", "running", "waiting"
_COLOURS = {FINISHED: "green", FAILED: "red", STOPPED: "yellow", RUNNING: "cyan"}


def progress_of(job: SweepJob) -> Progress:
    """Return how far a job's run is, as it says in its folder; nothing is done before it has begun."""
    folder = Path(job.folder)
    return read_progress(folder) or progress_of_version_1(folder, job.total, job.unit)


def table_console() -> Console:
    """Return where tables go: as wide as the terminal, or wide enough for folders in one line where it is a file."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_IN_A_FILE)


def sweep_table(jobs: list[SweepJob], states: list[str]) -> Table:
    """Return the table of a sweep: overrides, state, progress, what to judge the runs by, folder."""
    progress = [progress_of(job) for job in jobs]
    figures = _figures(progress)
    table = Table("job", "overrides", "state", "progress", *figures)
    table.add_column("folder", overflow="fold")
    for number, (job, state, its) in enumerate(zip(jobs, states, progress, strict=True)):
        table.add_row(
            job.job_id or str(number),
            " ".join(job.overrides) or "-",
            f"[{_COLOURS.get(state, 'white')}]{state}[/]",
            f"{its.done}/{its.total} {its.unit}",
            *(f"{its.figures[name]:.4g}" if name in its.figures else "" for name in figures),
            job.folder,
        )
    return table


def write_csv(folder: Path, jobs: list[SweepJob], states: list[str]) -> Path:
    """Write the sweep's table as `sweep.csv`; return its path."""
    progress = [progress_of(job) for job in jobs]
    figures = _figures(progress)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "overrides", "state", "done", "total", "unit", *figures, "folder"])
    for number, (job, state, its) in enumerate(zip(jobs, states, progress, strict=True)):
        row: list[Any] = [job.job_id or number, " ".join(job.overrides), state, its.done, its.total, its.unit]
        writer.writerow([*row, *(its.figures.get(name) for name in figures), job.folder])
    write_text_whole(folder / CSV_FILE, text.getvalue())
    return folder / CSV_FILE


def _figures(progress: list[Progress]) -> list[str]:
    """Return the names of what jobs are judged by, in the order of the jobs."""
    return list(dict.fromkeys(name for each in progress for name in each.figures))


def last_lines(path: Path, count: int = 8) -> list[str]:
    """Return the last lines of a log."""
    if not path.is_file():
        return ["(no log)"]
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
