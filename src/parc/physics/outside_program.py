"""Running a program of somebody else's: its output goes to the log, and it ends, with all that it started, when the run does."""

import contextlib
import logging
import os
import resource
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from parc.configuration.errors import UserError

log = logging.getLogger(__name__)

LAST_LINES = 3  # that say why a program failed
LONGEST_LINE = 2000  # characters; what is longer becomes several lines
GRACE = 5.0  # seconds that a program has to end by itself when it is asked to


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        code: its exit code; negative for the signal that ended it, None where it was stopped because its time was over.
        said: its last lines.
        cpu_seconds: that it took, with the programs that it waited for.
    """

    code: int | None
    said: str
    cpu_seconds: float


def run_outside(command: Sequence[str], timeout: float | int | None) -> Ended:
    """Run a program to its end. When this is given up, by a signal or an error, the program ends, too, with what it started.

    Args:
        command: the program and its arguments, which no shell sees.
        timeout: seconds after which it is stopped; None for none.

    Raises:
        UserError: it cannot be started.
    """
    before = _cpu_seconds_of_children()
    said: deque[str] = deque(maxlen=LAST_LINES)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # A process group of its own, to be ended as a whole; and Ctrl-C comes from here alone.
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(f"{command[0]} cannot be started ({error.strerror or error})") from error
    listener = threading.Thread(target=_listen, args=(process, said), daemon=True)
    code = None
    try:
        listener.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout)
    finally:
        _end(process)
    listener.join(GRACE)  # a program that left the group may hold on to the output
    return Ended(code, " / ".join(said), _cpu_seconds_of_children() - before)


def _listen(process: subprocess.Popen[str], said: deque[str]) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        while line := stream.readline(LONGEST_LINE):
            if line := line.rstrip():
                said.append(line)
                log.debug("tracker: %s", line)


def _end(process: subprocess.Popen[str]) -> None:
    """End a program and all of its group: asked at first, then without asking."""
    try:
        if process.poll() is None:
            _send(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
    finally:
        _send(process, signal.SIGKILL)
        process.wait()


def _send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # there is nobody left
        os.killpg(process.pid, number)


def _cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
