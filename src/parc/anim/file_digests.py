"""Digests of files by their content: a file is read once, and again only where its size or time has changed."""

import contextlib
import hashlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import TypeAlias

from filelock import Timeout
from pydantic import TypeAdapter

from parc.anim.clip_files import LARGEST_CLIP
from parc.configuration.errors import UserError
from parc.configuration.files import PART_SUFFIX, locked, refuse_too_large, write_text_whole

KnownFiles: TypeAlias = dict[str, tuple[int, int, str]]  # size, time (ns) and SHA-256 of a file, by its path
_KNOWN_FILES = TypeAdapter(KnownFiles)
_KINDS = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
_PATIENCE = 10.0  # seconds; others hold the record only while they write it


def file_digests(record: Path, paths: list[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file.

    Args:
        record: a file of what is known of files; what is new is added to it. Processes may share it. Where it cannot be
            read or written, files are hashed every time.
        paths: the files.

    Raises:
        UserError: a file cannot be read, is none, or is too large for a clip.
    """
    known = read_known_files(record)
    seen: KnownFiles = {}
    digests = {}
    for path in paths:
        name = os.path.realpath(path)
        status = status_of_file(path)
        try:
            refuse_too_large(path, LARGEST_CLIP)
            old = known.get(name)
            if not old or old[:2] != (status.st_size, status.st_mtime_ns):
                old = (status.st_size, status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError as error:
            raise _unreadable(path, error) from error
        seen[name], digests[path] = old, old[2]
    if not seen.items() <= known.items():
        _remember(record, seen)
    return digests


def status_of_file(path: Path) -> os.stat_result:
    """Return what the file system says of a clip. It is not opened: reading a pipe may never end.

    Raises:
        UserError: there is none, or it is no file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "device")
        raise UserError(f"{path}: a {kind}, expected a clip file; take it out of the dataset")
    return status


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: the clip cannot be read ({error.strerror}); put it back or take it out")


def read_known_files(record: Path) -> KnownFiles:
    """Return what was known of files when they were last looked at; nothing where that cannot be read."""
    try:
        return _KNOWN_FILES.validate_json(record.read_bytes())
    except (OSError, ValueError):
        return {}


def _remember(record: Path, seen: KnownFiles) -> None:
    """Add to the record what was seen, and keep what other processes have added."""
    # A record that cannot be written costs time and nothing else: prepared data that others keep may be read-only.
    with (
        contextlib.suppress(UserError, Timeout),
        locked(record.with_name(f".{record.name}.lock"), timeout=_PATIENCE),
    ):
        for part in record.parent.glob(f".{record.name}.*{PART_SUFFIX}"):
            shutil.rmtree(part, ignore_errors=True)  # of a process that was killed while it wrote
        write_text_whole(record, json.dumps(read_known_files(record) | seen))
