"""What a run says, kept in its folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parc.configuration.messages import OneLine


class LogFile(logging.FileHandler):
    """A run's log file. A disk that is full is reported by what matters more than this file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)
        self.setFormatter(OneLine("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Leave the line out."""


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Write what the project logs to a file, details included."""
    handler = LogFile(path)
    logger = logging.getLogger("parc")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
        handler.close()
