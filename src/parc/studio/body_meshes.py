"""A character's shapes as many copies of three meshes: boxes, cylinders and spheres. A capsule is a cylinder and two spheres."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import roma
import torch
import trimesh
from jaxtyping import Float, Int, UInt32
from torch import Tensor

from parc.anim.character import Character, Geom


@dataclass(frozen=True)
class Mesh:
    """A mesh that is drawn many times.

    Attributes:
        vertices: of which each side of the bounding box is 2 long, so that scales are half sides and radii.
        faces: three vertices each.
        has_edges: whether neighbouring faces meet in an edge, which light is to show.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    faces: UInt32[np.ndarray, "faces 3"]
    has_edges: bool


@dataclass(frozen=True)
class MeshCopies:
    """Copies of one mesh, each fixed to a body.

    Attributes:
        bodies: of the character, by number.
        positions: of the copies in the frames of their bodies, metres.
        rotations: likewise, (x, y, z, w).
        scales: along the mesh's own axes, metres.
    """

    bodies: Int[Tensor, " copies"]
    positions: Float[Tensor, "copies 3"]
    rotations: Float[Tensor, "copies 4"]
    scales: Float[Tensor, "copies 3"]

    def placed(
        self, body_pos: Float[Tensor, "frames bodies 3"], body_rot: Float[Tensor, "frames bodies 4"]
    ) -> tuple[Float[Tensor, "frames copies 3"], Float[Tensor, "frames copies 4"]]:
        """Return positions (metres) and rotations (w, x, y, z, as viewers want them) of the copies in the frame of the bodies."""
        turned = body_rot[:, self.bodies]
        positions = body_pos[:, self.bodies] + roma.quat_action(turned, self.positions.expand(*turned.shape[:2], 3))
        rotations = roma.quat_product(turned, self.rotations.expand_as(turned))
        return positions, roma.quat_xyzw_to_wxyz(rotations)


def _mesh(made: trimesh.Trimesh, has_edges: bool) -> Mesh:
    return Mesh(np.asarray(made.vertices, dtype=np.float32), np.asarray(made.faces, dtype=np.uint32), has_edges)


@cache
def unit_meshes() -> dict[str, Mesh]:
    """Return the three meshes by name."""
    return {
        "boxes": _mesh(trimesh.creation.box(extents=(2.0, 2.0, 2.0)), True),
        "cylinders": _mesh(trimesh.creation.cylinder(radius=1.0, height=2.0, sections=20), False),
        "spheres": _mesh(trimesh.creation.icosphere(subdivisions=2, radius=1.0), False),
    }


def copies_of(character: Character) -> dict[str, MeshCopies]:
    """Return where the copies of each of `unit_meshes` are on a character; meshes of which it has none are left out."""
    found: dict[str, list[tuple[int, Tensor, Tensor, Tensor]]] = {}
    for number, body in enumerate(character.bodies):
        for geom in body.geoms:
            for mesh, position, scale in _pieces(geom):
                found.setdefault(mesh, []).append((number, position, torch.tensor(geom.rotation), scale))
    return {
        mesh: MeshCopies(
            torch.tensor([number for number, *_ in pieces]),
            *(torch.stack(list(values)) for values in list(zip(*pieces, strict=True))[1:]),
        )
        for mesh, pieces in found.items()
    }


def _pieces(geom: Geom) -> list[tuple[str, Tensor, Tensor]]:
    """Return the meshes of which a shape is made, with their positions in the body's frame and their scales."""
    centre = torch.tensor(geom.centre)
    if geom.kind == "box":
        return [("boxes", centre, torch.tensor(geom.size))]
    radius = geom.size[0]
    ball = torch.full((3,), radius)
    if geom.kind == "sphere":
        return [("spheres", centre, ball)]
    half_length = geom.size[1]
    end = roma.quat_action(torch.tensor(geom.rotation), torch.tensor([0.0, 0.0, half_length]))
    return [
        ("cylinders", centre, torch.tensor([radius, radius, half_length])),
        ("spheres", centre + end, ball),
        ("spheres", centre - end, ball),
    ]
