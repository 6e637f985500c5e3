"""How far a run is: a word that it leaves in its folder, for tables. They need no code of the stage to read it."""

import contextlib
import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter

from parc.configuration.errors import UserError
from parc.configuration.files import write_text_whole
from parc.stages.metrics import METRICS_FILE, Summary, summary_of

PROGRESS_FILE = "progress.json"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: how many of what is counted.
        total: how many there are to be.
        unit: what is counted: epochs, motions.
        figures: what to judge the run by, by name.
        finished: whether the whole result is there.
    """

    done: int
    total: int
    unit: str
    figures: dict[str, float]
    finished: bool


_PROGRESS = TypeAdapter(Progress)


def write_progress(folder: Path, progress: Progress) -> None:
    """Leave word of how far a run is in its folder.

    Raises:
        UserError: the folder cannot be written.
    """
    write_text_whole(folder / PROGRESS_FILE, json.dumps(asdict(progress)) + "\n")


def read_progress(folder: Path) -> Progress | None:
    """Return how far the run of a folder is; None where it has not begun, or says nothing that can be read."""
    try:
        progress = _PROGRESS.validate_json((folder / PROGRESS_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return progress if all(map(math.isfinite, progress.figures.values())) else None


def say_finished(folder: Path, total: int, unit: str) -> None:
    """Let the word in a folder be that its run is finished, where it says otherwise or nothing."""
    progress = read_progress(folder) or progress_of_version_1(folder, total, unit)
    if not progress.finished:
        with contextlib.suppress(UserError):  # a folder that may only be read serves as well
            write_progress(folder, Progress(total, total, unit, progress.figures, finished=True))


def progress_of_version_1(folder: Path, total: int, unit: str) -> Progress:
    """Return how far the run of a folder is by its metrics: runs of version 1, trainings all, left no other word."""
    try:
        now = (folder / METRICS_FILE).stat()
        summary = _summary_as_of(folder, now.st_size, now.st_mtime_ns)
    except OSError:
        summary = Summary()
    return Progress(int(summary.latest.get("epoch", 0)), total, unit, summary.figures, finished=False)


@lru_cache(maxsize=4096)
def _summary_as_of(folder: Path, size: int, changed: int) -> Summary:
    """Return what a run's metrics came to when they had this size and time of change: whoever looks often reads them once."""
    del size, changed
    return summary_of(folder)


def done_so_far(folder: Path) -> int:
    """Return how many of what it counts the run of a folder has done; 0 where it has not begun."""
    progress = read_progress(folder)
    return progress.done if progress else 0
