"""The web server of the viewer, without a word of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import rich
import viser

from parc.studio.address import refuse_address


@contextmanager
def running_server(host: str, port: int, label: str) -> Iterator[viser.ViserServer]:
    """Run the viewer's server for a while.

    Args:
        host: the address to listen on.
        port: likewise; a later one that is free is taken where another program has it. 0 for any.
        label: of the panel in the browser.

    Raises:
        UserError: this machine has no such address or port.
    """
    refuse_address(host, port)
    # viser says on standard output what it does, which is where programs print what they were asked for.
    rich.get_console().quiet = True
    server = viser.ViserServer(host, port, label, verbose=False)
    try:
        # The button to share would send the scene through somebody else's server.
        server.gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        server.gui.main_panel.dock_right()
        yield server
    finally:
        server.stop()
