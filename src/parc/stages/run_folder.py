"""A run's folder: locked by the process that works in it, and left as it was where nothing was begun."""

import contextlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from parc.configuration.errors import UserError
from parc.configuration.files import PART_SUFFIX, is_held, is_in_place, locked, watched, write_text_whole

LOCK_FILE = ".lock"
# What a sweep keeps in its folder, which is a run's own where there is just one job.
SWEEP_FILE, SWEEP_TABLE, SWEEP_LOCK, SUBMITIT_FOLDER = "sweep.json", "sweep.csv", ".sweep_in_use", "submitit"
OWNER_FILE = ".lock_owner.json"
JOB_LOG_FILE = "job.log"  # what a run said, kept by whoever started it as one of several
_PART_NAME = re.compile(rf"\..+\.\w{{8}}{re.escape(PART_SUFFIX)}")  # as `write_whole` names folders


@contextlib.contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process; the lock goes with the process, however it ends.

    A folder that is renamed, deleted or unmounted meanwhile is not made anew: what is to be written there is refused.

    Raises:
        UserError: another process holds it (which one), or the folder cannot be written.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCK_FILE, timeout=1.0))  # `is_locked` may be looking
        except Timeout:
            raise _in_use(folder) from None
        except UserError as error:
            raise UserError(f"output_dir {error}") from error
        held.enter_context(watched(folder))
        _remove_leftovers(folder)
        try:
            owner = {"host": socket.gethostname(), "process": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
            write_text_whole(folder / OWNER_FILE, json.dumps(owner))
            yield
        finally:
            if is_in_place(folder):
                (folder / OWNER_FILE).unlink(missing_ok=True)
                _remove_unused(folder)
                if not folder.exists():
                    with contextlib.suppress(OSError):  # another run has come to live there
                        for parent in missing:
                            parent.rmdir()


def _remove_leftovers(folder: Path) -> None:
    """Take away what processes left that were killed while they wrote in a run's folder, which is locked.

    Folders in it that have locks of their own are other runs', or hold clips or prepared data that others may be making.
    """
    for part in list(folder.rglob(f".*{PART_SUFFIX}")):
        if not _PART_NAME.fullmatch(part.name) or not part.is_dir() or part.is_symlink():
            continue
        between = [parent for parent in part.parents if folder in parent.parents]
        if not any(any(parent.glob(f"*{LOCK_FILE}")) for parent in between):
            shutil.rmtree(part, ignore_errors=True)


def is_locked(folder: Path) -> bool:
    """Say whether a live process holds a run's folder."""
    return is_held(folder / LOCK_FILE)


def is_lock(path: Path) -> bool:
    """Say whether a file is a lock of this project's, by its name."""
    return path.name.startswith(".") and path.name.endswith(LOCK_FILE) and path.is_file()


def refuse_locked(lock: Path) -> None:
    """Check that no live process holds a lock.

    Raises:
        UserError: one does; says which, where it holds a run's folder.
    """
    if is_held(lock):
        raise _in_use(lock.parent)


def _in_use(folder: Path) -> UserError:
    return UserError(f"{folder}: another process works in this folder ({_owner(folder)}); wait for it or stop it")


def _remove_unused(folder: Path) -> None:
    """Take away a folder in which nothing was begun: there are only locks in it."""
    left = list(folder.iterdir())
    if all(map(is_lock, left)):
        for lock in left:
            lock.unlink()
        folder.rmdir()


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER_FILE).read_text())
        job = f", job {owner['job']}" if owner.get("job") else ""
        return f"host {owner['host']}, process {owner['process']}{job}"
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"


def free_name(folder: Path) -> str:
    """Return the path of a folder beside this one that does not exist yet."""
    number = 2
    while folder.with_name(f"{folder.name}_{number}").exists():
        number += 1
    return str(folder.with_name(f"{folder.name}_{number}"))
