"""Measuring in a process of its own, whose memory and start are nobody else's."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

from parc.configuration.errors import UserError

Result = TypeVar("Result")


def in_own_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Return what a function of a module returns when a fresh process calls it."""
    with _fresh_process() as process:
        return process.submit(function, *arguments).result()


@cache
def lasting_process() -> ProcessPoolExecutor:
    """Return a process, the same one each time, that has done nothing but what it was given to do."""
    return _fresh_process()


def _fresh_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def forget_peak_memory() -> None:
    """Let the peak of this process's memory begin anew.

    Raises:
        UserError: this is no Linux, or one that does not tell.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise UserError(
            f"/proc/self/clear_refs cannot be written ({error.strerror}); memory is measured by it, on Linux: "
            "leave out the parts 'collision' and 'scale'"
        ) from error


def megabytes_in_memory(peak: bool = False) -> float:
    """Return how much memory this process holds, or the most that it ever held (Linux), MB."""
    status = Path("/proc/self/status").read_text()
    name = "VmHWM:" if peak else "VmRSS:"
    return int(status.partition(name)[2].split()[0]) / 1000
