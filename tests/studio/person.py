"""Somebody who uses the studio's panels, for tests that need no browser."""

from typing import Any
from unittest import mock

import viser
from viser import ClientHandle, GuiEvent, SceneNodePointerEvent

SOMEBODY = mock.create_autospec(ClientHandle, instance=True)  # whose browser it is


class Person:
    """Somebody at a studio, who uses what panels show by its label and clicks the ground from straight above."""

    def __init__(self, studio) -> None:
        self.studio = studio
        self.told: list[tuple[str, str, str]] = []
        studio.say = lambda title, text, colour="blue": self.told.append((title, text, colour))

    def element(self, label, kind: Any = viser.GuiInputHandle | viser.GuiButtonHandle | viser.GuiButtonGroupHandle):
        """The element with this label, the first that is shown."""
        elements = self.studio.server.gui._gui_input_handle_from_uuid.values()
        return next(each for each in elements if isinstance(each, kind) and each.label == label and each.visible)

    def set(self, label, value):
        """Give the element with a label a value."""
        self._use(self.element(label), value)

    def press(self, button):
        """Press a button, or one of a group of buttons."""
        elements = self.studio.server.gui._gui_input_handle_from_uuid.values()
        for element in elements:
            if isinstance(element, viser.GuiButtonGroupHandle) and button in element.options:
                self._use(element, button)
                return
        self._use(self.element(button, viser.GuiButtonHandle), True)

    def click(self, x, y, number=0):
        """Click the ground of a motion at a place of its world."""
        offset = self.studio.scene.offsets[number]
        ground = self.studio.scene.ground_of(number)
        above = (float(offset[0] + x), float(offset[1] + y), 50.0)
        event = SceneNodePointerEvent(
            SOMEBODY, 0, "click", ground.node, above, (0.0, 0.0, -1.0), (0.5, 0.5), None, None
        )
        self.studio._clicked(number, event)

    def read(self):
        """All text of the panels."""
        handles = self.studio.server.gui._container_handle_from_uuid.values()
        children = [child for handle in handles for child in handle._children.values()]
        return "\n".join(child.content for child in children if isinstance(child, viser.GuiMarkdownHandle))

    def _use(self, element, value):
        element._impl.value = value
        for callback in element._impl.update_cb:
            callback(GuiEvent(client=SOMEBODY, client_id=0, target=element))
