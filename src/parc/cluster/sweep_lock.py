"""One command at a time sends or runs the jobs of a sweep."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from parc.configuration.errors import UserError
from parc.configuration.files import is_held, locked
from parc.stages.run_folder import SWEEP_LOCK

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def sweep_lock(folder: Path) -> Iterator[None]:
    """Hold the folder of a sweep for this process; the lock goes with the process, however it ends.

    Raises:
        UserError: another process holds it, or the folder cannot be written.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    lock = folder / SWEEP_LOCK
    try:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(lock, timeout=1.0))  # `is_being_run` may be looking
            except Timeout:
                raise UserError(
                    f"{folder}: another command is sending or running jobs of this folder; wait for it, or stop it; nothing "
                    "was started"
                ) from None
            yield
    finally:
        # Nothing was sent or run: the folder is as it was, and those that had to be made are gone.
        if missing and not is_held(lock) and list(folder.glob("*")) == [lock]:
            lock.unlink()
        for each in missing:
            with contextlib.suppress(OSError):  # there is something in it
                each.rmdir()


def is_being_run(folder: Path) -> bool:
    """Say whether a live process sends or runs the jobs of a sweep."""
    return is_held(folder / SWEEP_LOCK)


@contextlib.contextmanager
def stop_signals_held_back() -> Iterator[None]:
    """Let Ctrl-C and other signals that ask for a stop wait until the block is done, here and in programs started there.

    A program that ends between sending a job and writing its number down would leave a job that nobody knows.

    Raises:
        KeyboardInterrupt: a signal came that would have ended the program, whichever: what is half done can be undone.
    """
    seen: list[int] = []
    heeded = [number for number in _STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda number, _: seen.append(number)) for number in heeded}
    # For the programs, which inherit it; here a signal may come to another thread.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(seen):
            if before[signal.Signals(number)] is signal.SIG_DFL:
                raise KeyboardInterrupt
            signal.raise_signal(number)
