"""What pictures say about a clip, in words."""

from pathlib import Path

from parc.anim.making import Making
from parc.terrain.heightfield import Heightfield


def terrain_in_words(terrain: Heightfield) -> str:
    """Return how large a clip's terrain is."""
    rows, columns = terrain.heights.shape
    return f"terrain of {rows} x {columns} cells of {terrain.cell_size:g} m"


def making_in_words(made: Making) -> list[str]:
    """Return how a clip was made and how well that went: the motion, the model and the losses."""
    parts = [
        f"motion {made.number} of seed {made.seed}, candidate {made.candidate}{', mirrored' if made.mirrored else ''}",
        f"model {made.short_digest} ({'/'.join(Path(made.model).parts[-2:])}), guidance {made.guidance_scale:g}",
        losses_in_words(made),
    ]
    return [part for part in parts if part]


def losses_in_words(made: Making) -> str:
    """Return the losses of a generated clip by their names."""
    return ", ".join(f"{name} {loss:.3g}" for name, loss in made.losses.items())
