"""A stage of one's own: it counts to a number, and goes on where it was stopped."""

import time
from dataclasses import dataclass

from parc.configuration.errors import Interrupted
from parc.stages.iteration import Iteration
from parc.stages.progress import Progress, done_so_far, write_progress
from parc.stages.run_folder import lock_run_folder
from parc.stages.settings import Length, RunSettings
from parc.stages.stage import Stage
from parc.stages.stopping import StopRequest

CONFIG = "count_config.yaml"


@dataclass(frozen=True)
class CountSettings(RunSettings):
    iteration: Iteration
    last: int
    seconds: float
    length = property(lambda self: Length(self.last, "numbers"))


def count(settings: CountSettings) -> None:
    with StopRequest() as stop, lock_run_folder(settings.folder), (settings.folder / "numbers").open("a") as numbers:
        settings.record.write(settings.folder / CONFIG)
        for number in range(done_so_far(settings.folder) + 1, settings.last + 1):
            time.sleep(settings.seconds)
            print(number, file=numbers, flush=True)
            figures, finished = {"square": float(number**2)}, number == settings.last
            write_progress(settings.folder, Progress(number, settings.last, "numbers", figures, finished))
            if stop.requested and not finished:
                raise Interrupted(f"stopped after {number}", stop.signals)


COUNT = Stage(
    "count", CountSettings, CONFIG, "numbers", lambda _: None, count, lambda its: done_so_far(its.folder) >= its.last
)
