"""A program as a process: its standard streams, its arguments, and how it leaves."""

import argparse
import errno
import faulthandler
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

from parc.configuration.errors import EXIT_USER_ERROR, exit_with_one_line
from parc.configuration.paths import expanded_home, refuse_undecodable

# The reader (a pager, `head`, a terminal that was closed) has gone: nobody misses what is not shown any more.
_NOBODY_READS = (errno.EPIPE, errno.EIO)


def run_program(work: Callable[[], int | None]) -> None:
    """Do the work of a program, reading its command line included, and leave the process (see `exit_with_one_line`).

    What cannot be printed never stops the work. Where that is for another reason than that nobody reads it, the program
    says so at its end, and its exit code is not 0.
    """
    output = open_standard_streams()
    faulthandler.enable()

    def checked() -> int | None:
        for argument in sys.argv[1:]:
            refuse_undecodable(argument)
        return work()

    try:
        exit_with_one_line(checked)
    except SystemExit as leaving:
        sys.stdout.flush()
        if output.failure is not None:
            print(f"error: standard output: {output.failure.strerror}; what was said is lost", file=sys.stderr)
            raise SystemExit(leaving.code or EXIT_USER_ERROR) from None
        raise


def parser_of_clips(verb: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of a verb that shows clips: PATHs, and the character that they are of.

    Args:
        verb: as in `python -m parc.VERB`.
        description: what it does; lines stay as they are.
        examples: below the options, likewise.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m parc.{verb}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="+", type=expanded_home, metavar="PATH", help="clip, folder of clips, manifest or run"
    )
    parser.add_argument(
        "--character",
        default="humanoid.xml",
        metavar="FILE.xml",
        help="MJCF file of the clips' character (default: humanoid.xml, shipped with parc)",
    )
    return parser


class _Stream(io.FileIO):
    """A standard stream whose writing never fails.

    Attributes:
        failure: why something could not be written that somebody would read; None where all was.
    """

    failure: OSError | None = None

    def write(self, data: object) -> int:
        """Write bytes, or leave them out."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            if error.errno not in _NOBODY_READS:
                self.failure = error
            return memoryview(data).nbytes  # type: ignore[arg-type]


def open_standard_streams() -> _Stream:
    """Make standard output and error streams that take whatever is printed.

    One that was closed becomes nothing (`/dev/null`), before a file that is opened gets its number. Letters that a terminal
    does not have are escaped.

    Returns:
        Standard output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    output, errors = _Stream(1, "w", closefd=False), _Stream(2, "w", closefd=False)
    sys.stdout, sys.stderr = _text(output, sys.stdout, output.isatty()), _text(errors, sys.stderr, True)
    return output


def _text(stream: _Stream, before: TextIO | None, by_line: bool) -> io.TextIOWrapper:
    encoding = before.encoding if before is not None else "utf-8"
    by_line = by_line or getattr(before, "write_through", False)  # PYTHONUNBUFFERED, python -u
    return io.TextIOWrapper(io.BufferedWriter(stream), encoding, errors="backslashreplace", line_buffering=by_line)
