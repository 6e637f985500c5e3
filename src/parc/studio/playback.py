"""Time in the viewer: which frame is shown, and how it goes on."""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

TICKS_PER_SECOND = 30  # of which a browser draws each


class Playback:
    """Shows frame after frame while it plays, from a thread of its own.

    Args:
        show: called with the number of each frame that is to be seen.
    """

    def __init__(self, show: Callable[[int], None]) -> None:
        self._show = show
        self._time = 0.0  # frames
        self.num_frames = 1
        self.fps = 30.0
        self.playing = True
        self.speed = 1.0
        self.loops = True
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="playback")

    def start(self) -> None:
        """Begin to let time pass."""
        self._thread.start()

    def stop(self) -> None:
        """Let no time pass any more."""
        self._ends.set()
        self._thread.join()

    @property
    def frame(self) -> int:
        """The number of the frame that is shown."""
        return min(int(self._time), self.num_frames - 1)

    def begin(self, num_frames: int, fps: float, frame: int = 0) -> None:
        """Play something else, from one of its frames on.

        Args:
            num_frames: of what is played.
            fps: its frames a second.
            frame: to begin at.
        """
        self.num_frames, self.fps = num_frames, fps
        self.go_to(frame)

    def go_to(self, frame: int) -> None:
        """Show a frame; those before the first and beyond the last stand for these."""
        self._time = float(min(max(frame, 0), self.num_frames - 1))
        self._show(self.frame)

    def pass_time(self, seconds: float) -> None:
        """Go on as it does in so many seconds: at the end, from the beginning again or not at all."""
        if not self.playing:
            return
        before, self._time = self.frame, self._time + seconds * self.fps * self.speed
        if self._time >= self.num_frames:
            self._time = self._time % self.num_frames if self.loops else self.num_frames - 1.0
        if self.frame != before:
            self._show(self.frame)

    def _run(self) -> None:
        latest = time.monotonic()
        while not self._ends.wait(1 / TICKS_PER_SECOND):
            now = time.monotonic()
            try:
                self.pass_time(now - latest)
            except Exception:  # a frame that cannot be drawn is no reason to stop time
                log.exception("the studio")
            latest = now
