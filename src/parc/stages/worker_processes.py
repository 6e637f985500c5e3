"""Work on many things at once, in processes that end with the one that started them."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from parc.configuration.errors import UserError
from parc.stages.stopping import SIGNALS

Item = TypeVar("Item")
Result = TypeVar("Result")
_THREADS_OF_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def results_of(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Iterator[tuple[Item, Result]]:
    """Yield items with what a function makes of them, as they are done.

    Each process computes with one thread, so that a result has the same bits however many there are. When whoever asks gives up,
    by a signal or by not going on, so do they, at once.

    Args:
        function: of a module, as processes are handed it by name.
        items: what it is given.
        processes: at once.

    Raises:
        UserError: from the function; or a process was killed.
    """
    # Started anew: a copy of a process that computes with several threads may wait for one of them forever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_as_a_worker) as pool:
        with _one_thread_for_libraries():
            at_work = {pool.submit(function, item): item for item in items}  # which starts the processes
        try:
            for done in as_completed(at_work):
                yield at_work[done], done.result()
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "a process that did part of the work was killed (by the system, for want of memory?); what is done is kept, "
                    "give the same command again, with fewer processes or threads"
                ) from error
            raise


@contextlib.contextmanager
def _one_thread_for_libraries() -> Iterator[None]:
    """Have libraries compute with one thread in processes that are started meanwhile: they read these when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS_OF_LIBRARIES}
    os.environ |= dict.fromkeys(_THREADS_OF_LIBRARIES, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _as_a_worker() -> None:
    """Have this process compute with one thread, and end when the one that started it does, however that ends."""
    import torch

    torch.set_num_threads(1)
    for number in SIGNALS:  # they are for the one that started it, whose end ends this one, too
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_it, daemon=True).start()
