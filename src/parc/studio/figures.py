"""What is said of a motion beside it: how long it is, how it keeps to the ground, where it came from."""

import math
from collections.abc import Sequence

import torch

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.candidates import batch_of
from parc.motion_synthesis.motion_measures import summed_measures
from parc.motion_synthesis.quality import quality_of_frames, summed_quality
from parc.terrain.heightfield import laid_end_to_end


@torch.no_grad()
def figures_of(clip: MotionClip, character: Character, feet: Sequence[str]) -> dict[str, str]:
    """Measure a clip; return its figures with their units, by name.

    Args:
        clip: to be measured.
        character: who moves.
        feet: bodies whose contacts count; a character may lack them.
    """
    motions, terrains = batch_of([clip.frames]), laid_end_to_end([clip.terrain])
    surface = surface_points(character)
    frames = quality_of_frames(motions, terrains, character, surface)
    quality = summed_quality(motions, frames, clip.fps)
    known_feet = [character.body_index(name) for name in feet if name in character.body_names]
    measures = summed_measures(motions, frames, surface, clip.fps, known_feet)
    slide = float(measures.slide) if known_feet else float("nan")
    figures = {
        "length": f"{clip.seconds:.1f} s",
        "deepest": f"{100 * float(quality.deepest):.1f} cm",
        "over 1 cm deep": f"{100 * float(measures.deep_frames):.0f} %",
        "feet slide": f"{100 * slide:.1f} cm/s" if not math.isnan(slide) else "no contact",
        "a foot floats": f"{100 * float(measures.floating_frames):.0f} %",
        "jerky": f"{100 * float(measures.jerky_frames):.1f} %",
        "fastest body": f"{float(quality.fastest_body):.1f} m/s",
    }
    if clip.path_nodes is not None and len(clip.path_nodes):
        missed = float((clip.root_pos[-1] - clip.path_nodes[-1])[:2].norm())
        figures["path's end missed"] = f"{missed:.2f} m"
    if clip.made is not None:
        figures["made by"] = f"{clip.made.short_digest}, motion {clip.made.number}"
    return figures


def as_table(columns: dict[str, dict[str, str]]) -> str:
    """Return figures as a Markdown table, a column for each motion.

    Args:
        columns: figures by motion.
    """
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(figures.get(name, "") for figures in columns.values())] for name in names]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Return text as Markdown that shows it as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#" else letter for letter in text)
