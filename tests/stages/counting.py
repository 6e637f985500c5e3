"""A stage of one's own: it counts to a number, and goes on where it was stopped."""

import time
from dataclasses import dataclass

from parc.configuration.errors import Interrupted
from parc.stages.iteration import Iteration
from parc.stages.progress import Progress, read_progress, write_progress
from parc.stages.run_folder import lock_run_folder
from parc.stages.settings import Length, RunSettings
from parc.stages.stage import Stage
from parc.stages.stopping import StopRequest


@dataclass(frozen=True)
class CountSettings(RunSettings):
    iteration: Iteration
    last: int
    seconds: float
    length = property(lambda self: Length(self.last, "numbers"))


def counted(settings: CountSettings) -> int:
    progress = read_progress(settings.folder)
    return progress.done if progress else 0


def count(settings: CountSettings) -> None:
    with StopRequest() as stop, lock_run_folder(settings.folder), (settings.folder / "numbers").open("a") as numbers:
        settings.record.write(settings.folder / "count_config.yaml")
        for number in range(counted(settings) + 1, settings.last + 1):
            time.sleep(settings.seconds)
            print(number, file=numbers, flush=True)
            done = number == settings.last
            write_progress(settings.folder, Progress(number, settings.last, "numbers", {"square": number**2}, done))
            if stop.requested and not done:
                raise Interrupted(f"stopped after {number}", stop.signals)


COUNT = Stage(
    "count", CountSettings, "count_config.yaml", "numbers", lambda _: None, count, lambda s: counted(s) >= s.last
)
