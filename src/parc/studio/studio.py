"""The studio: motions in the browser, to be watched, made, and corrected."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import viser
from jaxtyping import Float

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.motion_generator.trained_model import TrainedModel
from parc.pictures.palette import LATE_POSE
from parc.studio.motion_list import ListedMotion, Version
from parc.studio.page import look_at_all, view_of_all
from parc.studio.playback import Playback
from parc.studio.shown_motions import Layers, MotionsInScene

Place = Float[np.ndarray, " 3"]  # in the world of the motion that is worked on, metres


class Studio:
    """What is shown, and what all panels share.

    The first of the motions that are shown is the one that is worked on: edited, gone on from, saved.

    Args:
        server: whose scene and panels are shown.
        character: who moves.
        motions: that can be chosen.
        model: that makes motions; None where there is none.
        folder: where motions are saved unless told otherwise.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        character: Character,
        motions: Sequence[ListedMotion],
        model: TrainedModel | None,
        folder: Path,
    ) -> None:
        self.server, self.character, self.motions, self.model, self.folder = server, character, motions, model, folder
        self.lock = threading.RLock()  # whoever changes what is shown holds it
        self.work = threading.Lock()  # whoever makes what takes a while holds it
        self.layers = Layers()
        self.beside = True
        self.follows = False
        self.on_click: Callable[[Place], None] | None = None
        self.on_frame: list[Callable[[int], None]] = []
        self.on_show: list[Callable[[], None]] = []
        self.on_choose: list[Callable[[], None]] = []
        self.scene = MotionsInScene(server, character)
        self.scene.on_ground_click(self._clicked)
        self.playback = Playback(self._show_frame)
        self._undone: list[list[Version]] = []
        self._root = np.zeros(3)

    @property
    def clip(self) -> MotionClip:
        """The motion that is worked on.

        Raises:
            UserError: none is shown.
        """
        if not self.scene.motions:
            raise UserError("no motion is shown; choose one in the list")
        return self.scene.motions[0].clip

    def show(self, motions: Sequence[Version], frame: int | None = 0, looks: bool = False) -> None:
        """Show motions in the place of those that are shown.

        Args:
            motions: at least one; the first will be worked on.
            frame: to begin at; None to stay at the present one.
            looks: whether browsers turn to look at all of them.
        """
        with self.lock:
            at = self.playback.frame if frame is None else frame
            looks = looks or len(self.scene.motions) != len(motions)  # they lie elsewhere then
            self.scene.show(motions, self.layers, self.beside)
            self._root = self.scene.root_at(at)
            self.playback.begin(self.scene.num_frames, self.scene.fps, at)
            if looks:
                self._look()
            for notify in self.on_show:
                notify()

    def choose(self, motions: Sequence[Version]) -> None:
        """Show other motions; `undo` brings back those that are shown, where they were changed.

        Args:
            motions: at least one; the first will be worked on.
        """
        with self.lock:
            if self._undone:
                self._undone.append(self.scene.motions)
            self.show(motions, looks=True)
            for notify in self.on_choose:
                notify()

    def show_again(self) -> None:
        """Show the same motions, as layers and arrangement now are."""
        with self.lock:
            if self.scene.motions:
                self.show(self.scene.motions, frame=None)

    def work_on(self, clip: MotionClip, frame: int | None = None) -> None:
        """Show a motion that was made from the one that is shown, alone; `undo` brings back what was shown.

        Args:
            clip: to be shown and worked on.
            frame: to begin at; None to stay at the present one.
        """
        with self.lock:
            self._undone.append(self.scene.motions)
            self.show([Version("", clip, LATE_POSE)], frame)

    def propose(self, motions: Sequence[Version], frame: int) -> None:
        """Show motions of which one is to be chosen; `undo` brings back what was shown.

        Args:
            motions: the best first.
            frame: to begin at.
        """
        with self.lock:
            self._undone.append(self.scene.motions)
            self.playback.playing = True
            self.show(motions, frame, looks=len(motions) > 1 and self.beside)

    def undo(self) -> None:
        """Show what was shown before the latest change.

        Raises:
            UserError: nothing was changed.
        """
        with self.lock:
            if not self._undone:
                raise UserError("nothing was changed yet")
            self.show(self._undone.pop(), frame=None)

    def edit(self, change: Callable[[MotionClip], MotionClip]) -> None:
        """Change the motion that is worked on.

        Raises:
            UserError: whatever the change raises, or something is being made of the motion; nothing is changed then.
        """
        with self.lock:
            if self.work.locked():
                raise UserError("something is being made of this motion; wait until it is there")
            clip = change(self.clip)
            # Losses say how good the motion was as it was made.
            made = None if clip.made is None else dataclasses.replace(clip.made, losses={})
            self.work_on(dataclasses.replace(clip, made=made))

    def set_layers(self, **shown: bool) -> None:
        """Show or hide layers (see `Layers`)."""
        with self.lock:
            self.layers = dataclasses.replace(self.layers, **shown)
            self.show_again()

    def arrange(self, beside: bool) -> None:
        """Show several motions beside one another, or on one ground."""
        with self.lock:
            self.beside = beside
            self.show_again()
            self._look()

    def follow(self, follows: bool) -> None:
        """Have browsers' cameras move with the root of the first motion, or not."""
        with self.lock:
            self.follows = follows
            if self.scene.motions:
                self._root = self.scene.root_at(self.playback.frame)

    def say(self, title: str, text: str, colour: Literal["blue", "green", "red"] = "blue") -> None:
        """Show a note in the browser for a while."""
        for client in self.server.get_clients().values():
            client.add_notification(title, text, color=colour, auto_close_seconds=12.0)

    def _show_frame(self, frame: int) -> None:
        with self.lock, self.server.atomic():
            self.scene.at(frame)
            if self.follows and self.scene.characters:
                root = self.scene.root_at(frame)
                for client in self.server.get_clients().values():
                    client.camera.position = client.camera.position + (root - self._root)
                    client.camera.look_at = client.camera.look_at + (root - self._root)
                self._root = root
            for notify in self.on_frame:
                notify(frame)

    def _clicked(self, number: int, event: viser.SceneNodePointerEvent) -> None:
        with self.lock:
            place = self.scene.ground_of(number).place_at(event)
            if place is None or self.on_click is None:
                return
            if number:  # whoever is clicked for is the one to go on with
                motions = self.scene.motions
                self.show([motions[number], *motions[:number], *motions[number + 1 :]], frame=None)
        self.on_click(place)

    def _look(self) -> None:
        if not self.scene.motions:
            return
        look_at_all(self.server, self.scene)
        for client in self.server.get_clients().values():
            client.camera.position, client.camera.look_at = view_of_all(self.scene, client.camera.aspect)
