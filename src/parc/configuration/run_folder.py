"""A run is its folder: opening one, telling whether it goes on, is finished, or belongs to another config."""

import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from filelock import Timeout

from parc.configuration.errors import UserError
from parc.configuration.files import PART_SUFFIX, locked, read_yaml, write_text_whole

CONFIG_FILE = "mdm_config.yaml"
STANDARD_INPUT = Path("-")
LOCK_FILE = ".lock"
OWNER_FILE = ".lock_owner.json"

# What may change when a run is continued: nothing here changes what is computed, but for more epochs, which add to it
# (unless the learning rate follows a cosine, which ends where the epochs do). A folder may be moved, to a larger disk for
# instance.
MAY_CHANGE = (
    "data_dir",
    "output_dir",
    "device",
    "threads",
    "logger",
    "trainer.epochs",
    "trainer.epochs_per_checkpoint",
    "trainer.keep_last_checkpoints",
    "trainer.minutes_per_latest",
    "trainer.heldout_windows",
    "sampler.sampler_save_folder",
)


def read_config(path: Path) -> dict[str, Any]:
    """Read a run's resolved config.

    Raises:
        UserError: the file is missing or no YAML mapping.
    """
    if not path.is_file() and path != STANDARD_INPUT:
        raise UserError(f"{path}: there is no such config; expected the {CONFIG_FILE} of a run")
    try:
        text = sys.stdin.read() if path == STANDARD_INPUT else path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())[:160]})") from error
    content = read_yaml(path, text)
    if not isinstance(content, dict) or not _has_text_keys(content):
        raise UserError(f"{path}: expected a mapping of settings, the {CONFIG_FILE} of a run")
    return content


def _has_text_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_has_text_keys, value.values()))
    return not isinstance(value, list) or all(map(_has_text_keys, value))


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write a run's resolved config into its folder."""

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True  # `read_config` takes none

    header = "# The whole config of this run, resolved. `python -m parc.train --config THIS_FILE` starts it again.\n"
    write_text_whole(folder / CONFIG_FILE, header + yaml.dump(config, Dumper=Plain, sort_keys=False))


def overwrite_runs(folders: list[Path]) -> None:
    """Delete runs' folders, so that they start anew: all of them, or none if one may not be deleted.

    Raises:
        UserError: a folder is no run's, or a live process works in it, or this is one of several processes.
    """
    if folders and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(
            "overwrite=true: this is one of several processes, and each would delete what another may be writing; "
            f"expected a folder to begin in: delete {folders[0]}, or give another output_dir"
        )
    begun = [folder for folder in folders if _is_begun(folder)]
    for folder in begun:
        with lock_run_folder(folder):
            pass
    for folder in begun:
        shutil.rmtree(folder)


def _is_begun(folder: Path) -> bool:
    """Say whether a folder holds a run that has begun.

    Raises:
        UserError: it holds other things.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if all(path.name.startswith(".") or path.suffix == ".log" for path in folder.iterdir()):
        return False  # a run that did not begin left what it said
    if not (folder / CONFIG_FILE).is_file():
        raise UserError(f"overwrite=true: {folder} holds no {CONFIG_FILE}, so it is no run's folder and is left alone")
    return True


def refuse_other_config(folder: Path, config: dict[str, Any], old: dict[str, Any]) -> None:
    """Check that a started run is continued with the config that it was started with.

    Raises:
        UserError: it is not; shows the differences and how to go on.
    """
    before, now = flat(old), flat(config)
    changed = [
        f"{key}: {before.get(key, 'absent')} -> {now.get(key, 'absent')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, None) != now.get(key, None) and not _may_change(key, before, now)
    ]
    if changed:
        shown = "; ".join(changed[:8]) + (f"; and {len(changed) - 8} more" if len(changed) > 8 else "")
        raise UserError(
            f"{folder} was started with another config ({shown}); give output_dir={_free_name(folder)} for a new run, "
            "or overwrite=true to start this one anew"
        )


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a config as one level of dotted keys."""
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values


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
                f"{folder}: another process trains in this folder ({_owner(folder)}); wait for it or stop it"
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
    if not (folder / LOCK_FILE).is_file():
        return False
    try:
        with locked(folder / LOCK_FILE, timeout=0.0):
            return False
    except Timeout:
        return True


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


def _may_change(key: str, before: dict[str, Any], now: dict[str, Any]) -> bool:
    old, new = before.get(key), now.get(key)
    if key == "trainer.epochs" and isinstance(old, int) and isinstance(new, int):
        return new >= old and now.get("trainer.learning_rate_schedule") != "cosine"
    return any(key == allowed or key.startswith(f"{allowed}.") for allowed in MAY_CHANGE)


def _free_name(folder: Path) -> str:
    number = 2
    while folder.with_name(f"{folder.name}_{number}").exists():
        number += 1
    return str(folder.with_name(f"{folder.name}_{number}"))
