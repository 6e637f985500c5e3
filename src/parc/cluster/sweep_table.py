"""How the jobs of a sweep are doing: a table for people, and sweep.csv for programs."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from parc.cluster.sweep_plan import SweepJob
from parc.configuration.files import write_text_whole
from parc.pictures.metrics import METRICS_FILE
from parc.training.run_log import read_metrics

CSV_FILE = "sweep.csv"
WIDTH_IN_A_FILE = 400
FINISHED, FAILED, STOPPED, RUNNING, WAITING = "finished", "failed", "stopped", "running", "waiting"
_COLOURS = {FINISHED: "green", FAILED: "red", STOPPED: "yellow", RUNNING: "cyan"}


@dataclass(frozen=True)
class JobProgress:
    """What the run folder of a job says.

    Attributes:
        epoch: the last one with a row.
        loss: best held-out loss, or else the last training loss; None before there is any.
        heldout: whether it is a held-out loss.
    """

    epoch: int
    loss: float | None
    heldout: bool


def progress_of(job: SweepJob) -> JobProgress:
    """Read how far a job's run is."""
    rows = read_metrics(Path(job.folder) / METRICS_FILE)
    heldout = [row["heldout/loss"] for row in rows if row.get("heldout/loss") is not None]
    trained = [row["train/loss"] for row in rows if row.get("train/loss") is not None]
    loss = min(heldout) if heldout else trained[-1] if trained else None
    return JobProgress(rows[-1]["epoch"] if rows else 0, loss, bool(heldout))


def table_console() -> Console:
    """Return where tables go: as wide as the terminal, or wide enough for folders in one line where it is a file."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_IN_A_FILE)


def sweep_table(jobs: list[SweepJob], states: list[str]) -> Table:
    """Return the table of a sweep: overrides, state, progress, loss, folder."""
    table = Table("job", "overrides", "state", "epoch", "loss")
    table.add_column("folder", overflow="fold")
    for job, state in zip(jobs, states, strict=True):
        progress = progress_of(job)
        loss = "" if progress.loss is None else f"{progress.loss:.4g}{' (held out)' if progress.heldout else ''}"
        colour = _COLOURS.get(state, "white")
        table.add_row(
            job.job_id or str(jobs.index(job)),
            " ".join(job.overrides) or "-",
            f"[{colour}]{state}[/]",
            f"{progress.epoch}/{job.epochs}",
            loss,
            job.folder,
        )
    return table


def write_csv(folder: Path, jobs: list[SweepJob], states: list[str]) -> Path:
    """Write the sweep's table as `sweep.csv`; return its path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "overrides", "state", "epoch", "epochs", "loss", "loss_is_heldout", "folder"])
    for number, (job, state) in enumerate(zip(jobs, states, strict=True)):
        progress = progress_of(job)
        row: list[Any] = [job.job_id or number, " ".join(job.overrides), state, progress.epoch, job.epochs]
        writer.writerow([*row, progress.loss, progress.heldout, job.folder])
    write_text_whole(folder / CSV_FILE, text.getvalue())
    return folder / CSV_FILE


def last_lines(path: Path, count: int = 8) -> list[str]:
    """Return the last lines of a log."""
    if not path.is_file():
        return ["(no log)"]
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
