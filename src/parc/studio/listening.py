"""Listening to the elements of panels: what goes wrong is shown, and what takes long is announced."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import viser

from parc.configuration.errors import UserError
from parc.studio.studio import Studio

log = logging.getLogger(__name__)

Element = viser.GuiInputHandle | viser.GuiButtonHandle | viser.GuiButtonGroupHandle


def listen(studio: Studio, element: Element, work: Callable[[], object]) -> None:
    """Do some work whenever somebody uses an element of a panel; what the program sets itself is no use.

    Args:
        studio: whose panel it is of.
        element: a button is used when it is clicked, everything else when its value changes.
        work: to be done; a `UserError` is shown in the browser.
    """

    def do(event: viser.GuiEvent) -> None:
        if event.client is not None:
            reporting(studio, work)

    if isinstance(element, viser.GuiButtonHandle | viser.GuiButtonGroupHandle):
        element.on_click(do)
    else:
        element.on_update(do)


def reporting(studio: Studio, work: Callable[[], object]) -> None:
    """Do some work; what is wrong is shown in the browser, in one line."""
    try:
        work()
    except UserError as error:
        studio.say("That cannot be done", str(error), "red")
    except Exception as error:  # whoever clicked is to hear of it, and the studio goes on
        log.exception("the studio")
        studio.say("Something went wrong", f"{type(error).__name__}: {error}; the terminal says more", "red")


@contextmanager
def working(studio: Studio, title: str) -> Iterator[None]:
    """Say in the browser that something takes a while, as long as it does; one such thing is done at a time.

    Raises:
        UserError: another one is not done yet.
    """
    if not studio.work.acquire(blocking=False):
        raise UserError("something is being made already; wait until it is there")
    notes = []
    try:
        for client in studio.server.get_clients().values():
            notes.append(
                client.add_notification(title, "This takes a few seconds.", loading=True, with_close_button=False)
            )
        yield
    finally:
        studio.work.release()
        for note in notes:
            note.remove()
