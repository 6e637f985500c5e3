"""What a click on the ground does: one tool at a time."""

from collections.abc import Callable

from parc.studio.listening import listen, reporting
from parc.studio.studio import Place, Studio

NOTHING = "nothing"


class Tools:
    """The list of tools above all panels.

    Args:
        studio: on whose grounds is clicked.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._tools: dict[str, Callable[[Place], None]] = {}
        self._choice = studio.server.gui.add_dropdown("a click on the ground", [NOTHING], hint="what it does")
        self._on_change: list[Callable[[], None]] = []
        studio.on_click = self._clicked
        listen(studio, self._choice, self._changed)

    def add(self, name: str, work: Callable[[Place], None]) -> None:
        """Add a tool.

        Args:
            name: what it does, in a few words.
            work: called with each place that is clicked.
        """
        self._tools[name] = work
        self._choice.options = [NOTHING, *self._tools]

    def choose(self, name: str) -> None:
        """Have clicks use a tool."""
        self._choice.value = name

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have a function called when another tool is chosen."""
        self._on_change.append(callback)

    def _changed(self) -> None:
        for callback in self._on_change:
            callback()

    def _clicked(self, place: Place) -> None:
        if tool := self._tools.get(self._choice.value):
            reporting(self._studio, lambda: tool(place))
