"""The panel to play motions, above all others."""

from parc.studio.listening import listen
from parc.studio.studio import Studio

SPEEDS = {"1/8 x": 0.125, "1/4 x": 0.25, "1/2 x": 0.5, "1 x": 1.0, "2 x": 2.0, "4 x": 4.0}
PLAY_OR_PAUSE, BACK, FORWARD = "play / pause", "- 1", "+ 1"


class PlayPanel:
    """The panel to play motions.

    Args:
        studio: whose time it shows.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio, gui, playback = studio, studio.server.gui, studio.playback
        self._scrubs = False
        self._frame = gui.add_slider("frame", 0, 1, 1, 0)
        self._play = gui.add_button_group("", [PLAY_OR_PAUSE, BACK, FORWARD])
        with gui.add_folder("How it plays", expand_by_default=False):
            speed = gui.add_dropdown("speed", list(SPEEDS), initial_value="1 x")
            loops = gui.add_checkbox("again at the end", True)
            follows = gui.add_checkbox("camera follows", False)
        listen(studio, self._frame, self._scrub)
        listen(studio, self._play, self._play_or_step)
        listen(studio, speed, lambda: setattr(playback, "speed", SPEEDS[speed.value]))
        listen(studio, loops, lambda: setattr(playback, "loops", loops.value))
        listen(studio, follows, lambda: studio.follow(follows.value))
        studio.on_frame.append(self._show_frame)
        studio.on_show.append(self._measure)

    def _play_or_step(self) -> None:
        playback = self._studio.playback
        if self._play.value == PLAY_OR_PAUSE:
            playback.playing = not playback.playing
            if playback.playing and not playback.loops and playback.frame == playback.num_frames - 1:
                playback.go_to(0)
        else:
            playback.playing = False
            playback.go_to(playback.frame + (1 if self._play.value == FORWARD else -1))

    def _scrub(self) -> None:
        with self._studio.lock:
            self._studio.playback.playing = False
            self._scrubs = True
            self._studio.playback.go_to(int(self._frame.value))
            self._scrubs = False

    def _show_frame(self, frame: int) -> None:
        if not self._scrubs:  # a slider that is drawn along is further already, and must not be set back
            self._frame.value = frame

    def _measure(self) -> None:
        self._frame.max = max(1, self._studio.scene.num_frames - 1)
