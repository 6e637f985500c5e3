"""Frames of films, drawn by as many processes as pay. Whatever their number, the frames are the same."""

import multiprocessing
import sys
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection

from jaxtyping import UInt8
from numpy import ndarray

from parc.configuration.errors import UserError
from parc.pictures.film import Film
from parc.stages.worker_processes import available_cores

MOST_PROCESSES = 4  # each holds its own backdrops
WORTH_A_PROCESS = 4_000_000  # pixels: those of half a second of film, for which starting one pays

Frame = UInt8[ndarray, "height width 3"]


def drawn_frames(film: Film, numbers: Sequence[int], processes: int | None = None) -> Generator[Frame, None, None]:
    """Yield some frames of a film in order. Few are drawn at a time: a process waits until its last one was taken.

    Args:
        film: whose frames.
        numbers: which, best in order.
        processes: how many draw; by default as many as pay on this machine.

    Raises:
        UserError: a process was killed, or a frame's own.
    """
    if processes is None:
        pixels = film.width * film.height * len(numbers)
        processes = min(_cores(), MOST_PROCESSES, pixels // WORTH_A_PROCESS)
    if processes < 2:
        yield from map(film.frame, numbers)
        return
    # Forked, so that they have the film, and torch, at once.
    context = multiprocessing.get_context("fork")
    receivers: list[Connection] = []
    drawing = []
    try:
        for first in range(processes):
            receiver, sender = context.Pipe(duplex=False)
            receivers.append(receiver)
            work = (film, numbers[first::processes], sender, receivers)
            drawing.append(context.Process(target=_draw, args=work, daemon=True))
            drawing[-1].start()
            sender.close()
        for place in range(len(numbers)):
            yield _received(receivers[place % processes])
    finally:
        for receiver in receivers:
            receiver.close()  # which ends processes that still draw
        for process in drawing:
            process.terminate()
            process.join()


def _draw(film: Film, numbers: Sequence[int], sender: Connection, receivers: list[Connection]) -> None:
    """Send frames, or what went wrong, until all are sent or nobody listens."""
    for receiver in receivers:
        receiver.close()  # of this process's own copies, which would keep pipes open should the first process be killed
    try:
        for number in numbers:
            sender.send(film.frame(number))
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    except Exception as error:
        sender.send(error)


def _received(receiver: Connection) -> Frame:
    try:
        received = receiver.recv()
    except EOFError as error:
        raise UserError("a process that draws frames was killed; is there enough memory?") from error
    if isinstance(received, Exception):
        raise received
    return received


def _cores() -> int:
    """Return how many processes can run at once; where forking is not safe, one."""
    return available_cores() if sys.platform == "linux" else 1
