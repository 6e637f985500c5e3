"""`python -m parc.view` as the process that a person starts, for tests that use it from outside."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SECONDS_TO_START, SECONDS_TO_END = 90, 20  # far more than it takes on a busy machine


@dataclass
class StudioProcess:
    """A studio that runs.

    Attributes:
        process: of it.
        address: that it printed.
        seconds_to_start: until then.
        printed: lines of both streams since it began.
    """

    process: subprocess.Popen[str]
    address: str = ""
    seconds_to_start: float = 0.0
    printed: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def listens_at(self) -> list[str]:
        """Return the addresses at which its port is open, as Linux writes them."""
        lines = [
            line.split()
            for name in ("tcp", "tcp6")
            for line in Path(f"/proc/{self.process.pid}/net/{name}").read_text().splitlines()[1:]
        ]
        listening = "0A"
        return [words[1] for words in lines if words[3] == listening and words[1].endswith(f":{self.port:04X}")]

    def megabytes(self) -> float:
        """Return the memory that it occupies."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024

    def interrupt(self) -> int:
        """Press Ctrl+C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS_TO_END)


@contextmanager
def running_studio(*arguments: object) -> Iterator[StudioProcess]:
    """Run `python -m parc.view ARGUMENTS --no-browser --port 0` until it is interrupted, or the test is over."""
    paths = [str(REPOSITORY / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    line = [sys.executable, "-m", "parc.view", *map(str, arguments), "--no-browser", "--port", "0"]
    began = time.monotonic()
    with subprocess.Popen(
        line,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield _started(process, began)
        finally:
            process.kill()


def _started(process: subprocess.Popen[str], began: float) -> StudioProcess:
    studio, is_there = StudioProcess(process), threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            studio.printed.append(line.rstrip("\n"))
            is_there.set()
        is_there.set()

    threading.Thread(target=read, daemon=True).start()
    is_there.wait(SECONDS_TO_START)
    found = re.search(r"http://\S+", "\n".join(studio.printed))
    if found is None:
        pytest.fail(f"the studio printed no address: {studio.printed}", pytrace=False)
    studio.address, studio.seconds_to_start = found[0], time.monotonic() - began
    return studio
