"""The panel to edit the terrain of the motion that is worked on."""

import dataclasses
import math
from collections.abc import Callable

import torch

from parc.anim.motion_clip import MotionClip
from parc.studio.listening import listen
from parc.studio.studio import Place, Studio
from parc.studio.tools import Tools
from parc.terrain.editing import enlarged, levelled, raised, with_box, with_stairs
from parc.terrain.heightfield import Heightfield

MORE_GROUND = 4.0  # metres around the terrain


class TerrainPanel:
    """The panel to edit a terrain.

    Args:
        studio: whose motion's terrain is edited.
        tools: to which clicks that edit are added.
        make_again: makes the latest motion again over the terrain as it is; says whether there is one.
    """

    def __init__(self, studio: Studio, tools: Tools, make_again: Callable[[], bool]) -> None:
        self._studio, self._make_again, gui = studio, make_again, studio.server.gui
        self._first: Place | None = None  # of two clicks
        gui.add_markdown("*A click on the ground*, above, says what clicks do. Boxes and stairs take two of them.")
        self._height = gui.add_slider(
            "height (m)", -2.0, 2.0, 0.05, 0.2, hint="of what is raised, of a box, of one step"
        )
        self._radius = gui.add_slider(
            "radius (m)", 0.0, 3.0, 0.1, 0.6, hint="around the click; half the width of stairs"
        )
        self._again = gui.add_checkbox(
            "make the motion again", True, hint="after each change, where a model made it here"
        )
        more = gui.add_button("More ground around")
        undo = gui.add_button("Undo")
        listen(studio, more, lambda: self._change(lambda terrain: enlarged(terrain, MORE_GROUND)))
        listen(studio, undo, studio.undo)
        tools.add("raise the ground", self._raise)
        tools.add("lower the ground", self._lower)
        tools.add("level the ground", self._level)
        tools.add("put a box", lambda place: self._with_two(place, self._box))
        tools.add("put stairs", lambda place: self._with_two(place, self._stairs))
        tools.on_change(self._forget_first)
        studio.on_choose.append(self._forget_first)

    def _raise(self, place: Place) -> None:
        self._change(lambda terrain: raised(terrain, _flat(place), self._radius.value, self._height.value))

    def _lower(self, place: Place) -> None:
        self._change(lambda terrain: raised(terrain, _flat(place), self._radius.value, -self._height.value))

    def _level(self, place: Place) -> None:
        self._change(lambda terrain: levelled(terrain, _flat(place), self._radius.value))

    def _box(self, terrain: Heightfield, corner: Place, opposite: Place) -> Heightfield:
        return with_box(terrain, _flat(corner), _flat(opposite), self._height.value, relative=True)

    def _stairs(self, terrain: Heightfield, foot: Place, top: Place) -> Heightfield:
        along = top[:2] - foot[:2]
        length = float((along**2).sum() ** 0.5)
        return with_stairs(
            terrain,
            _flat(foot),
            math.atan2(along[1], along[0]),
            steps=max(1, round(length / terrain.cell_size)),
            step_height=self._height.value,
            step_depth=terrain.cell_size,
            width=2 * max(self._radius.value, terrain.cell_size),
        )

    def _with_two(self, place: Place, build: Callable[[Heightfield, Place, Place], Heightfield]) -> None:
        if self._first is None:
            self._first = place
            self._studio.say("From there", "Now click the opposite corner, or the top of the stairs.")
            return
        first, self._first = self._first, None
        self._change(lambda terrain: build(terrain, first, place))

    def _forget_first(self) -> None:
        self._first = None

    def _change(self, edit: Callable[[Heightfield], Heightfield]) -> None:
        def changed(clip: MotionClip) -> MotionClip:
            # Bounds that came with the clip are of the terrain as it was.
            return dataclasses.replace(clip, terrain=edit(clip.terrain), height_bounds=None)

        self._studio.edit(changed)
        if self._again.value:
            self._make_again()


def _flat(place: Place) -> torch.Tensor:
    return torch.from_numpy(place[:2]).float()
