"""What a run says while it generates: a progress bar or lines, and word in its folder."""

import logging
import sys
import time

from tqdm import tqdm

from parc.configuration.messages import duration
from parc.motion_synthesis.generated import Generated
from parc.motion_synthesis.saved_clips import is_done
from parc.motion_synthesis.settings import GenerateSettings
from parc.stages.progress import Progress, write_progress

log = logging.getLogger(__name__)

# What was measured, by its name in `MotionMeasures`, as people say it.
_FIGURES = {
    "slide": ("foot slide (cm/s)", 100.0),
    "deep_frames": ("frames over 1 cm deep (%)", 100.0),
    "floating_frames": ("frames with a floating foot (%)", 100.0),
    "jerky_frames": ("jerky frames (%)", 100.0),
}


class Display:
    """Motions saved or given up, share of candidates accepted, why others were refused, time left.

    A bar on a terminal, plain lines elsewhere and in the log file; and how far the run is in its folder, for tables.
    """

    def __init__(self, settings: GenerateSettings, generated: Generated) -> None:
        self.settings, self.generated = settings, generated
        self.total = settings.length.total
        self.done = sum(
            len(settings.wanted_of(group)) for group in settings.groups if is_done(settings, generated, group)
        )
        self.bar = tqdm(
            total=self.total, initial=self.done, unit="motion", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )
        self._started, self._done_at_start = time.monotonic(), self.done

    def show(self, group: int) -> None:
        """Show how far the run is now that a group is done."""
        self.done += len(self.settings.wanted_of(group))
        self.bar.set_postfix_str(f"{self.generated.share_accepted:.0%} accepted")
        self.bar.update(self.done - self.bar.n)
        # Beside a bar, the line goes to the log file alone.
        log.log(logging.INFO if self.bar.disable else logging.DEBUG, self._line())
        self.write()

    def _line(self) -> str:
        made = self.done - self._done_at_start
        left = (time.monotonic() - self._started) / max(1, made) * (self.total - self.done)
        return f"motions {self.done}/{self.total}: {acceptance(self.generated)}; {duration(left)} left"

    def write(self) -> None:
        """Leave word of how far the run is in its folder.

        Raises:
            UserError: it cannot be written.
        """
        figures = {"accepted (%)": 100 * self.generated.share_accepted} | refined_figures(self.generated)
        write_progress(
            self.settings.folder, Progress(self.done, self.total, "motions", figures, self.done >= self.total)
        )

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def acceptance(generated: Generated) -> str:
    """Say what share of the candidates was accepted, and why others were refused."""
    candidates = generated.candidates
    reasons = ", ".join(f"{reason} {count / candidates:.0%}" for reason, count in generated.refused.items())
    return f"{generated.share_accepted:.0%} of {candidates} candidates accepted{f' ({reasons})' if reasons else ''}"


def refined_figures(generated: Generated) -> dict[str, float]:
    """Return what was measured of the refined motions, by names with units."""
    measured = generated.after
    return {label: scale * measured[name] for name, (label, scale) in _FIGURES.items() if name in measured}


def before_and_after(generated: Generated) -> str:
    """Say what refinement did to the motions."""
    before, after = generated.before, generated.after
    return ", ".join(
        f"{label} {scale * before[name]:.3g} -> {scale * after[name]:.3g}"
        for name, (label, scale) in _FIGURES.items()
        if name in before
    )
