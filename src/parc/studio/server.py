"""The web server of the viewer: on this machine alone unless it is told otherwise, and without a word of its own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import rich
import viser

from parc.configuration.errors import UserError

THIS_MACHINE = "127.0.0.1"


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
    _refuse_address(host, port)
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


def _refuse_address(host: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: expected 0 (any) to 65535")
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise UserError(
            f"--host {host}: nothing can listen there ({error.strerror}); expected an address of this machine: 127.0.0.1 for "
            "browsers on it alone, 0.0.0.0 for everybody who can reach it"
        ) from error
