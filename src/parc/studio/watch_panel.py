"""The panel to watch motions: which ones, what is drawn beside them, and their figures."""

from collections.abc import Sequence

from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.studio.figures import as_table, figures_of
from parc.studio.listening import listen
from parc.studio.model_layer import ModelLayer
from parc.studio.motion_list import ListedMotion, Version, titles_of
from parc.studio.studio import Studio

PAGE_SIZE = 20  # motions of the list that are read and shown at once
BESIDE, ON_ONE_GROUND = "beside one another", "on one ground"
ALL_VERSIONS = "all"


class WatchPanel:
    """The panel to watch motions.

    Args:
        studio: that shows them.
        feet: bodies whose contacts figures count.
        model_layer: what the model sees.
    """

    def __init__(self, studio: Studio, feet: Sequence[str], model_layer: ModelLayer) -> None:
        self._studio, self._feet, self._gui = studio, feet, studio.server.gui
        self._model_layer = model_layer
        self._found: list[ListedMotion] = list(studio.motions)
        self._kept: list[Version] = []
        self._chosen: list[Version] = []
        self._measured: list[tuple[MotionClip, dict[str, str]]] = []
        self._add_choice()
        self._figures = self._gui.add_markdown("")
        self._add_layers()
        self._add_list()
        studio.on_show.append(self._describe)
        try:
            self._show_page()
        except UserError as error:  # a broken clip is no reason not to show the others
            self._figures.content = str(error)

    def _add_choice(self) -> None:
        gui, studio = self._gui, self._studio
        self._filter = gui.add_text("find", "", hint="motions with this in their name or class")
        self._choice = gui.add_dropdown("motion", [" "])
        self._step = gui.add_button_group("", ["previous", "next"])
        self._version = gui.add_dropdown("version", [ALL_VERSIONS], visible=False)
        self._more = gui.add_button_group("several", ["keep beside", "alone"])
        listen(studio, self._filter, lambda: (self._find(), self._show_page()))
        listen(studio, self._choice, self._choose)
        listen(studio, self._version, self._show_chosen)
        listen(studio, self._step, lambda: self._move(1 if self._step.value == "next" else -1))
        listen(studio, self._more, self._keep)

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
            sight = gui.add_checkbox(
                "what the model sees", False, hint="heights, target, the frames that it goes on from"
            )
        listen(studio, sight, lambda: self._model_layer.show(sight.value))
        listen(studio, arrangement, lambda: studio.arrange(arrangement.value == BESIDE))

    def _add_list(self) -> None:
        with self._gui.add_folder("All motions"):
            self._page = self._gui.add_number("page", 1, min=1, max=1, step=1, visible=len(self._found) > PAGE_SIZE)
            self._listing = self._gui.add_markdown("")
        listen(self._studio, self._page, self._show_page)

    def _find(self) -> None:
        wanted = self._filter.value.lower()
        self._found = [
            motion
            for motion in self._studio.motions
            if wanted in motion.name.lower() or wanted in motion.motion_class.lower()
        ]
        self._page.value = 1

    def _show_page(self, by: int = 1) -> None:
        """Show a page of the list, and the first motion of it; the last one where one steps back to it."""
        pages = max(1, -(-len(self._found) // PAGE_SIZE))
        self._page.max, self._page.visible = pages, pages > 1
        first = (int(self._page.value) - 1) * PAGE_SIZE
        shown = self._found[first : first + PAGE_SIZE]
        if not shown:
            self._choice.options = [" "]
            self._listing.content = f"No motion of {len(self._studio.motions)} is called so."
            return
        self._choice.options = [motion.name for motion in shown]
        self._choice.value = shown[0 if by > 0 else -1].name
        of_all = f"{first + 1} to {first + len(shown)} of {len(self._found)} motions"
        self._listing.content = f"{of_all}\n\n{self._table_of(shown)}"
        self._choose()

    def _table_of(self, motions: Sequence[ListedMotion]) -> str:
        rows = {motion.name: self._row_of(motion) for motion in motions}
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        return as_table({name: {motion: row.get(name, "") for motion, row in rows.items()} for name in columns})

    def _row_of(self, motion: ListedMotion) -> dict[str, str]:
        try:
            clip = motion.read(self._studio.character)[-1].clip
        except UserError:
            return {"class": motion.motion_class, "s": "broken"}
        losses = {} if clip.made is None else {name: f"{loss:.2f}" for name, loss in clip.made.losses.items()}
        return {"class": motion.motion_class, "s": f"{clip.seconds:.1f}", "loss": losses.get("total", "")}

    def _choose(self) -> None:
        chosen = next((motion for motion in self._found if motion.name == self._choice.value), None)
        if chosen is None:
            return
        self._chosen = chosen.read(self._studio.character)
        labels = [version.label for version in self._chosen]
        self._version.visible = len(labels) > 1
        self._version.options = [ALL_VERSIONS, *labels] if len(labels) > 1 else [ALL_VERSIONS]
        self._version.value = ALL_VERSIONS
        self._show_chosen()

    def _show_chosen(self) -> None:
        wanted = self._version.value
        versions = [each for each in self._chosen if wanted in (ALL_VERSIONS, each.label)]
        # The last version is the best one: it is the one to work on.
        self._studio.choose([*reversed(versions), *self._kept])

    def _move(self, by: int) -> None:
        names = list(self._choice.options)
        place = names.index(self._choice.value) + by
        if 0 <= place < len(names):
            self._choice.value = names[place]
            self._choose()
        elif 1 <= self._page.value + by <= (self._page.max or 1):
            self._page.value += by
            self._show_page(by)

    def _keep(self) -> None:
        self._kept = [*self._studio.scene.motions] if self._more.value == "keep beside" else []
        if not self._kept:
            self._show_chosen()

    def _describe(self) -> None:
        """Show the figures of what is shown now."""
        motions = self._studio.scene.motions
        # Motions are measured once, not whenever something else is drawn beside them.
        known = {id(clip): (clip, figures) for clip, figures in self._measured}
        self._measured = [
            known.get(id(motion.clip)) or (motion.clip, figures_of(motion.clip, self._studio.character, self._feet))
            for motion in motions
        ]
        figures = (figures for _, figures in self._measured)
        self._figures.content = as_table(dict(zip(titles_of(motions), figures, strict=True)))
