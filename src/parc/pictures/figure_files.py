"""How matplotlib's figures are written."""

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from parc.configuration.files import write_whole


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole (see `write_whole`)."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing"
        )  # names may have any letters; boxes stand for them
        write_whole(path, lambda part: figure.savefig(part, format="png", facecolor="white"))
