"""The character: a kinematic tree with its joints and shapes, forward kinematics and joint DOFs."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import roma
import torch
from jaxtyping import Float, Int
from pydantic import TypeAdapter
from torch import Tensor


class JointType(str, Enum):
    """How a body moves against its parent."""

    ROOT = "ROOT"
    HINGE = "HINGE"
    SPHERICAL = "SPHERICAL"
    FIXED = "FIXED"


DOFS_OF_JOINT = {JointType.ROOT: 0, JointType.HINGE: 1, JointType.SPHERICAL: 3, JointType.FIXED: 0}

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Geom:
    """A shape on a body, in the body's frame.

    Attributes:
        kind: sphere, capsule or box.
        centre: of the shape, metres.
        rotation: of the shape's axes against the body's, (x, y, z, w); a capsule lies along its own z.
        size: radius; radius and half length; or the three half sides, metres.
    """

    kind: str
    centre: Triple
    rotation: tuple[float, float, float, float]
    size: tuple[float, ...]


@dataclass(frozen=True)
class Body:
    """A body of the tree, and the joint between it and its parent.

    Attributes:
        name: as in the character file.
        parent: index of the parent body; -1 for the root.
        offset: of the body's origin in the parent's frame, metres.
        rotation: of the body against the parent when the joint is at rest, (x, y, z, w).
        joint: the kind of joint.
        hinge_axis: in the body's frame; zeros unless the joint is a hinge.
        dof_ranges: lower and upper limit of each hinge of the joint, radians.
        geoms: the body's shapes.
    """

    name: str
    parent: int
    offset: Triple
    rotation: tuple[float, float, float, float]
    joint: JointType
    hinge_axis: Triple
    dof_ranges: tuple[tuple[float, float], ...]
    geoms: tuple[Geom, ...]


class Character:
    """A kinematic tree whose bodies are in depth-first order, body 0 being the root.

    All poses are `root_pos (..., 3)` in metres, `root_rot (..., 4)` and `joint_rot (..., bodies - 1, 4)`: the rotation of
    body j against its parent is at index j - 1.

    Args:
        bodies: the tree; every body comes after its parent.
    """

    def __init__(self, bodies: tuple[Body, ...]) -> None:
        self.bodies = bodies
        self.body_names = [body.name for body in bodies]
        self.parents = [body.parent for body in bodies]
        self.num_bodies = len(bodies)
        self.num_joints = len(bodies) - 1
        self.num_dofs = sum(DOFS_OF_JOINT[body.joint] for body in bodies)
        self.offsets = torch.tensor([body.offset for body in bodies])
        self.rest_rotations = torch.tensor([body.rotation for body in bodies])
        self.hinge_axes = torch.tensor([body.hinge_axis for body in bodies])
        self.dof_lower, self.dof_upper = torch.tensor([limits for body in bodies for limits in body.dof_ranges]).T
        self._levels, self._place_in_levels = _tree_levels(self.parents)
        self._parents_of_joints = torch.tensor(self.parents[1:], dtype=torch.long)
        self._turned_at_rest = bool((self.rest_rotations[:, :3] != 0).any())
        self._spherical = _indices(bodies, JointType.SPHERICAL)
        self._hinges = _indices(bodies, JointType.HINGE)
        first_dof, self.first_dofs = 0, []
        for body in bodies:
            self.first_dofs.append(first_dof)
            first_dof += DOFS_OF_JOINT[body.joint]
        starts = torch.tensor(self.first_dofs)
        self._spherical_dofs = starts[self._spherical][:, None] + torch.arange(3)
        self._hinge_dofs = starts[self._hinges]

    def to(self, device: torch.device | str) -> "Character":
        """Return this character with its constants on `device`."""
        if self.offsets.device == torch.device(device):
            return self
        moved = Character(self.bodies)
        for name, value in vars(moved).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        moved._levels = [(bodies.to(device), parents.to(device)) for bodies, parents in moved._levels]
        return moved

    def body_index(self, name: str) -> int:
        """Return the index of the body called `name`."""
        return self.body_names.index(name)

    def forward_kinematics(
        self,
        root_pos: Float[Tensor, "*batch 3"],
        root_rot: Float[Tensor, "*batch 4"],
        joint_rot: Float[Tensor, "*batch joints 4"],
    ) -> tuple[Float[Tensor, "*batch bodies 3"], Float[Tensor, "*batch bodies 4"]]:
        """Return position and rotation of every body, in the frame in which the root is given.

        pos_j = pos_p + R_p t_j and rot_j = rot_p * rest_j * joint_rot_j, one level of the tree at a time.
        """
        local = joint_rot
        if self._turned_at_rest:
            local = roma.quat_product(self.rest_rotations[1:].expand_as(joint_rot), joint_rot)
        rotations = [root_rot[..., None, :]]
        for bodies, parents in self._levels:
            above, joints = rotations[-1].index_select(-2, parents), local.index_select(-2, bodies - 1)
            rotations.append(roma.quat_product(above, joints))
        rotation = torch.cat(rotations, -2).index_select(-2, self._place_in_levels)
        # All offsets are turned at once: what is left to do along the tree is to add them up.
        of_parents = rotation.index_select(-2, self._parents_of_joints)
        offsets = roma.quat_action(of_parents, self.offsets[1:].expand(*of_parents.shape[:-1], 3), is_normalized=True)
        positions = [root_pos[..., None, :]]
        for bodies, parents in self._levels:
            positions.append(positions[-1].index_select(-2, parents) + offsets.index_select(-2, bodies - 1))
        return torch.cat(positions, -2).index_select(-2, self._place_in_levels), rotation

    def rotations_from_dofs(self, dofs: Float[Tensor, "*batch dofs"]) -> Float[Tensor, "*batch joints 4"]:
        """Return joint rotations from DOFs (radians): exponential maps of spherical joints, signed angles of hinges."""
        rotvecs = dofs.new_zeros(*dofs.shape[:-1], self.num_bodies, 3)
        rotvecs = rotvecs.index_copy(-2, self._spherical, dofs[..., self._spherical_dofs])
        hinges = dofs[..., self._hinge_dofs, None] * self.hinge_axes[self._hinges]
        rotvecs = rotvecs.index_copy(-2, self._hinges, hinges)
        return roma.rotvec_to_unitquat(rotvecs[..., 1:, :])

    def dofs_from_rotations(self, joint_rot: Float[Tensor, "*batch joints 4"]) -> Float[Tensor, "*batch dofs"]:
        """Return the DOFs (radians) of joint rotations, angles within -pi..pi.

        A hinge's DOF is its whole rotation angle with the sign of its axis along the hinge: no twist is split off.
        """
        rotvecs = roma.unitquat_to_rotvec(joint_rot)
        dofs = joint_rot.new_zeros(*joint_rot.shape[:-2], self.num_dofs)
        spherical = rotvecs[..., self._spherical - 1, :].flatten(-2)
        dofs = dofs.index_copy(-1, self._spherical_dofs.flatten(), spherical)
        hinges = rotvecs[..., self._hinges - 1, :]
        along = (hinges * self.hinge_axes[self._hinges]).sum(-1)
        return dofs.index_copy(-1, self._hinge_dofs, torch.linalg.norm(hinges, dim=-1) * torch.sign(along))

    def dof_velocities(self, joint_rot: Float[Tensor, "frames joints 4"], fps: float) -> Float[Tensor, "frames dofs"]:
        """Return joint velocities (radians/s) by forward differences at `fps` frames a second, the last one repeated.

        Spherical joints: fps exp(q[k]^-1 q[k+1]); hinges: its part along the axis.
        """
        rotvecs = fps * roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(joint_rot[:-1]), joint_rot[1:]))
        velocities = joint_rot.new_zeros(joint_rot.shape[0] - 1, self.num_dofs)
        velocities[:, self._spherical_dofs.flatten()] = rotvecs[:, self._spherical - 1].flatten(-2)
        velocities[:, self._hinge_dofs] = (rotvecs[:, self._hinges - 1] * self.hinge_axes[self._hinges]).sum(-1)
        return torch.cat([velocities, velocities[-1:]])

    def to_dict(self) -> dict[str, Any]:
        """Return the character as plain lists and numbers, for checkpoints and cache keys."""
        return {"bodies": [asdict(body) | {"joint": body.joint.value} for body in self.bodies]}

    @staticmethod
    def from_dict(description: dict[str, Any]) -> "Character":
        """Make a character from what `to_dict` gave.

        Raises:
            pydantic.ValidationError: the description is not one of a character.
        """
        return Character(_BODIES.validate_python(description["bodies"]))


_BODIES = TypeAdapter(tuple[Body, ...])


def _indices(bodies: tuple[Body, ...], joint: JointType) -> Int[Tensor, " some"]:
    return torch.tensor([index for index, body in enumerate(bodies) if body.joint == joint], dtype=torch.long)


def _tree_levels(
    parents: list[int],
) -> tuple[list[tuple[Int[Tensor, " level"], Int[Tensor, " level"]]], Int[Tensor, " bodies"]]:
    """Return, level by level below the root, the bodies and the places of their parents in the level above.

    Also returns each body's place when all levels, the root's included, are laid end to end.
    """
    above, order, levels = [0], [0], []
    while level := [body for body, parent in enumerate(parents) if parent in above]:
        levels.append((torch.tensor(level), torch.tensor([above.index(parents[body]) for body in level])))
        order += level
        above = level
    return levels, torch.argsort(torch.tensor(order))
