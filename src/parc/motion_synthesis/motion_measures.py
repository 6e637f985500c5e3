"""How good motions are as motions: sliding feet, bodies in the ground, contacts in the air, jerks. Shares are of frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.flight import hovering
from parc.anim.surface_points import BodyPoints
from parc.motion_synthesis.candidates import Candidates
from parc.motion_synthesis.quality import FrameQuality, quality_of_frames
from parc.terrain.heightfield import Heightfields

IN_CONTACT = 0.9  # label above which a body is thought to stand
DEEP = 0.01  # metres below ground
FLOATING = 0.02  # metres above ground
JERKY = 11666.3906  # metres/s^3: the paper's bound


@dataclass(frozen=True)
class MotionMeasures:
    """What was measured of each motion of a batch; NaN of a motion that has nothing to measure.

    Attributes:
        slide: mean over frames and bodies in contact, in this frame and the next, of the speed along the ground of the middle of
            the body's surface, metres/s.
        deep_frames: share of the frames in which a surface point is more than `DEEP` below ground.
        floating_frames: share of the frames in which a body in contact is more than `FLOATING` from the ground.
        jerky_frames: share of the n - 3 third differences in which any of all bodies has a jerk above `JERKY` (the paper's %HJF).
        jerky_bodies: number of such bodies over frames, as the published code counts: up to the number of bodies.
        hovering_frames: share of the frames in which no ground supports the body and its bodies, all taken together, do not fall
            (see `flight.hovering`).
    """

    slide: Float[Tensor, " batch"]
    deep_frames: Float[Tensor, " batch"]
    floating_frames: Float[Tensor, " batch"]
    jerky_frames: Float[Tensor, " batch"]
    jerky_bodies: Float[Tensor, " batch"]
    hovering_frames: Float[Tensor, " batch"]


def measures_of(
    motions: Candidates,
    terrains: Heightfields,
    character: Character,
    surface: BodyPoints,
    fps: float,
    bodies: Sequence[str],
) -> MotionMeasures:
    """Measure motions; what is beyond a motion's end does not count.

    Args:
        motions: `path` says which terrain each is on.
        terrains: in whose frames the motions are.
        character: whose motions they are.
        surface: points all over its surface.
        fps: frames a second.
        bodies: whose contacts count: feet.
    """
    frames = quality_of_frames(motions, terrains, character, surface)
    return summed_measures(motions, frames, surface, fps, [character.body_index(name) for name in bodies])


def summed_measures(
    motions: Candidates, frames: FrameQuality, surface: BodyPoints, fps: float, bodies: Sequence[int]
) -> MotionMeasures:
    """Return what `measures_of` does, from what was measured of the motions' frames; bodies are numbers."""
    exists = motions.exists
    of_bodies = torch.tensor(bodies, device=exists.device)
    in_contact = (motions.frames.contacts[..., of_bodies] > IN_CONTACT) & exists[..., None]
    floating = (in_contact & (frames.distances[..., of_bodies] > FLOATING)).any(-1)
    jerk = frames.body_pos.diff(n=3, dim=1).norm(dim=-1) * fps**3
    third = exists[:, 3:]
    jerky = (jerk > JERKY) & third[..., None]
    return MotionMeasures(
        slide=_slide(frames, of_bodies, in_contact, surface) * fps,
        deep_frames=_share(frames.deepest > DEEP, exists),
        floating_frames=_share(floating, exists),
        jerky_frames=_share(jerky.any(-1), third),
        jerky_bodies=jerky.sum((1, 2)) / third.sum(1),
        hovering_frames=_share(_hovering(frames, exists, fps), exists),
    )


def _hovering(frames: FrameQuality, exists: Bool[Tensor, "batch frames"], fps: float) -> Bool[Tensor, "batch frames"]:
    in_air = (~frames.supported & exists).cpu().numpy()
    heights = frames.body_pos[..., 2].mean(-1).cpu().numpy()
    each = [hovering(*of_one, fps) for of_one in zip(in_air, heights, strict=True)]
    return torch.from_numpy(np.stack(each)).to(exists.device)


def _slide(
    frames: FrameQuality,
    of_bodies: Tensor,
    in_contact: Bool[Tensor, "batch frames bodies"],
    surface: BodyPoints,
) -> Float[Tensor, " batch"]:
    """Return the mean step along the ground of bodies in contact, metres."""
    places = surface.middles.placed(frames.body_pos, frames.body_rot)[..., of_bodies, :]
    both = in_contact[:, 1:] & in_contact[:, :-1]
    steps = places[..., :2].diff(dim=1).norm(dim=-1).where(both, 0.0)
    return steps.sum((1, 2)) / both.sum((1, 2))


def _share(true: Bool[Tensor, "batch frames"], exists: Bool[Tensor, "batch frames"]) -> Float[Tensor, " batch"]:
    return (true & exists).sum(1) / exists.sum(1)
