"""The one error that users see, and the one place that turns it into a line and an exit code."""

import sys
from collections.abc import Callable

from parc.configuration.messages import as_one_line


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one line: what was wrong, where (file, key, override, clip), what was expected, what to do.
    """


class SettingsError(UserError):
    """Settings that do not fit their schema.

    Attributes:
        key: the offending key, dotted from the top of the config.
        complaint: what is wrong with it.
    """

    def __init__(self, key: str, complaint: str) -> None:
        self.key, self.complaint = key, complaint
        super().__init__(f"{key}: {complaint}" if key else complaint)


class Interrupted(BaseException):
    """A run that was asked to stop and has saved its state; the message says how to go on.

    Like KeyboardInterrupt it is no error, so that nobody who catches those takes it for one of their own.

    Attributes:
        signals: the numbers of the signals that came; none where another process of the run got one.
    """

    def __init__(self, message: str, signals: list[int]) -> None:
        self.signals = signals
        super().__init__(message)


EXIT_USER_ERROR = 1
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: try the same command again
EXIT_KEYBOARD = 130


def exit_with_one_line(work: Callable[[], int | None]) -> None:
    """Run `work` and leave the process: its return value is the exit code, user errors become one line on stderr.

    So do files that the operating system refuses: whoever opened one may not have thought of all its reasons.
    """
    try:
        code = work() or 0
    except UserError as error:
        code = EXIT_USER_ERROR
        print(f"error: {as_one_line(str(error))}", file=sys.stderr)
    except OSError as error:
        if error.filename is None:
            raise
        code = EXIT_USER_ERROR
        print(f"error: {as_one_line(f'{error.filename}: {error.strerror}')}", file=sys.stderr)
    except Interrupted as stop:
        code = EXIT_INTERRUPTED
        print(as_one_line(str(stop)), file=sys.stderr)
    except KeyboardInterrupt:
        code = EXIT_KEYBOARD
        print("interrupted", file=sys.stderr)
    sys.exit(code)


def nearest_name(name: str, names: list[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest of `names`, or nothing where none is near."""
    import difflib

    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
