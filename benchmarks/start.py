"""How long a run takes from its command to its next step, imports apart."""

import signal
import time
from typing import Any
from unittest.mock import patch

from parc.configuration.errors import Interrupted
from parc.configuration.schema import Settings
from parc.stages.stage import read_run
from parc.stages.stopping import StopRequest
from parc.training import train as training
from parc.training.loop import run_loop


class _NextStep(Exception):
    """Training has come to its next step."""


def begin_run(config: Settings) -> None:
    """Train the first step of a run, and save it."""

    def one_step(*arguments: Any, **settings: Any) -> None:
        for argument in arguments:
            if isinstance(argument, StopRequest):
                argument.signals.append(signal.SIGTERM)
        run_loop(*arguments, **settings)

    with patch.object(training, "run_loop", one_step):
        try:
            read_run(config).start()
        except Interrupted:
            return


def seconds_to_next_step(config: Settings) -> float:
    """Return how long a run that was begun takes to come to its next step, which is not made; everything is imported."""

    def stop(*_: Any, **__: Any) -> None:
        raise _NextStep

    with patch.object(training, "run_loop", stop):
        began = time.perf_counter()
        try:
            read_run(config).start()
        except _NextStep:
            return time.perf_counter() - began
    raise RuntimeError(f"{config['output_dir']}: the run came to no step")
