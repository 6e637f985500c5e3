"""What an evaluation measures of each motion, and of the motions of one path together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.contact_labels import SLOW
from parc.anim.surface_points import BodyPoints
from parc.evaluation.metrics import MOTION_METRICS
from parc.evaluation.settings import CleanMotion
from parc.motion_synthesis.candidates import Candidates
from parc.motion_synthesis.motion_measures import FLOATING, IN_CONTACT, summed_measures
from parc.motion_synthesis.quality import FrameQuality, quality_of_frames, summed_quality
from parc.motion_synthesis.selection import Selection
from parc.terrain.heightfield import Heightfields


@dataclass(frozen=True)
class Measured:
    """What was measured of a batch of motions.

    Attributes:
        values: those of `MOTION_METRICS` by name, in their units; NaN of a motion that has nothing to measure.
        frames: what was measured of each frame.
        loss: by which `parc.generate` would choose among motions.
    """

    values: dict[str, Float[Tensor, " batch"]]
    frames: FrameQuality
    loss: Float[Tensor, " batch"]


def measured(
    motions: Candidates,
    last_nodes: Float[Tensor, "batch 3"],
    terrains: Heightfields,
    character: Character,
    surface: BodyPoints,
    fps: float,
    feet: Sequence[str],
    selection: Selection,
    clean: CleanMotion,
) -> Measured:
    """Measure each motion.

    Args:
        motions: `path` says which terrain each is on, `finished` whether it reached the end of its path.
        last_nodes: where each motion's path ends, metres; NaN of a motion that has no path.
        terrains: in whose frames the motions are.
        character: whose motions they are.
        surface: points all over its surface.
        fps: frames a second.
        feet: bodies whose contacts count.
        selection: by which `parc.generate` would accept motions.
        clean: by which motions count as clean.
    """
    frames = quality_of_frames(motions, terrains, character, surface)
    numbers = [character.body_index(name) for name in feet]
    quality = summed_quality(motions, frames, fps)
    measures = summed_measures(motions, frames, surface, fps, numbers)
    count = motions.num_frames.to(frames.penetration.dtype)
    has_path = ~last_nodes[:, 0].isnan()
    last = motions.last_frames.root_pos[:, 0]
    refused = torch.stack(list(selection.refused(motions, quality).values())).any(0)
    precision, recall = label_accuracy(motions, frames, surface, fps, numbers)
    values = {
        "finished": 100 * _where(has_path, motions.finished),
        "accepted": 100 * _where(has_path, ~refused),
        "clean": 100 * _where(has_path, clean.holds(motions, quality)),
        "fwd": (last - last_nodes)[:, :2].norm(dim=-1),
        "tpl": quality.penetration,
        "tcl": quality.contact,
        "penetration_per_frame": quality.penetration / count,
        "penetration_per_point": 1000 * quality.penetration / (count * len(surface.points)),
        "contact_per_frame": 1000 * quality.contact / count,
        "hjf": 100 * measures.jerky_frames,
        "hjf_bodies": 100 * measures.jerky_bodies,
        "slide": 100 * measures.slide,
        "floating": 100 * measures.floating_frames,
        "hovering": 100 * measures.hovering_frames,
        "deep": 100 * measures.deep_frames,
        "deepest": 100 * quality.deepest,
        "label_precision": 100 * precision,
        "label_recall": 100 * recall,
        "fastest_body": quality.fastest_body,
        "root_step": 100 * quality.largest_step,
        "length": count / fps,
    }
    return Measured({name: values[name] for name in MOTION_METRICS}, frames, selection.loss_of(motions, quality))


def label_accuracy(
    motions: Candidates, frames: FrameQuality, surface: BodyPoints, fps: float, feet: Sequence[int]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Compare contact labels with where the feet are; a foot counts in each frame for itself.

    Returns:
        Of the feet that are labelled (above `IN_CONTACT`), the share that is on the ground: no more than `FLOATING` above or
        below it; and of the feet that are on the ground while their middle moves slower than `SLOW` to the next frame, the
        share that is labelled. NaN where there are none.
    """
    bodies = torch.tensor(feet, device=motions.path.device)
    exists = motions.exists[..., None]
    is_labelled = (motions.frames.contacts[..., bodies] > IN_CONTACT) & exists
    is_near = (torch.maximum(frames.distances, frames.depths)[..., bodies] <= FLOATING) & exists
    middles = surface.middles.placed(frames.body_pos, frames.body_rot)[..., bodies, :]
    speed = middles.diff(dim=1).norm(dim=-1) * fps
    stands = is_near[:, :-1] & (speed < SLOW) & exists[:, 1:]
    return _share(is_near, is_labelled), _share(is_labelled[:, :-1], stands)


def diversity(
    body_pos: Float[Tensor, "candidates frames bodies 3"], exists: Bool[Tensor, "candidates frames"]
) -> float:
    """Return how far apart the candidates of one path are, metres.

    The distance of two candidates is the mean, over the frames in which both go on and over all bodies, of the distance
    between where a body is in the one and where it is in the other. The mean of that over all pairs is returned: NaN for a
    single candidate.
    """
    distances = []
    for number in range(len(body_pos) - 1):
        apart = (body_pos[number + 1 :] - body_pos[number]).norm(dim=-1).mean(-1)
        both = exists[number + 1 :] & exists[number]
        distances.append(apart.where(both, 0.0).sum(1) / both.sum(1))
    return float(torch.cat(distances).mean()) if distances else float("nan")


def _where(known: Bool[Tensor, " batch"], true: Bool[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    return true.float().where(known, float("nan"))


def _share(
    true: Bool[Tensor, "batch frames feet"], among: Bool[Tensor, "batch frames feet"]
) -> Float[Tensor, " batch"]:
    return (true & among).sum((1, 2)) / among.sum((1, 2))
