"""What an evaluation says while it goes: a progress bar or lines, and word in its folder."""

import logging
import sys
import time

from tqdm import tqdm

from parc.configuration.messages import duration
from parc.evaluation.measured_paths import MeasuredPaths
from parc.evaluation.metrics import METRICS
from parc.evaluation.settings import EvaluateSettings
from parc.evaluation.summary import Figure, figures_of
from parc.stages.progress import Progress, write_progress

log = logging.getLogger(__name__)

# The metrics that tables of several evaluations show, in a word each.
_MAIN = {"finished": "finished", "fwd": "FWD", "tpl": "TPL", "slide": "foot slide", "hjf": "HJF"}


class Display:
    """Paths measured, what they come to, time left: a bar on a terminal, plain lines elsewhere and in the log file.

    Args:
        settings: of the evaluation.
        measured: what it has measured; grows meanwhile.
    """

    def __init__(self, settings: EvaluateSettings, measured: MeasuredPaths) -> None:
        self.settings, self.measured = settings, measured
        self.total = settings.length.total
        self.bar = tqdm(
            total=self.total, initial=self.done, unit="path", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )
        self._started, self._done_at_start = time.monotonic(), self.done

    @property
    def done(self) -> int:
        """How many paths are measured; of clips none, as long as it is not all of them."""
        paths = self.measured.of(is_reference=False)
        return len(paths) if self.settings.length.unit == "paths" else 0

    def show(self) -> None:
        """Show how far the evaluation is, and leave word of it in its folder.

        Raises:
            UserError: that cannot be written.
        """
        done, figures = self.done, main_figures(figures_of(self.measured.of(is_reference=False), 0, 1))
        self.bar.set_postfix_str(_in_words(figures))
        self.bar.update(done - self.bar.n)
        left = (time.monotonic() - self._started) / max(1, done - self._done_at_start) * (self.total - done)
        # Beside a bar, the line goes to the log file alone.
        level = logging.INFO if self.bar.disable else logging.DEBUG
        if done < self.total and self.settings.length.unit == "paths":
            log.log(level, "paths %d/%d: %s; %s left", done, self.total, _in_words(figures), duration(left))
        length = self.settings.length
        write_progress(self.settings.folder, Progress(done, length.total, length.unit, figures, finished=False))

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def main_figures(figures: dict[str, Figure]) -> dict[str, float]:
    """Return the means of the main metrics, by names with units."""
    return {f"{word} ({METRICS[name].unit})": figures[name].mean for name, word in _MAIN.items() if name in figures}


def _in_words(figures: dict[str, float]) -> str:
    return ", ".join(f"{label} {value:.3g}" for label, value in figures.items())
