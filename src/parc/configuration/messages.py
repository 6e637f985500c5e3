"""Messages to the user: the project's log on stdout, plain."""

import logging
import sys


def as_one_line(text: str) -> str:
    """Return a message with control characters written out: names of files may hold some."""
    return "".join(each if each >= " " else repr(each)[1:-1] for each in text)


class OneLine(logging.Formatter):
    """Formats a message as one line, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return as_one_line(super().format(record))


def show_messages() -> None:
    """Show what the project logs, a line each, without times and names."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(OneLine("%(message)s"))
    handler.setLevel(logging.INFO)
    logger = logging.getLogger("parc")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def duration(seconds: float) -> str:
    """Return a length of time as people say it: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
