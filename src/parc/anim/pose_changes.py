"""Small changes of poses, and how forces on bodies, and couplings between them, become those on the changes.

A change of a pose is one vector: a shift of the root in the world (metres), then turns (radians) about axes fixed to bodies, each
at the body's own joint: three of the root and of every spherical joint, one of every hinge. Where several change at once, bodies
turn by the exponential map of their sum.

A body's movement under one such change is a *twist* (v, w): its point p moves by v + w x p. A force n at p is a *wrench*
(n, p x n), so that twist . wrench is how far p moves along n. Points are relative to the root's position.
"""

import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.character import Character, JointType
from parc.anim.frames import Frames


class PoseChanges:
    """The changes that a character's poses can undergo.

    Args:
        character: whose poses.
    """

    def __init__(self, character: Character) -> None:
        straight = torch.eye(3).tolist()
        turns = [(0, axis) for axis in straight]
        for index, body in enumerate(character.bodies):
            if body.joint is JointType.SPHERICAL:
                turns += [(index, axis) for axis in straight]
            elif body.joint is JointType.HINGE:
                turns.append((index, body.hinge_axis))
        device = character.offsets.device
        self.size = 3 + len(turns)
        self.turned = torch.tensor([body for body, _ in turns], device=device)
        self.axes = torch.tensor([axis for _, axis in turns], device=device)
        self.same_body = self.turned[:, None] == self.turned
        # What each turn adds to the rotation vectors of all bodies.
        self.of_bodies = torch.zeros(len(turns), character.num_bodies, 3, device=device)
        self.of_bodies[torch.arange(len(turns)), self.turned] = self.axes
        below = torch.eye(character.num_bodies, device=device)
        for body in range(character.num_bodies - 1, 0, -1):
            below[character.parents[body]] += below[body]
        self._below = below  # [body, other]: 1 where the other is the body or moves with it
        self._moved = torch.cat([torch.zeros(3, dtype=torch.long, device=device), self.turned])
        self._moves = below[self._moved][:, self._moved] > 0  # [change, other]: the first moves the other's body

    def applied(self, frames: Frames, changes: Float[Tensor, "*batch changes"]) -> Frames:
        """Return poses that are changed; contacts stay."""
        turns = torch.einsum("...k,kbx->...bx", changes[..., 3:], self.of_bodies)
        turns = roma.rotvec_to_unitquat(turns)

        def turned(rotations: Tensor, by: Tensor) -> Tensor:
            product = roma.quat_product(rotations, by)
            return product / product.norm(dim=-1, keepdim=True)

        return Frames(
            frames.root_pos + changes[..., :3],
            turned(frames.root_rot, turns[..., 0, :]),
            turned(frames.joint_rot, turns[..., 1:, :]),
            frames.contacts,
        )

    def twists(
        self, body_pos: Float[Tensor, "*batch bodies 3"], body_rot: Float[Tensor, "*batch bodies 4"]
    ) -> Float[Tensor, "*batch changes 6"]:
        """Return the twist of each change; positions are relative to the root's."""
        matrices = roma.unitquat_to_rotmat(body_rot)[..., self.turned, :, :]
        turns = (matrices @ self.axes[:, :, None])[..., 0]
        shifts = torch.linalg.cross(body_pos[..., self.turned, :], turns)
        root = torch.eye(6, device=turns.device)[:3].expand(*turns.shape[:-2], 3, 6)
        return torch.cat([root, torch.cat([shifts, turns], dim=-1)], dim=-2)

    def movements(
        self,
        twists: Float[Tensor, "*batch changes 6"],
        points: Float[Tensor, "*batch points 3"],
        bodies: Int[Tensor, " points"],
    ) -> Float[Tensor, "*batch points changes 3"]:
        """Return how far each change moves each point, in metres a metre or radian.

        Args:
            twists: of the changes.
            points: relative to the root's position, metres.
            bodies: the body that each point is fixed to.
        """
        shifts, turns = twists[..., None, :, :3], twists[..., None, :, 3:]
        moved = shifts + torch.linalg.cross(*torch.broadcast_tensors(turns, points[..., :, None, :]))
        return moved * self._below[self._moved][:, bodies].T[..., None]

    def forces(
        self, twists: Float[Tensor, "*batch changes 6"], wrenches: Float[Tensor, "*batch bodies 6"]
    ) -> Float[Tensor, "*batch changes"]:
        """Return the force along each change of wrenches on bodies."""
        return ((self._below @ wrenches)[..., self._moved, :] * twists).sum(-1)

    def couplings(
        self,
        first: Float[Tensor, "*batch changes 6"],
        between: Float[Tensor, "*batch bodies 6 6"],
        second: Float[Tensor, "*batch changes 6"],
    ) -> Float[Tensor, "*batch changes changes"]:
        """Return sum over bodies b of first_i . between_b second_j, over those b that both i and j move.

        i and j move a body together only if one of them moves the other's body, and then they share all that is below the lower
        one (the composite rigid body algorithm; Featherstone, Rigid Body Dynamics Algorithms, 2008, ch. 6).
        """
        whole = (self._below @ between.flatten(-2)).unflatten(-1, (6, 6))[..., self._moved, :, :]
        # Products with many small matrices: sums are quicker than matrix products.
        upper = first @ (whole * second[..., None, :]).sum(-1).mT
        lower = (whole * first[..., None]).sum(-2) @ second.mT
        return torch.where(self._moves, upper, torch.where(self._moves.T, lower, 0.0))
