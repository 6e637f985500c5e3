"""What bodies hold on to while they are in contact: for each run of labelled frames a point on the ground."""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.anim.character import Character
from parc.anim.surface_points import BodyPoints
from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfields
from parc.terrain.signed_distance import distance_above_ground, signed_distance_below_ground

ROLLED_OFF = 0.05  # metres above the lowest point of a sole: what is so high has rolled off the ground, and may move


@dataclass(frozen=True)
class HeldBody:
    """A body that holds on to what it touches: a hand, which is a sphere, or a foot, which is a box.

    Attributes:
        body: its index.
        centre: of its shape, in its frame, metres.
        points: that hold on: the centre of a sphere, the surface points at the bottom of a box, in its frame, metres.
        distance: of these from the point that is held, metres: the radius of a sphere; for a box, the most there may be.
        nearer: whether they may be nearer.
    """

    body: int
    centre: Float[Tensor, "3"]
    points: Float[Tensor, "points 3"]
    distance: float
    nearer: bool

    def placed(
        self,
        points: Float[Tensor, "points 3"],
        body_pos: Float[Tensor, "*batch bodies 3"],
        body_rot: Float[Tensor, "*batch bodies 4"],
    ) -> Float[Tensor, "*batch points 3"]:
        """Return points of this body in the frame in which all bodies' positions and rotations are given."""
        matrix = roma.unitquat_to_rotmat(body_rot[..., self.body, :])
        return body_pos[..., self.body, None, :] + points @ matrix.mT


def held_bodies_of(character: Character, surface: BodyPoints, names: list[str], slack: float) -> list[HeldBody]:
    """Return the bodies of these names.

    Args:
        character: whose bodies they are.
        surface: points all over its surface.
        names: of the bodies.
        slack: how far the bottom of a box may be from its point, as a share of half the box's diagonal.

    Raises:
        UserError: the character has no such body, or it is not one sphere or one box.
    """
    return [_held_body(character, surface, name, slack) for name in names]


def _held_body(character: Character, surface: BodyPoints, name: str, slack: float) -> HeldBody:
    if name not in character.body_names:
        raise UserError(f"refinement.held_bodies: the character has no body '{name}'; it has {character.body_names}")
    body = character.body_index(name)
    geoms = character.bodies[body].geoms
    if len(geoms) != 1 or geoms[0].kind not in ("sphere", "box"):
        raise UserError(
            f"refinement.held_bodies: '{name}' is not one sphere or one box; expected hands and feet that are"
        )
    geom = geoms[0]
    centre = torch.tensor(geom.centre, device=surface.points.device)
    if geom.kind == "sphere":
        return HeldBody(body, centre, centre[None], geom.size[0], nearer=False)
    points = surface.points[surface.bodies == body]
    bottom = points[points[:, 2] < points[:, 2].min() + 1e-4]
    return HeldBody(body, centre, bottom, slack * float(torch.tensor(geom.size).norm()), nearer=True)


@dataclass(frozen=True)
class HeldRuns:
    """When a body holds on, and to what.

    Attributes:
        held: in which frames.
        anchors: the points held, metres; zeros elsewhere.
        stay: how much each of the body's points is to stay where it is from a frame to the next, 0..1: those of a foot that roll
            off the ground are free.
    """

    held: Bool[Tensor, "batch frames"]
    anchors: Float[Tensor, "batch frames 3"]
    stay: Float[Tensor, "batch steps points"]


def held_runs(
    held_body: HeldBody,
    held: Bool[Tensor, "batch frames"],
    body_pos: Float[Tensor, "batch frames bodies 3"],
    body_rot: Float[Tensor, "batch frames bodies 4"],
    terrains: Heightfields,
    which: Int[Tensor, " batch"],
) -> HeldRuns:
    """Return what a body holds on to: in each run of frames the mean place of its centre, moved onto the nearest ground.

    Args:
        held_body: the body.
        held: in which frames it holds on.
        body_pos: of all bodies, metres in the frame of the terrains.
        body_rot: likewise.
        terrains: as many as there are.
        which: the terrain of each motion.
    """
    before = torch.cat([torch.zeros_like(held[:, :1]), held[:, :-1]], dim=1)
    run = (held & ~before).flatten().cumsum(0)[held.flatten()] - 1
    item = held.nonzero()[:, 0]
    centres = held_body.placed(held_body.centre[None], body_pos, body_rot)[..., 0, :]
    anchors = torch.zeros_like(centres)
    if len(item):
        count = int(run[-1]) + 1
        sums = centres.new_zeros(count, 3).index_add(0, run, centres[held])
        means = sums / torch.bincount(run, minlength=count)[:, None]
        of_run = torch.zeros(count, dtype=which.dtype, device=which.device).index_copy(0, run, which[item])
        anchors[held] = onto_ground(means, terrains, of_run)[run]
    points = held_body.placed(held_body.points, body_pos, body_rot)
    heights = points[..., 2] - points[..., 2].amin(-1, keepdim=True)
    on_ground = (1 - heights / ROLLED_OFF).clamp(min=0) * held[..., None]
    return HeldRuns(held, anchors, torch.minimum(on_ground[:, 1:], on_ground[:, :-1]))


def onto_ground(
    points: Float[Tensor, "points 3"], terrains: Heightfields, which: Int[Tensor, " points"]
) -> Float[Tensor, "points 3"]:
    """Return the point of the ground's surface that is nearest to each point (metres), above it or inside."""
    with torch.enable_grad():
        points = points.detach()[:, None].requires_grad_()
        signed = distance_above_ground(points, terrains, which) + signed_distance_below_ground(points, terrains, which)
        (away,) = torch.autograd.grad(signed.sum(), points)
    return (points - signed[..., None] * away).detach()[:, 0]
