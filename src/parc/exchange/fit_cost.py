"""How far poses are from captured landmarks, and how small changes of them would change that."""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.anim.banded_equations import NormalEquations
from parc.anim.character import Character, JointType
from parc.anim.frames import Frames
from parc.anim.pose_changes import PoseChanges
from parc.anim.surface_points import BodyPoints
from parc.exchange.landmarks import Attached
from parc.terrain.heightfield import Heightfield, laid_end_to_end
from parc.terrain.signed_distance import signed_distance_below_ground

# Weights of squares: of metres for landmarks (times their own), of radians for joints.
DRIFT = 10.0  # change of a landmark's distance from its target, from a frame to the next, metres
TURN = 3e-2  # turn of each joint from a frame to the next: decides about twists that no landmark shows
REST = 3e-4  # each DOF: the same
LIMIT = 1.0  # of each DOF, what is beyond its limits
HELD_HEIGHT = 30.0  # of a held point from where it is held, along z
HELD_STILL = 300.0  # step of a held point from a frame to the next, metres
DEPTH = 5.0  # of each surface point below ground, metres


@dataclass(frozen=True)
class HeldPoints:
    """Points of bodies that rest on the ground for some frames.

    Attributes:
        points: which.
        heights: of each point when it rests, metres; any while it does not.
        held: whether each rests.
    """

    points: BodyPoints
    heights: Float[Tensor, "frames points"]
    held: Bool[Tensor, "frames points"]


class FitCost:
    """The cost of poses that should have their landmarks at some places.

    Args:
        character: the humanoid.
        landmarks: where they are on it.
        targets: where they should be, metres.
        held: what rests on the ground.
        surface: points that should not be below the ground.
        terrain: the ground; without it there is none to be below of.
    """

    def __init__(
        self,
        character: Character,
        landmarks: Attached,
        targets: Float[Tensor, "frames landmarks 3"],
        held: HeldPoints | None = None,
        surface: BodyPoints | None = None,
        terrain: Heightfield | None = None,
    ) -> None:
        self.character, self.landmarks, self.targets = character, landmarks, targets
        self.held, self.surface = held, surface
        self._terrains = None if terrain is None else laid_end_to_end([terrain])
        self.changes = PoseChanges(character)

    def at(self, frames: Frames) -> NormalEquations:
        """Return the cost of poses, and its model in changes of them."""
        body_pos, body_rot = self.character.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
        twists = self.changes.twists(body_pos - frames.root_pos[:, None], body_rot)
        sums = _Sums(len(twists), self.changes.size)

        def placed(points: BodyPoints) -> tuple[Tensor, Tensor]:
            places = points.placed(body_pos, body_rot)
            moves = self.changes.movements(twists, places - frames.root_pos[:, None], points.bodies)
            return places, moves.transpose(1, 2)

        places, moves = placed(BodyPoints(self.landmarks.points, self.landmarks.bodies))
        weights = self.landmarks.weights[:, None].expand(-1, 3).flatten()
        error = (places - self.targets).flatten(1)
        sums.add(error, moves.flatten(2), weights)
        sums.add_steps(error, moves.flatten(2), DRIFT * weights)
        self._add_joints(frames, sums)
        if self.held is not None:
            places, moves = placed(self.held.points)
            held = self.held.held.float()
            sums.add(places[..., 2] - self.held.heights, moves[..., 2], HELD_HEIGHT * held)
            both = HELD_STILL * (held[1:] * held[:-1])[..., None].expand(-1, -1, 3)
            sums.add_steps(places.flatten(1), moves.flatten(2), both.flatten(1))
        if self.surface is not None and self._terrains is not None:
            self._add_depths(frames, body_pos, body_rot, twists, sums)
        return NormalEquations(sums.cost[None], sums.gradient[None], [block[None] for block in sums.blocks])

    def _add_joints(self, frames: Frames, sums: "_Sums") -> None:
        """Add what joints cost: limits, rest, and turning."""
        dofs = self.character.dofs_from_rotations(frames.joint_rot)
        moves = torch.cat([dofs.new_zeros(len(dofs), 6, dofs.shape[1]), self._dof_changes(dofs).mT], dim=1)
        beyond = dofs - torch.minimum(torch.maximum(dofs, self.character.dof_lower), self.character.dof_upper)
        sums.add(beyond, moves, LIMIT * (beyond != 0))
        sums.add(dofs, moves, torch.full_like(dofs, REST))
        rotations = torch.cat([frames.root_rot[:, None], frames.joint_rot], dim=1)
        turns = roma.quat_product(roma.quat_conjugation(rotations[:-1]), rotations[1:])
        along = torch.einsum("fbx,kbx->fk", roma.unitquat_to_rotvec(turns), self.changes.of_bodies)
        sums.add_turns(along, TURN)

    def _dof_changes(self, dofs: Float[Tensor, "frames dofs"]) -> Float[Tensor, "frames dofs dofs"]:
        """Return the derivative of DOFs by turns of their joints about axes of the turned bodies.

        Of a rotation vector v it is the inverse of the right Jacobian, 1 + [v]/2 + (1/a^2 - 1 / (2 a tan(a/2))) [v]^2, where
        a = |v| (Chirikjian, Stochastic Models, Information Theory, and Lie Groups, vol. 2, 2012, section 10.8).
        """
        derivative = torch.diag_embed(torch.ones_like(dofs))
        for index, body in enumerate(self.character.bodies):
            if body.joint is JointType.SPHERICAL:
                some = slice(self.character.first_dofs[index], self.character.first_dofs[index] + 3)
                vector = dofs[:, some]
                angle = vector.norm(dim=-1)[:, None, None].clamp(min=1e-2)  # below, the factor is 1/12 to four digits
                factor = 1 / angle**2 - 1 / (2 * angle * torch.tan(angle / 2))
                cross = _cross_matrix(vector)
                derivative[:, some, some] = torch.eye(3) + cross / 2 + factor * cross @ cross
        return derivative

    def _add_depths(self, frames: Frames, body_pos: Tensor, body_rot: Tensor, twists: Tensor, sums: "_Sums") -> None:
        """Add what surface points cost that are below the ground, where a change moves them along the way to the air."""
        assert self.surface is not None and self._terrains is not None
        with torch.enable_grad():
            places = self.surface.placed(body_pos, body_rot).requires_grad_()
            which = torch.zeros(len(places), dtype=torch.long)
            signed = signed_distance_below_ground(places, self._terrains, which)
            (out,) = torch.autograd.grad(signed.sum(), places)
        frame, point = (signed < 0).nonzero(as_tuple=True)
        relative, out = (places.detach() - frames.root_pos[:, None])[frame, point], out[frame, point]
        wrenches = twists.new_zeros(len(frame), self.character.num_bodies, 6)
        rows = torch.arange(len(frame))
        wrenches[rows, self.surface.bodies[point]] = torch.cat([out, torch.linalg.cross(relative, out)], dim=-1)
        sums.add_rows(frame, signed.detach()[frame, point], self.changes.forces(twists[frame], wrenches), DEPTH)


class _Sums:
    """What terms add up to: the cost, half its gradient, and blocks of half its Gauss-Newton Hessian."""

    def __init__(self, frames: int, changes: int) -> None:
        self.cost = torch.zeros(())
        self.gradient = torch.zeros(frames, changes)
        self.blocks = [torch.zeros(frames, changes, changes) for _ in range(2)]

    def add(
        self,
        error: Float[Tensor, "frames rows"],
        moves: Float[Tensor, "frames changes rows"],
        weights: Float[Tensor, "*frames rows"],
    ) -> None:
        """Add weights x error^2, where changes move the error."""
        self.cost += (weights * error.square()).sum()
        self.gradient += (moves @ (weights * error)[..., None])[..., 0]
        self.blocks[0] += (moves * weights[..., None, :]) @ moves.mT

    def add_steps(
        self,
        values: Float[Tensor, "frames rows"],
        moves: Float[Tensor, "frames changes rows"],
        weights: Float[Tensor, "*steps rows"],
    ) -> None:
        """Add weights x (difference of values from a frame to the next)^2."""
        steps, before, after = values.diff(dim=0), moves[:-1], moves[1:]
        weighted = (weights * steps)[..., None]
        self.cost += (weights * steps.square()).sum()
        self.gradient[1:] += (after @ weighted)[..., 0]
        self.gradient[:-1] -= (before @ weighted)[..., 0]
        heavy = after * weights[..., None, :]
        self.blocks[0][1:] += heavy @ after.mT
        self.blocks[0][:-1] += (before * weights[..., None, :]) @ before.mT
        self.blocks[1][:-1] -= before @ heavy.mT

    def add_turns(self, turns: Float[Tensor, "steps turns"], weight: float) -> None:
        """Add weight x turn^2 of joints from a frame to the next: small ones change by the difference of their changes."""
        self.cost += weight * turns.square().sum()
        self.gradient[1:, 3:] += weight * turns
        self.gradient[:-1, 3:] -= weight * turns
        diagonals = [block[:, 3:, 3:].diagonal(dim1=1, dim2=2) for block in self.blocks]
        diagonals[0][1:] += weight
        diagonals[0][:-1] += weight
        diagonals[1][:-1] -= weight

    def add_rows(
        self,
        frame: Int[Tensor, " rows"],
        error: Float[Tensor, " rows"],
        moves: Float[Tensor, "rows changes"],
        weight: float,
    ) -> None:
        """Add weight x error^2 of rows of some frames."""
        self.cost += weight * error.square().sum()
        self.gradient.index_add_(0, frame, weight * error[:, None] * moves)
        self.blocks[0].index_add_(0, frame, weight * moves[:, :, None] * moves[:, None, :])


def _cross_matrix(vector: Float[Tensor, "frames 3"]) -> Float[Tensor, "frames 3 3"]:
    """Return the matrix by which a vector's cross product with others is taken."""
    return torch.linalg.cross(vector[:, None, :].expand(-1, 3, 3), torch.eye(3).expand(len(vector), 3, 3)).mT
