"""Messages to the user: the project's log on stdout, plain."""

import logging
import sys


def show_messages() -> None:
    """Show what the project logs, a line each, without times and names."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.setLevel(logging.INFO)
    logger = logging.getLogger("parc")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
