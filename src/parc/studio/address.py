"""The address at which the studio listens: on this machine alone unless it is told otherwise."""

import socket

from parc.configuration.errors import UserError

THIS_MACHINE = "127.0.0.1"


def refuse_address(host: str, port: int) -> None:
    """Check that something can listen at an address.

    Raises:
        UserError: this machine has no such address or port.
    """
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
