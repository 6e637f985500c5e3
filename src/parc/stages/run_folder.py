"""A run's folder: locked by the process that works in it, deleted to start anew, left as it was where nothing was begun."""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from parc.configuration.errors import UserError
from parc.configuration.files import PART_SUFFIX, is_held, locked, write_text_whole

LOCK_FILE = ".lock"
OWNER_FILE = ".lock_owner.json"


def delete_runs(configs: list[Path]) -> None:
    """Delete runs' folders, so that they start anew: all of them, or none if one may not be deleted.

    Args:
        configs: where each run keeps its config, in its folder.

    Raises:
        UserError: a folder is no run's, or a live process works in it, or this is one of several processes.
    """
    if configs and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(
            "overwrite=true: this is one of several processes, and each would delete what another may be writing; "
            f"expected a folder to begin in: delete {configs[0].parent}, or give another output_dir"
        )
    begun = [config.parent for config in configs if _is_begun(config)]
    for folder in begun:
        with lock_run_folder(folder):
            pass
    for folder in begun:
        shutil.rmtree(folder)


def _is_begun(config: Path) -> bool:
    """Say whether a folder holds a run that has begun, and so kept its config.

    Raises:
        UserError: it holds other things.
    """
    folder = config.parent
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if all(path.name.startswith(".") or path.suffix == ".log" for path in folder.iterdir()):
        return False  # a run that did not begin left what it said
    if not config.is_file():
        raise UserError(f"overwrite=true: {folder} holds no {config.name}, so it is no run's folder and is left alone")
    return True


@contextlib.contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process; the lock goes with the process, however it ends.

    Raises:
        UserError: another process holds it (which one), or the folder cannot be written.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCK_FILE, timeout=1.0))  # `is_locked` may be looking
        except Timeout:
            raise UserError(
                f"{folder}: another process works in this folder ({_owner(folder)}); wait for it or stop it"
            ) from None
        except UserError as error:
            raise UserError(f"output_dir {error}") from error
        _remove_leftovers(folder)
        try:
            owner = {"host": socket.gethostname(), "process": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
            write_text_whole(folder / OWNER_FILE, json.dumps(owner))
            yield
        finally:
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
        between = [parent for parent in part.parents if folder in parent.parents]
        if not any(any(parent.glob(f"*{LOCK_FILE}")) for parent in between):
            shutil.rmtree(part, ignore_errors=True)


def is_locked(folder: Path) -> bool:
    """Say whether a live process holds a run's folder."""
    return is_held(folder / LOCK_FILE)


def _remove_unused(folder: Path) -> None:
    """Take away a folder in which nothing was begun: there are only locks in it."""
    left = list(folder.iterdir())
    if all(path.name.endswith(LOCK_FILE) and path.is_file() for path in left):
        shutil.rmtree(folder)


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
