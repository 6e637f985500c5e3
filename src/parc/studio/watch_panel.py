"""The panel to watch motions: the list, playing, and what is drawn beside them."""

from collections.abc import Sequence

from parc.configuration.errors import UserError
from parc.studio.figures import as_table, figures_of
from parc.studio.listening import listen
from parc.studio.motion_list import ListedMotion, Version
from parc.studio.studio import Studio

PAGE_SIZE = 20  # motions of the list that are read and shown at once
SPEEDS = {"1/8 x": 0.125, "1/4 x": 0.25, "1/2 x": 0.5, "1 x": 1.0, "2 x": 2.0, "4 x": 4.0}
BESIDE, ON_ONE_GROUND = "beside one another", "on one ground"
ALL_VERSIONS = "all"


class WatchPanel:
    """The panel to watch motions.

    Args:
        studio: that shows them.
        feet: bodies whose contacts figures count.
    """

    def __init__(self, studio: Studio, feet: Sequence[str]) -> None:
        self._studio, self._feet, self._gui = studio, feet, studio.server.gui
        self._found: list[ListedMotion] = list(studio.motions)
        self._kept: list[Version] = []
        self._chosen: list[Version] = []
        self._add_list()
        self._add_playing()
        self._add_layers()
        self._figures = self._gui.add_markdown("")
        studio.on_frame.append(self._show_frame)
        studio.on_show.append(self._describe)
        self._show_page()

    def _add_list(self) -> None:
        gui, studio = self._gui, self._studio
        self._filter = gui.add_text("find", "", hint="motions with this in their name or class")
        self._page = gui.add_number("page", 1, min=1, max=1, step=1, visible=len(self._found) > PAGE_SIZE)
        self._choice = gui.add_dropdown("motion", [" "])
        self._step = gui.add_button_group("", ["previous", "next"])
        self._version = gui.add_dropdown("version", [ALL_VERSIONS], visible=False)
        self._more = gui.add_button_group("several", ["keep beside", "alone"])
        self._listing = gui.add_markdown("")
        listen(studio, self._filter, lambda: (self._find(), self._show_page()))
        listen(studio, self._page, self._show_page)
        listen(studio, self._choice, self._choose)
        listen(studio, self._version, self._show_chosen)
        listen(studio, self._step, lambda: self._move(1 if self._step.value == "next" else -1))
        listen(studio, self._more, self._keep)

    def _add_playing(self) -> None:
        gui, studio, playback = self._gui, self._studio, self._studio.playback
        with gui.add_folder("Play"):
            self._frame = gui.add_slider("frame", 0, 1, 1, 0)
            self._play = gui.add_button_group("", ["play / pause", "- 1", "+ 1"])
            self._speed = gui.add_dropdown("speed", list(SPEEDS), initial_value="1 x")
            self._loop = gui.add_checkbox("again at the end", True)
            self._follow = gui.add_checkbox("camera follows", False)
        listen(studio, self._frame, self._scrub)
        listen(studio, self._play, self._play_or_step)
        listen(studio, self._speed, lambda: setattr(playback, "speed", SPEEDS[self._speed.value]))
        listen(studio, self._loop, lambda: setattr(playback, "loops", self._loop.value))
        listen(studio, self._follow, lambda: self._studio.follow(self._follow.value))

    def _add_layers(self) -> None:
        gui, studio = self._gui, self._studio
        with gui.add_folder("Show"):
            arrangement = gui.add_dropdown("several motions", [BESIDE, ON_ONE_GROUND])
            for layer, label in (
                ("contacts", "contacts"),
                ("root_path", "way of the root, path"),
                ("joint_names", "names of bodies"),
                ("labels", "names of motions"),
            ):
                box = gui.add_checkbox(label, getattr(studio.layers, layer))
                listen(studio, box, lambda box=box, layer=layer: studio.set_layers(**{layer: box.value}))
        listen(studio, arrangement, lambda: studio.arrange(arrangement.value == BESIDE))

    def _find(self) -> None:
        wanted = self._filter.value.lower()
        self._found = [
            motion
            for motion in self._studio.motions
            if wanted in motion.name.lower() or wanted in motion.motion_class.lower()
        ]
        self._page.value = 1

    def _show_page(self) -> None:
        """Show a page of the list, and the first motion of it."""
        pages = max(1, -(-len(self._found) // PAGE_SIZE))
        self._page.max, self._page.visible = pages, pages > 1
        first = (int(self._page.value) - 1) * PAGE_SIZE
        shown = self._found[first : first + PAGE_SIZE]
        if not shown:
            self._choice.options = [" "]
            self._listing.content = f"No motion of {len(self._studio.motions)} is called so."
            return
        self._choice.options = [motion.name for motion in shown]
        self._choice.value = shown[0].name
        of_all = f"{first + 1} to {first + len(shown)} of {len(self._found)} motions"
        self._listing.content = f"{of_all}\n\n{self._table_of(shown)}"
        self._choose()

    def _table_of(self, motions: Sequence[ListedMotion]) -> str:
        rows = {}
        for motion in motions:
            try:
                clip = motion.read(self._studio.character)[-1].clip
                losses = {} if clip.made is None else {name: f"{loss:.2f}" for name, loss in clip.made.losses.items()}
                rows[motion.name] = {"class": motion.motion_class, "seconds": f"{clip.seconds:.1f}", **losses}
            except UserError:
                rows[motion.name] = {"class": motion.motion_class, "seconds": "broken"}
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        return as_table({name: {motion: row.get(name, "") for motion, row in rows.items()} for name in columns})

    def _choose(self) -> None:
        chosen = next((motion for motion in self._found if motion.name == self._choice.value), None)
        if chosen is None:
            return
        self._chosen = chosen.read(self._studio.character)
        labels = [version.label for version in self._chosen]
        self._version.visible = len(labels) > 1
        self._version.options = [ALL_VERSIONS, *labels] if len(labels) > 1 else [ALL_VERSIONS]
        self._version.value = ALL_VERSIONS
        self._studio.forget_changes()
        self._show_chosen()

    def _show_chosen(self) -> None:
        wanted = self._version.value
        versions = [each for each in self._chosen if wanted in (ALL_VERSIONS, each.label)]
        # The last version is the best one: it is the one to work on.
        self._studio.show([*reversed(versions), *self._kept], looks=True)

    def _move(self, by: int) -> None:
        names = list(self._choice.options)
        place = names.index(self._choice.value) + by
        if 0 <= place < len(names):
            self._choice.value = names[place]
            self._choose()
        elif 1 <= self._page.value + by <= self._page.max:
            self._page.value += by
            self._show_page()

    def _keep(self) -> None:
        self._kept = [*self._studio.scene.motions] if self._more.value == "keep beside" else []
        if not self._kept:
            self._show_chosen()

    def _play_or_step(self) -> None:
        playback = self._studio.playback
        if self._play.value == "play / pause":
            playback.playing = not playback.playing
            if playback.playing and not playback.loops and playback.frame == playback.num_frames - 1:
                playback.go_to(0)
        else:
            playback.playing = False
            playback.go_to(playback.frame + (1 if self._play.value == "+ 1" else -1))

    def _scrub(self) -> None:
        self._studio.playback.playing = False
        self._studio.playback.go_to(int(self._frame.value))

    def _show_frame(self, frame: int) -> None:
        self._frame.value = frame

    def _describe(self) -> None:
        """Show the figures of what is shown now."""
        motions = self._studio.scene.motions
        self._frame.max = max(1, self._studio.scene.num_frames - 1)
        columns = {
            motion.label or motion.clip.name: figures_of(motion.clip, self._studio.character, self._feet)
            for motion in motions
        }
        self._figures.content = as_table(columns)
