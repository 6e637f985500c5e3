"""The panel to correct the motion that is worked on, and to save it."""

from pathlib import Path

from parc.anim.clip_files import write_clip
from parc.anim.contact_labels import with_contact, with_contacts_from_geometry
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.paths import expanded_home
from parc.motion_synthesis.clips_of_motions import refined_clip
from parc.pictures.palette import LATE_POSE
from parc.studio.listening import listen, working
from parc.studio.motion_list import REFINED, UNREFINED, UNREFINED_COLOUR, Version
from parc.studio.motion_requests import Pieces
from parc.studio.studio import Studio


class CorrectPanel:
    """The panel to correct and save.

    Args:
        studio: whose motion is corrected.
        pieces: with which it is refined.
    """

    def __init__(self, studio: Studio, pieces: Pieces) -> None:
        self._studio, self._pieces, gui = studio, pieces, studio.server.gui
        self._named = ""  # the motion that the file is named after
        self._surface = surface_points(studio.character)
        with gui.add_folder("Contact labels"):
            self._body = gui.add_dropdown("body", studio.character.body_names)
            self._first = gui.add_number("from frame", 0, min=0, step=1)
            self._last = gui.add_number("to frame", 0, min=0, step=1)
            here = gui.add_button_group("the frame shown is", ["the first", "the last"])
            set_labels = gui.add_button_group("the body", ["touches", "touches nothing"])
            from_ground = gui.add_button("Labels from the ground", hint="a body that is on it and slow touches it")
        refine = gui.add_button("Refine the motion", hint="on the ground, without sliding, near to what it is")
        undo = gui.add_button("Undo")
        with gui.add_folder("Save"):
            self._file = gui.add_text("file", "")
            save = gui.add_button("Save as a clip")
        listen(studio, here, lambda: self._set_end(here.value))
        listen(studio, set_labels, lambda: self._set_labels(1.0 if set_labels.value == "touches" else 0.0))
        listen(studio, from_ground, self._labels_from_ground)
        listen(studio, refine, self._refine)
        listen(studio, undo, studio.undo)
        listen(studio, save, self._save)
        studio.on_show.append(self._name_file)

    def _set_end(self, which: str) -> None:
        (self._first if which == "the first" else self._last).value = self._studio.playback.frame

    def _set_labels(self, label: float) -> None:
        first, last = int(self._first.value), int(self._last.value) + 1
        character, body = self._studio.character, self._body.value
        self._studio.edit(lambda clip: with_contact(clip, character, body, first, last, label))

    def _labels_from_ground(self) -> None:
        self._studio.edit(lambda clip: with_contacts_from_geometry(clip, self._studio.character, self._surface))

    def _refine(self) -> None:
        before = self._studio.clip
        with working(self._studio, "Refining"):
            after = refined_clip(before, self._studio.character, self._pieces.refinement)
        both = [Version(REFINED, after, LATE_POSE), Version(UNREFINED, before, UNREFINED_COLOUR)]
        self._studio.propose(both, self._studio.playback.frame)

    def _name_file(self) -> None:
        clip, number = self._studio.clip, 0
        if clip.name == self._named and not Path(self._file.value).exists():
            return  # it may have been typed
        self._named = clip.name
        while (path := self._studio.folder / f"{clip.name}_{number}.safetensors").exists():
            number += 1
        self._file.value = str(path)

    def _save(self) -> None:
        path: Path = expanded_home(self._file.value)
        try:
            if path.exists():
                raise UserError(f"{path}: there is such a file already; choose another name")
            if path.suffix == ".safetensors":
                path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
        write_clip(path, self._studio.clip)
        self._studio.say("Saved", str(path), "green")
        self._name_file()
