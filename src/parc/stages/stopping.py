"""Signals that ask a run to stop: they set a flag, and the run stops where all that it has done is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from parc.configuration.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


class StopRequest:
    """Notes SIGTERM, SIGINT and SIGUSR2 while it is entered; a second SIGINT stops the process at once."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self._before: dict[int, object] = {}
        self._message_at_once: str | None = None

    def __enter__(self) -> "StopRequest":
        """Take over the signals."""
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        # A SLURM job is started with warnings held back until somebody can heed them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def at_once(self, message: str) -> Iterator[None]:
        """Let a signal end what is done meanwhile, wherever that is: for work of which nothing needs to be saved.

        Args:
            message: what to say after the signal's name.

        Raises:
            Interrupted: a signal came, or had come before.
        """
        self._message_at_once = message
        try:
            if self.signals:
                self._stop()
            yield
        finally:
            self._message_at_once = None

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return bool(self.signals)

    def _note(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and signal.SIGINT in self.signals:
            raise KeyboardInterrupt
        self.signals.append(number)
        self._stop()

    def _stop(self) -> None:
        if self._message_at_once is not None:
            # Further signals find the run on its way out, and let it clean up.
            message, self._message_at_once = self._message_at_once, None
            raise Interrupted(f"stopped by {signal.Signals(self.signals[0]).name} {message}", self.signals)
