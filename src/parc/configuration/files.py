"""Writing files whole, where they belong, or not at all; locking files; reading YAML that may come from anywhere."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from filelock import FileLock

from parc.configuration.errors import UserError

T = TypeVar("T")

PART_SUFFIX = ".part"  # of the folders in which files are written, which a killed process leaves behind
LARGEST_TEXT = 2**25  # bytes; a manifest of a hundred thousand clips has a third of that
_DEEPEST_YAML = 100
_CANNOT_LOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_watched: dict[Path, int] = {}  # folders that this process works in, each with an open handle of it


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside `path`, sync it and rename it, so that `path` is whole or as it was.

    Args:
        path: the file to make or replace. Its folder is made where it is missing.
        write: called with the temporary path; writes the whole content there.

    Raises:
        UserError: the folder cannot be written, the disk is full, or a watched folder is gone. Nothing is left behind.
    """
    refuse_lost_folder(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A folder, because `write` may make temporary files of its own beside the one that it is given.
        folder = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=PART_SUFFIX, dir=path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    part = Path(folder, path.name)
    try:
        write(part)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.chmod(0o666 & ~_umask())
        refuse_lost_folder(path)  # once more: writing took a while
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    except Exception as error:
        # safetensors reports a full disk as an error of its own; the operating system's number is in it.
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise unwritable(path, OSError(int(number[1]), os.strerror(int(number[1])))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a disk that has become read-only keeps it


def write_text_whole(path: Path, text: str) -> None:
    """Write a text file whole (see `write_whole`)."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def unwritable(path: Path, error: OSError) -> UserError:
    """Say in one line why `path` could not be written."""
    if folder := _lost_folder(path):
        return _lost(folder)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{path}: no space left on the disk; free some and give the same command again")
    return UserError(f"{path}: cannot be written ({error.strerror or error}); choose a folder that you may write to")


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[None]:
    """While this is entered, write into a folder only as long as its path leads to it.

    Others may rename, delete or unmount a folder while a process works in it. Its path then leads nowhere, or to another
    folder, and whoever makes folders where they are missing would go on in a wrong place.
    """
    folder = folder.absolute()
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    _watched[folder] = handle
    try:
        yield
    finally:
        del _watched[folder]
        os.close(handle)


def is_in_place(folder: Path) -> bool:
    """Say whether the path of a folder that is watched still leads to it."""
    try:
        return os.path.samestat(os.stat(folder), os.fstat(_watched[folder.absolute()]))  # noqa: PTH116
    except OSError:
        return False


def refuse_lost_folder(path: Path) -> None:
    """Check that a file to be written would not come to lie in another folder than a watched one of that name.

    Raises:
        UserError: it would.
    """
    if folder := _lost_folder(path):
        raise _lost(folder)


def _lost_folder(path: Path) -> Path | None:
    path = path.absolute()
    return next((each for each in _watched if path.is_relative_to(each) and not is_in_place(each)), None)


def _lost(folder: Path) -> UserError:
    return UserError(
        f"{folder}: this is no longer the folder that the run works in (renamed, deleted or unmounted meanwhile?); put it back "
        "and give the same command again, nothing more was written"
    )


@contextlib.contextmanager
def locked(path: Path, timeout: float = -1.0) -> Iterator[None]:
    """Hold a lock file; the lock goes with the process, however it ends.

    Args:
        path: the lock file. Its folder is made where it is missing.
        timeout: seconds to wait for another process that holds it; -1 waits as long as that takes.

    Raises:
        Timeout: another process holds it.
        UserError: the folder cannot be written, or its file system cannot lock.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lock.acquire(timeout=timeout)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, TimeoutError):
            raise
        if isinstance(error, OSError) and error.errno not in _CANNOT_LOCK:
            raise unwritable(path.parent, error) from error
        raise _cannot_lock(path) from error
    try:
        # Where there are no real locks, filelock makes do with a mere file, which a dead process goes on holding.
        if type(lock) is not FileLock:
            raise _cannot_lock(path)
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Say whether a live process holds a lock file. Reading it is enough; one that may not be read counts as free."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # filelock would have to write
    except BlockingIOError:
        return True
    except OSError:  # a file system that cannot lock, where nothing is held
        return False
    finally:
        os.close(handle)
    return False


def _cannot_lock(path: Path) -> UserError:
    return UserError(
        f"{path.parent}: this file system cannot lock files, so nothing keeps two processes from writing there at once; "
        "choose a folder on another one"
    )


def refuse_too_large(path: Path, largest: int) -> None:
    """Check the size of a file before anything reads it into memory.

    Raises:
        UserError: it is larger than `largest` bytes.
        OSError: it cannot be looked at.
    """
    size = path.stat().st_size
    if size > largest:
        raise UserError(
            f"{path}: {size / 2**20:,.0f} MiB, expected at most {largest / 2**20:.0f} MiB; is it the right file?"
        )


def read_text(path: Path) -> str:
    """Return what a text file holds.

    Raises:
        UserError: it cannot be read, is too large for one that people write, or is not UTF-8.
    """
    try:
        refuse_too_large(path, LARGEST_TEXT)
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: line {line} is not UTF-8 text (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from error


def read_record(path: Path, parse: Callable[[str], T], remedy: str) -> T | None:
    """Read a file that a run keeps for itself; None where there is none.

    Args:
        path: of the file.
        parse: makes of its text what it holds; a ValueError says that the text is broken.
        remedy: what to do about a broken one.

    Raises:
        UserError: it is broken.
    """
    if not path.is_file():
        return None
    try:
        return parse(read_text(path))
    except ValueError as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: broken ({reason}); {remedy}") from error


def read_yaml(path: Path, text: str) -> Any:
    """Read the text of a YAML file as plain values.

    Aliases are refused, because a few lines of them can stand for more values than any memory holds, and so is deep
    nesting, on which parsers exhaust their stack.

    Raises:
        UserError: the text is no YAML of this kind.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, loader):
            if isinstance(event, yaml.AliasEvent):
                raise yaml.YAMLError(f"*{event.anchor}: aliases are not read, write the value itself")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST_YAML:
                raise yaml.YAMLError(f"more than {_DEEPEST_YAML} levels deep")
        return yaml.load(text, loader)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        # Values such as dates with a 13th month are refused by whatever makes them.
        raise UserError(f"{path}: not a YAML file ({' '.join(str(error).split())[:160]})") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
