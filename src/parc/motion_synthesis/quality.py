"""What can be said of motions on their terrain without a model: how deep, how far from contact, how fast, how long in the air."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.anim.character import Character
from parc.anim.surface_points import BodyPoints
from parc.motion_synthesis.candidates import Candidates
from parc.terrain.heightfield import Heightfields
from parc.terrain.nearest_ground import distance_of_groups_above_ground
from parc.terrain.signed_distance import signed_distance_below_ground

FRAMES_AT_ONCE = 2048  # over all motions: keeps memory below 500 MB


@dataclass(frozen=True)
class Quality:
    """What was measured of each motion of a batch.

    Attributes:
        penetration: sum over frames and surface points of the distance to the nearest air of points below ground, metres.
        contact: sum over frames and bodies of contact label x distance of the body's nearest surface point from the nearest
            ground, metres.
        deepest: depth of the deepest surface point below ground, metres.
        fastest_body: highest speed of any body's origin, metres/s.
        largest_step: largest way of the root from a frame to the next, metres.
        seconds_in_air: longest time for which every surface point is off the ground.
    """

    penetration: Float[Tensor, " batch"]
    contact: Float[Tensor, " batch"]
    deepest: Float[Tensor, " batch"]
    fastest_body: Float[Tensor, " batch"]
    largest_step: Float[Tensor, " batch"]
    seconds_in_air: Float[Tensor, " batch"]


@dataclass(frozen=True)
class FrameQuality:
    """What was measured of each frame of a batch of motions; 0 beyond a motion's end.

    Attributes:
        penetration: sum over surface points of the distance to the nearest air of points below ground, metres.
        deepest: depth of the deepest surface point below ground, metres.
        distances: of each body's nearest surface point from the nearest ground, metres; 0 within it.
        depths: of each body's deepest surface point below ground, metres; 0 above it.
        body_pos: position of each body, metres.
        body_rot: rotation of each body, (x, y, z, w).
        supported: whether any surface point is on the ground straight below it: not more than `ABOVE` over it and `BELOW` under
            it. Who leans against a wall, or is a little in it, is not.
    """

    penetration: Float[Tensor, "batch frames"]
    deepest: Float[Tensor, "batch frames"]
    distances: Float[Tensor, "batch frames bodies"]
    depths: Float[Tensor, "batch frames bodies"]
    body_pos: Float[Tensor, "batch frames bodies 3"]
    body_rot: Float[Tensor, "batch frames bodies 4"]
    supported: Bool[Tensor, "batch frames"]


OFF_THE_GROUND = 0.1  # metres from which on nothing is thought to touch
# Metres over and under the ground straight below, between which a point is thought to be on it.
ABOVE, BELOW = 0.05, 0.15


def quality_of_frames(
    motions: Candidates, terrains: Heightfields, character: Character, surface: BodyPoints
) -> FrameQuality:
    """Measure every frame of motions against their terrains (see `quality_of`)."""
    exists = motions.exists
    item, frame = exists.nonzero(as_tuple=True)  # one row for every frame that there is
    parts = []
    for rows in torch.arange(len(item)).split(FRAMES_AT_ONCE):
        some = motions.frames.each(lambda values, at=(item[rows], frame[rows]): values[at])
        body_pos, body_rot = character.forward_kinematics(some.root_pos, some.root_rot, some.joint_rot)
        points = surface.placed(body_pos, body_rot)
        which = motions.path[item[rows]]
        depths = -signed_distance_below_ground(points, terrains, which)
        distances = distance_of_groups_above_ground(points, surface.bodies, terrains, which)
        of_bodies = torch.zeros_like(distances).scatter_reduce(1, surface.bodies.expand_as(depths), depths, "amax")
        above = points[..., 2] - terrains.heights_at(which, points[..., :2])
        supported = ((above <= ABOVE) & (above >= -BELOW)).any(1)
        parts.append((depths.sum(1), depths.amax(1), distances, of_bodies, body_pos, body_rot, supported))

    def by_motion(values: Tensor) -> Tensor:
        whole = values.new_zeros(*exists.shape, *values.shape[1:])
        whole[item, frame] = values
        return whole

    return FrameQuality(*(by_motion(torch.cat(values)) for values in zip(*parts, strict=True)))


def quality_of(
    motions: Candidates, terrains: Heightfields, character: Character, surface: BodyPoints, fps: float
) -> Quality:
    """Measure motions against their terrains; what is beyond a motion's end does not count.

    Args:
        motions: `path` says which terrain each is on.
        terrains: in whose frames the motions are.
        character: whose motions they are.
        surface: points all over its surface.
        fps: frames a second.
    """
    return summed_quality(motions, quality_of_frames(motions, terrains, character, surface), fps)


def summed_quality(motions: Candidates, frames: FrameQuality, fps: float) -> Quality:
    """Return what `quality_of` does, from what was measured of the motions' frames."""
    exists = motions.exists
    # The first frame is its own predecessor, so that a motion of one frame has steps too.
    steps = frames.body_pos.diff(dim=1, prepend=frames.body_pos[:, :1]).norm(dim=-1)
    moves = (steps * exists[..., None]).amax(1)
    in_air = (frames.distances.amin(-1) > OFF_THE_GROUND) & exists
    return Quality(
        frames.penetration.sum(1),
        (motions.frames.contacts * frames.distances).where(exists[..., None], 0.0).sum((1, 2)),
        frames.deepest.amax(1),
        moves.amax(1) * fps,
        moves[:, 0],
        longest_runs(in_air) / fps,
    )


def longest_runs(true: Bool[Tensor, "batch frames"]) -> Int[Tensor, " batch"]:
    """Return the length of the longest run of true values in each row."""
    number = torch.arange(1, true.shape[1] + 1, device=true.device)
    latest_false = torch.where(true, 0, number).cummax(1).values
    return (number - latest_false).amax(1)
