"""Points on the surface of a character, and the few that stand for its volume, in the frames of its bodies."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import roma
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.character import Character, Geom


@dataclass(frozen=True)
class BodyPoints:
    """Points fixed to bodies.

    Attributes:
        points: each in the frame of its body, metres; bodies in order.
        bodies: the body of each point.
    """

    points: Float[Tensor, "points 3"]
    bodies: Int[Tensor, " points"]

    def placed(
        self, body_pos: Float[Tensor, "*batch bodies 3"], body_rot: Float[Tensor, "*batch bodies 4"]
    ) -> Float[Tensor, "*batch points 3"]:
        """Return the points in the frame in which the bodies' positions and rotations are given."""
        # One matrix a body serves all of its points, which is cheaper than a quaternion a point.
        return self.placed_by_matrices(body_pos, roma.unitquat_to_rotmat(body_rot))

    def placed_by_matrices(
        self, body_pos: Float[Tensor, "*batch bodies 3"], rotation: Float[Tensor, "*batch bodies 3 3"]
    ) -> Float[Tensor, "*batch points 3"]:
        """As `placed`, with the bodies' rotations as matrices."""
        # All points by one matrix product: on a CPU, gathering a rotation for each of 300 takes five times as long.
        places = torch.cat([rotation, body_pos[..., None]], dim=-1).transpose(-3, -2).flatten(-2)
        own = self.bodies[:, None] == torch.arange(body_pos.shape[-2], device=self.bodies.device)
        in_bodies = own[..., None] * F.pad(self.points, (0, 1), value=1.0)[:, None]
        return (places @ in_bodies.flatten(1).T).transpose(-1, -2)

    @property
    def middles(self) -> "BodyPoints":
        """The middle of each body's points, of which it has one at least: that of a foot stays when the foot turns."""
        counts = torch.bincount(self.bodies)
        sums = self.points.new_zeros(len(counts), 3).index_add(0, self.bodies, self.points)
        return BodyPoints(sums / counts[:, None], torch.arange(len(counts), device=self.bodies.device))

    def to(self, device: torch.device | str) -> "BodyPoints":
        """Return these points on `device`."""
        return BodyPoints(self.points.to(device), self.bodies.to(device))


def surface_points(character: Character) -> BodyPoints:
    """Return points all over the character's surface: for touched cells, penetration and contact.

    A sphere has the 12 vertices of an icosahedron, a box a 2 x 3 x 6 grid (z, x, y) over its faces' extents, a capsule 4
    points around x 4 rings along its axis (no hemispheres); a body without shapes has its origin.
    """
    return _gather(character, _geom_surface)


def collision_points(character: Character) -> BodyPoints:
    """Return the points of the terrain collision loss: sphere centres, two a capsule's axis, the corners of boxes."""
    return _gather(character, _geom_skeleton)


def _gather(character: Character, points_of: Callable[[Geom], Tensor]) -> BodyPoints:
    points, bodies = [], []
    for index, body in enumerate(character.bodies):
        shapes = [points_of(geom) for geom in body.geoms] or [torch.zeros(1, 3)]
        points += shapes
        bodies += [index] * sum(len(shape) for shape in shapes)
    return BodyPoints(torch.cat(points).float(), torch.tensor(bodies))


def _geom_surface(geom: Geom) -> Float[Tensor, "points 3"]:
    if geom.kind == "sphere":
        local = geom.size[0] * _icosahedron()
    elif geom.kind == "box":
        half_x, half_y, half_z = geom.size
        z, x, y = torch.meshgrid(
            torch.linspace(-half_z, half_z, 2),
            torch.linspace(-half_x, half_x, 3),
            torch.linspace(-half_y, half_y, 6),
            indexing="ij",
        )
        local = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    else:
        radius, half_length = geom.size
        angles, heights = torch.meshgrid(
            torch.arange(4) * (math.pi / 2), torch.linspace(-half_length, half_length, 4), indexing="ij"
        )
        local = torch.stack([radius * torch.cos(angles), radius * torch.sin(angles), heights], dim=-1).reshape(-1, 3)
    return _in_body_frame(geom, local)


def _geom_skeleton(geom: Geom) -> Float[Tensor, "points 3"]:
    if geom.kind == "sphere":
        local = torch.zeros(1, 3)
    elif geom.kind == "box":
        local = torch.cartesian_prod(*(torch.tensor([-half, half]) for half in geom.size))
    else:
        third = 2 * geom.size[1] / 3
        local = torch.tensor([[0, 0, third], [0, 0, -third]])
    return _in_body_frame(geom, local)


def _in_body_frame(geom: Geom, local: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
    rotation = torch.tensor(geom.rotation).expand(len(local), 4)
    return torch.tensor(geom.centre) + roma.quat_action(rotation, local)


def _icosahedron() -> Float[Tensor, "12 3"]:
    golden_ratio = (1 + math.sqrt(5)) / 2
    corners = torch.tensor([[-1, golden_ratio], [1, golden_ratio], [-1, -golden_ratio], [1, -golden_ratio]])
    vertices = torch.zeros(3, 4, 3)
    for plane in range(3):  # the corners of three rectangles: in x and y, in y and z, in z and x
        vertices[plane, :, plane] = corners[:, 0]
        vertices[plane, :, (plane + 1) % 3] = corners[:, 1]
    return vertices.reshape(12, 3) / math.hypot(1, golden_ratio)
