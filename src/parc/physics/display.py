"""What a run says while it corrects: a progress bar or lines, and word in its folder."""

import logging
import sys
import time

from tqdm import tqdm

from parc.configuration.messages import duration
from parc.physics.corrected import Corrected, CorrectedClip
from parc.physics.correction import Status
from parc.physics.corrector import Task
from parc.physics.measures import BODIES_OFF
from parc.physics.settings import CorrectSettings
from parc.stages.progress import Progress, write_progress

log = logging.getLogger(__name__)


class Display:
    """Clips done, how many of them are physical, time left.

    A bar on a terminal, plain lines elsewhere and in the log file; and how far the run is in its folder, for tables.
    """

    def __init__(self, settings: CorrectSettings, corrected: Corrected, done: int, total: int) -> None:
        self._settings, self._corrected, self._total, self._done = settings, corrected, total, done
        self._bar = tqdm(total=total, initial=done, unit="motion", disable=not sys.stderr.isatty(), dynamic_ncols=True)
        self._started, self._done_at_start = time.monotonic(), done

    def show(self, task: Task, clip: CorrectedClip) -> None:
        """Show how far the run is now that a clip is done."""
        self._bar.set_postfix_str(f"{self._corrected.share(Status.PHYSICAL):.0%} physical")
        self._bar.update()
        self._done += 1
        seconds_each = (time.monotonic() - self._started) / (self._done - self._done_at_start)
        left = duration(seconds_each * (self._total - self._done))
        # Beside a bar, the line goes to the log file alone.
        level = logging.INFO if self._bar.disable else logging.DEBUG
        count, said = f"{self._done}/{self._total}", outcomes(self._corrected)
        log.log(level, "motions %s: %s: %s; %s; %s left", count, task.name, _of(clip), said, left)
        self.write()

    def write(self) -> None:
        """Leave word of how far the run is in its folder.

        Raises:
            UserError: it cannot be written.
        """
        done, corrected = self._done, self._corrected
        figures = {"physical (%)": 100 * corrected.share(Status.PHYSICAL)}
        if BODIES_OFF in corrected.measures:
            figures["bodies off (cm)"] = 100 * corrected.measures[BODIES_OFF]
        write_progress(self._settings.folder, Progress(done, self._total, "motions", figures, done >= self._total))

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def _of(clip: CorrectedClip) -> str:
    status = clip.status.value
    if clip.status is Status.ASSISTED:
        status += f" ({clip.assistance:g} of body weight)"
    elif clip.status is Status.PHYSICAL and not clip.is_whole:
        status += f" ({clip.seconds:.1f} of {clip.clip_seconds:.1f} s)"
    return f"{status}, {clip.reason}" if clip.reason else status


def outcomes(corrected: Corrected) -> str:
    """Say how many clips became what."""
    return ", ".join(f"{count} {name}" for name, count in corrected.counts.items())
