"""Beginning a run anew: what the run before wrote is deleted, file by file, and nothing else in its folder."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from parc.configuration.errors import UserError
from parc.configuration.files import unwritable
from parc.stages.metrics import METRICS_FILE
from parc.stages.progress import PROGRESS_FILE
from parc.stages.run_folder import (
    JOB_LOG_FILE,
    LOCK_FILE,
    OWNER_FILE,
    SUBMITIT_FOLDER,
    SWEEP_FILE,
    SWEEP_LOCK,
    SWEEP_TABLE,
    is_lock,
    lock_run_folder,
    refuse_locked,
)

log = logging.getLogger(__name__)

FileName: TypeAlias = str | re.Pattern[str]  # a pattern fits the whole of a name
FileNames: TypeAlias = Mapping[str, Sequence[FileName]]  # by the folder in the run's that they lie in, "" for its own
EVERY_FOLDER = "*"  # at the end of a folder's name: each folder right in that one, of files whose names say enough

WRITTEN_BY_EVERY_RUN: Sequence[FileName] = (METRICS_FILE, PROGRESS_FILE, JOB_LOG_FILE)
# The sweep's that a run belongs to, which goes on; and what Weights & Biases may have to send yet.
_KEPT = (SWEEP_FILE, SWEEP_TABLE, SWEEP_LOCK, SUBMITIT_FOLDER, "wandb")
_MOST_NAMED = 8


@dataclass(frozen=True)
class RunFiles:
    """What a run writes. Whatever else lies in its folder is not its own, and is never deleted.

    Attributes:
        folder: the run's.
        config: name of the file that keeps its config; once it is there, the run has begun.
        others: names of what it writes besides, and besides what every run writes.
    """

    folder: Path
    config: str
    others: FileNames

    @property
    def by_folder(self) -> dict[Path, Sequence[FileName]]:
        """The names by the folder that they lie in, the run's own last and without its config."""
        inner = {
            folder: names
            for name, names in self.others.items()
            if name
            for folder in (
                _folders_in(self.folder / name[:-1]) if name.endswith(EVERY_FOLDER) else [self.folder / name]
            )
        }
        return {**inner, self.folder: (*self.others.get("", ()), *WRITTEN_BY_EVERY_RUN)}


def _folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder; no links, which lead to what is somebody else's."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in inside if path.is_dir() and not path.is_symlink() and path.name not in _KEPT]


def delete_runs(runs: Sequence[RunFiles]) -> None:
    """Delete what runs wrote, so that they begin anew: of all of them, or of none if one may not be deleted.

    Args:
        runs: what each writes, and where.

    Raises:
        UserError: a folder is no run's, or a live process works in it or below it, or this is one of several processes.
    """
    if runs and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(
            "overwrite=true: this is one of several processes, and each would delete what another may be writing; "
            f"delete {runs[0].folder} first, or give another output_dir"
        )
    begun = {run.folder: run for run in runs if _is_begun(run)}
    with ExitStack() as held:
        for folder in begun:
            held.enter_context(lock_run_folder(folder))
        for folder in begun:
            _refuse_locked_below(folder, but_for=[each / LOCK_FILE for each in begun])
        for run in begun.values():
            _delete(run)


def _is_begun(run: RunFiles) -> bool:
    """Say whether a folder holds a run that has begun, and so kept its config.

    Raises:
        UserError: it holds other things.
    """
    folder = run.folder
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if all(path.name.startswith(".") or path.suffix == ".log" or path.name in _KEPT for path in folder.iterdir()):
        return False  # a run that did not begin left what it said
    if not (folder / run.config).is_file():
        raise UserError(f"overwrite=true: {folder} holds no {run.config}, so it is no run's folder and is left alone")
    return True


def _refuse_locked_below(folder: Path, but_for: Sequence[Path]) -> None:
    """Check that no other process works in a folder below one, be it a run or whoever makes clips or prepared data there."""
    for lock in folder.rglob(f"*{LOCK_FILE}"):
        if is_lock(lock) and lock not in but_for:
            try:
                refuse_locked(lock)
            except UserError as error:
                raise UserError(f"overwrite=true: {error}; it lies in {folder}, and nothing was deleted") from error


def _delete(run: RunFiles) -> None:
    """Delete what a run wrote, its config last: it says whose folder this is. Say what stays."""
    left: list[str] = []
    deleted: list[Path] = []
    for folder, names in run.by_folder.items():
        before = len(deleted)
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if (path.is_file() or path.is_symlink()) and any(_fits(path.name, each) for each in names):
                _unlink(path)
                deleted.append(path)
            elif path not in run.by_folder and path.name not in (run.config, OWNER_FILE, *_KEPT) and not is_lock(path):
                left.append(path.relative_to(run.folder).as_posix())
        if folder != run.folder and len(deleted) > before:
            with suppress(OSError):  # there is something else in it
                folder.rmdir()
    _unlink(run.folder / run.config)
    if left:
        more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
        named = ", ".join(left[:_MOST_NAMED])
        log.info("overwrite=true: %s: left what such a run does not write: %s%s", run.folder, named, more)


def _fits(name: str, wanted: FileName) -> bool:
    return name == wanted if isinstance(wanted, str) else wanted.fullmatch(name) is not None


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise unwritable(path, error) from error
