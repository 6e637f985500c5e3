"""Figures of generated clips: how many there are of each terrain, how well they went, and what made them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from parc.anim.making import Making


@dataclass(frozen=True)
class GeneratedClip:
    """What figures need to know of a generated clip.

    Attributes:
        terrain: its class, which is called after the terrain.
        seconds: its length.
        made: how it was made.
    """

    terrain: str
    seconds: float
    made: Making


@dataclass(frozen=True)
class FiguresOfClips:
    """Figures of some generated clips.

    Attributes:
        clips: how many there are.
        motions: how many there are of which no two are mirror images.
        seconds: of all clips.
        losses: mean over motions of each loss, in the order in which clips name them.
        guidance_scales: that were used, the lowest first.
        models: path of each model by its short digest.
    """

    clips: int
    motions: int
    seconds: float
    losses: dict[str, float]
    guidance_scales: list[float]
    models: dict[str, str]


def figures_of(clips: Sequence[GeneratedClip]) -> FiguresOfClips:
    """Return the figures of some generated clips."""
    motions = {(clip.terrain, clip.made.motion): clip.made for clip in clips}
    losses: dict[str, list[float]] = defaultdict(list)
    for made in motions.values():
        for name, loss in made.losses.items():
            losses[name].append(loss)
    return FiguresOfClips(
        clips=len(clips),
        motions=len(motions),
        seconds=sum(clip.seconds for clip in clips),
        losses={name: sum(values) / len(values) for name, values in losses.items()},
        guidance_scales=sorted({made.guidance_scale for made in motions.values()}),
        models={made.short_digest: made.model for made in motions.values()},
    )


def figures_by_terrain(clips: Sequence[GeneratedClip]) -> dict[str, FiguresOfClips]:
    """Return the figures of the generated clips of each terrain, in the order of names."""
    of_terrain: dict[str, list[GeneratedClip]] = defaultdict(list)
    for clip in clips:
        of_terrain[clip.terrain].append(clip)
    return {terrain: figures_of(of_terrain[terrain]) for terrain in sorted(of_terrain)}
