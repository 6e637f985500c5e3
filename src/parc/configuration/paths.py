"""Paths as users type them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from parc.configuration.errors import UserError

LONGEST_NAME = 255  # bytes of a file's name, on every file system of Linux
_LONGEST_PATH = 4096


def typed_path(text: str) -> Path:
    """Return a path as it was typed, its variables and ~ expanded; a variable that is not set stays as it is.

    Raises:
        UserError: no file can have this path, or ~ stands for nobody's home.
    """
    return expanded_home(os.path.expandvars(text))


def expanded_home(text: str) -> Path:
    """Return a path with its ~ expanded.

    Raises:
        UserError: no file can have this path, or ~ stands for nobody's home.
    """
    path = Path(os.path.expanduser(text))  # noqa: PTH111  (pathlib's raises what is no OSError)
    if text.startswith("~") and str(path) == str(Path(text)):
        user = text.partition("/")[0]
        raise UserError(f"{text}: there is no home folder {user}; write it out, or ./{user} for what is called so here")
    refuse_undecodable(str(path))
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > LONGEST_NAME or len(os.fsencode(path)) > _LONGEST_PATH:
        raise UserError(
            f"{text[:60]}...: too long (a name of {longest} bytes in a path of {len(os.fsencode(path))}); expected at most "
            f"{LONGEST_NAME} and {_LONGEST_PATH}, choose a shorter one"
        )
    return path


def refuse_missing_clips(paths: Sequence[Path]) -> None:
    """Check that paths of clips that were given lead anywhere.

    Raises:
        UserError: names the first that is missing.
    """
    for path in paths:
        if not path.exists():
            raise UserError(
                f"{path}: there is no such file or folder; expected a clip, a folder of clips, a manifest or a run's folder"
            )


def refuse_undecodable(text: str) -> None:
    r"""Check that a name is text: one whose bytes are not UTF-8 can be kept in no config, manifest or table.

    Raises:
        UserError: it is not, or holds the character \0.
    """
    if re.search("[\ud800-\udfff\0]", text):
        raise UserError(f"{text}: this name is not UTF-8 text; rename the file or folder")
