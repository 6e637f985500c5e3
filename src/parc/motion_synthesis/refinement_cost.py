"""What is wrong with motions on their terrain, as one number each, and how small changes of their poses would change it."""

from collections.abc import Callable
from dataclasses import dataclass

import roma
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.anim.banded_equations import NormalEquations
from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.anim.pose_changes import PoseChanges
from parc.anim.surface_points import BodyPoints
from parc.configuration.errors import UserError
from parc.motion_synthesis.held_bodies import HeldBody, HeldRuns, held_runs
from parc.terrain.heightfield import Heightfields
from parc.terrain.nearest_ground import distance_of_groups_above_ground
from parc.terrain.signed_distance import signed_distance_below_ground

REACH = 3  # frames: jerk couples each frame with the third after it
JERK = (-1.0, 3.0, -3.0, 1.0)  # the third difference
FRAMES_AT_ONCE = 2048  # over all motions: keeps memory below 500 MB


@dataclass(frozen=True)
class RefinementWeights:
    """Weight of each term; all are sums over frames, of squares but for sliding. A term of weight 0 is not computed.

    Attributes:
        root_position: distance of the root from the source's, metres.
        root_rotation: angle of the root to the source's, radians.
        joint_rotation: angle of each joint to the source's, radians.
        velocity: difference of each body's step from a frame to the next from the source's, metres.
        angular_velocity: difference of each joint's turn from a frame to the next from the source's, radians.
        penetration: depth of each surface point below ground, metres.
        contact: contact label x squared distance of the body's nearest surface point from the ground, metres.
        jerk: what the third difference of each body's position is beyond the free jerk, metres.
        sliding: smaller contact label of both frames x the difference that `velocity` is of, sqrt(e^2 + scale^2) - scale, outside
            what is held, metres.
        holding: step of each point of a held body on the ground from a frame to the next, metres.
        constraint: distance of each point of a held body from the point that is held, beyond what is allowed, metres.
    """

    root_position: float
    root_rotation: float
    joint_rotation: float
    velocity: float
    angular_velocity: float
    penetration: float
    contact: float
    jerk: float
    sliding: float
    holding: float
    constraint: float

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if weight < 0:
                raise UserError(f"refinement.weights.{name} is {weight}, expected 0 or more")


class _Sums:
    """What terms add up to, while they are gone through: cost, wrenches on bodies, and what couples bodies' twists."""

    def __init__(self, batch: int, frames: int, bodies: int, device: torch.device) -> None:
        self.cost = torch.zeros(batch, device=device)
        self.wrenches = torch.zeros(batch, frames, bodies, 6, device=device)
        self.between = [torch.zeros(batch, frames, bodies, 6, 6, device=device) for _ in range(REACH + 1)]

    def add_flat(
        self,
        place: Int[Tensor, " rows"],
        row: Float[Tensor, "rows 6"],
        force: Float[Tensor, " rows"],
        weight: Float[Tensor, " rows"],
    ) -> None:
        self.wrenches.view(-1, 6).index_add_(0, place, force[:, None] * row)
        outer = (weight[:, None] * row)[:, :, None] * row[:, None, :]
        self.between[0].view(-1, 6, 6).index_add_(0, place, outer)


class RefinementCost:
    """The cost of motions that are near some source motions.

    Args:
        weights: of the terms.
        held_bodies: bodies that hold on to the ground while they are in contact.
        held_label: contact label from which on they do.
        least_label: contact labels below say nothing.
        free_step: length of a third difference that costs nothing, metres.
        sliding_scale: metres; see `RefinementWeights.sliding`.
        source: the motions, every frame of them finite.
        exists: which frames there are; others cost nothing.
        terrains: as many as there are.
        which: the terrain of each motion.
        character: whose motions they are.
        surface: points all over its surface.
    """

    def __init__(
        self,
        weights: RefinementWeights,
        held_bodies: list[HeldBody],
        held_label: float,
        least_label: float,
        free_step: float,
        sliding_scale: float,
        source: Frames,
        exists: Bool[Tensor, "batch frames"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
        character: Character,
        surface: BodyPoints,
    ) -> None:
        self.weights, self.held_bodies = weights, held_bodies
        self.free_step, self.sliding_scale = free_step, sliding_scale
        self.source, self.exists = source, exists
        self.terrains, self.which = terrains, which
        self.character, self.surface = character, surface
        self.changes = PoseChanges(character)
        self._source_pos, body_rot = self._posed(source)
        self._source_turns = _turns(source)
        labels = source.contacts * exists[..., None]
        self._labels = torch.where(labels >= least_label, labels, 0.0)
        is_held = labels > held_label
        self._runs: list[HeldRuns] = [
            held_runs(body, is_held[..., body.body], self._source_pos, body_rot, terrains, which)
            for body in held_bodies
        ]
        self._sliding = torch.minimum(self._labels[:, 1:], self._labels[:, :-1])
        for body in held_bodies:
            held = is_held[..., body.body]
            self._sliding[..., body.body] *= ~(held[:, 1:] & held[:, :-1])

    def _posed(self, frames: Frames) -> tuple[Tensor, Tensor]:
        return self.character.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)

    def at(self, frames: Frames) -> NormalEquations:
        """Return the normal equations at motions near the source."""
        body_pos, body_rot = self._posed(frames)
        origin = frames.root_pos[..., None, :]
        batch, length, bodies = body_pos.shape[:3]
        sums = _Sums(batch, length, bodies, body_pos.device)
        weights = self.weights
        if weights.root_position:
            self._add_root_position(sums, frames)
        if weights.velocity or weights.sliding:
            self._add_velocity(sums, body_pos, origin)
        if weights.jerk:
            self._add_jerk(sums, body_pos, origin)
        if weights.penetration or weights.contact:
            self._add_ground(sums, body_pos, body_rot, origin)
        if weights.holding or weights.constraint:
            for body, runs in zip(self.held_bodies, self._runs, strict=True):
                self._add_held(sums, body, runs, body_pos, body_rot, origin)
        twists = self.changes.twists(body_pos - origin, body_rot)
        gradient = self.changes.forces(twists, sums.wrenches)
        blocks = [self.changes.couplings(twists, sums.between[0], twists)]
        for apart in range(1, REACH + 1):
            block = twists.new_zeros(batch, length, self.changes.size, self.changes.size)
            # Only jerk couples frames that are no neighbours, and few frames have too much of it.
            item, frame = sums.between[apart].flatten(2).any(-1).nonzero(as_tuple=True)
            between = sums.between[apart][item, frame]
            block[item, frame] = self.changes.couplings(twists[item, frame], between, twists[item, frame + apart])
            blocks.append(block)
        cost = sums.cost + self._add_rotations(frames, gradient, blocks)
        return NormalEquations(cost, gradient, blocks)

    def _add_root_position(self, sums: _Sums, frames: Frames) -> None:
        weight = self.weights.root_position * self.exists[..., None]
        away = frames.root_pos - self.source.root_pos
        sums.cost += (weight * away.square()).sum((1, 2))
        sums.wrenches[:, :, 0, :3] += weight * away
        sums.between[0][:, :, 0, :3, :3] += weight[..., None] * torch.eye(3, device=away.device)

    def _add_velocity(self, sums: _Sums, body_pos: Tensor, origin: Tensor) -> None:
        """Add what steps differ by from the source's, squared, and with sliding as well where there is contact."""
        error = (body_pos - self._source_pos).diff(dim=1)
        exists = self.exists[:, 1:, None]
        squared = error.square().sum(-1)
        soft = (squared + self.sliding_scale**2).sqrt()
        sliding = self.weights.sliding * self._sliding * exists
        sums.cost += (self.weights.velocity * exists * squared + sliding * (soft - self.sliding_scale)).sum((1, 2))
        weight = self.weights.velocity * exists + sliding / (2 * soft)
        _add_steps(sums, slice(None), wrench_rows(body_pos - origin), error, weight)

    def _add_jerk(self, sums: _Sums, body_pos: Tensor, origin: Tensor) -> None:
        third = body_pos.diff(n=3, dim=1)
        size = third.norm(dim=-1)
        excess = (size - self.free_step).clamp(min=0) * self.exists[:, 3:, None]
        sums.cost += self.weights.jerk * excess.square().sum((1, 2))
        item, frame, body = excess.nonzero(as_tuple=True)
        if not len(item):
            return
        over, size = excess[item, frame, body, None], size[item, frame, body, None]
        along = third[item, frame, body] / size
        force = self.weights.jerk * over * along
        # Excess squared is as steep along the third difference as its square, and less so across it.
        across = (over / size)[..., None]
        steep = across * torch.eye(3, device=along.device) + (1 - across) * along[:, :, None] * along[:, None, :]
        points = body_pos - origin
        rows = [share * wrench_rows(points[item, frame + later, body]) for later, share in enumerate(JERK)]
        length, bodies = body_pos.shape[1:3]
        for later, row in enumerate(rows):
            place = (item * length + frame + later) * bodies + body
            sums.wrenches.view(-1, 6).index_add_(0, place, (force[:, None] @ row)[:, 0])
            for apart, other in enumerate(rows[later:]):
                coupled = self.weights.jerk * row.mT @ (steep @ other)
                sums.between[apart].view(-1, 6, 6).index_add_(0, place, coupled)

    def _add_ground(self, sums: _Sums, body_pos: Tensor, body_rot: Tensor, origin: Tensor) -> None:
        item, frame = self.exists.nonzero(as_tuple=True)
        for rows in torch.arange(len(item), device=item.device).split(FRAMES_AT_ONCE):
            some, at = item[rows], frame[rows]
            points = self.surface.placed(body_pos[some, at], body_rot[some, at])
            if self.weights.penetration:
                self._add_penetration(sums, some, at, points, origin[some, at])
            if self.weights.contact:
                self._add_contact(sums, some, at, points, origin[some, at])

    def _add_penetration(self, sums: _Sums, item: Tensor, frame: Tensor, points: Tensor, origin: Tensor) -> None:
        which = self.which[item]
        # Only these can be below ground: what is beside the map has no ground of its own.
        low = self.terrains.heights_at(which, points[..., :2]) > points[..., 2]
        row, point = (low | self._beside_map(points, which)).nonzero(as_tuple=True)
        if not len(row):
            return
        inside, which = points[row, point], which[row]
        depth, up = _with_gradient(
            lambda where: -signed_distance_below_ground(where[:, None], self.terrains, which)[:, 0], inside
        )
        weight = torch.full_like(depth, self.weights.penetration)
        sums.cost.index_add_(0, item[row], weight * depth.square())
        place = self._place(item[row], frame[row], self.surface.bodies[point])
        sums.add_flat(place, _wrench(up, inside - origin[row, 0]), weight * depth, weight)

    def _beside_map(self, points: Tensor, which: Tensor) -> Bool[Tensor, "rows points"]:
        size = self.terrains.cell_size[which, None, None]
        cells = (points[..., :2] - self.terrains.min_point[which, None]) / size
        return ((cells < -0.5) | (cells > self.terrains.shape[which, None] - 0.5)).any(-1)

    def _add_contact(self, sums: _Sums, item: Tensor, frame: Tensor, points: Tensor, origin: Tensor) -> None:
        labels = self._labels[item, frame]
        rows, used = labels.any(1).nonzero()[:, 0], labels.any(0).nonzero()[:, 0]
        if not len(rows):
            return
        which_points = torch.isin(self.surface.bodies, used)
        groups = torch.searchsorted(used, self.surface.bodies[which_points])
        item, frame, points, origin = item[rows], frame[rows], points[rows][:, which_points], origin[rows]
        weight = self.weights.contact * labels[rows][:, used]
        distance, away = _with_gradient(
            lambda where: distance_of_groups_above_ground(where, groups, self.terrains, self.which[item]), points
        )
        # Of points that are equally near, each has its share of the gradient.
        wrenches = torch.zeros(len(rows), len(used), 6, device=points.device).index_add(
            1, groups, _wrench(away, points - origin)
        )
        sums.cost.index_add_(0, item, (weight * distance.square()).sum(1))
        place = self._place(item[:, None], frame[:, None], used)
        touching = distance > 0
        weight = weight * touching
        sums.add_flat(place.flatten(), wrenches.flatten(0, 1), (weight * distance).flatten(), weight.flatten())

    def _add_held(
        self, sums: _Sums, body: HeldBody, runs: HeldRuns, body_pos: Tensor, body_rot: Tensor, origin: Tensor
    ) -> None:
        points = body.placed(body.points, body_pos, body_rot)
        if self.weights.holding:
            weight = self.weights.holding * runs.stay
            step = points.diff(dim=1)
            sums.cost += (weight * step.square().sum(-1)).sum((1, 2))
            _add_steps(sums, body.body, wrench_rows(points - origin), step, weight)
        if self.weights.constraint:
            away = points - runs.anchors[..., None, :]
            distance = away.norm(dim=-1)
            excess = (distance - body.distance) * runs.held[..., None]
            if body.nearer:
                excess = excess.clamp(min=0)
            sums.cost += self.weights.constraint * excess.square().sum((1, 2))
            rows = _wrench(away / distance.clamp(min=1e-6)[..., None], points - origin) * (excess != 0)[..., None]
            sums.wrenches[:, :, body.body] += self.weights.constraint * (excess[..., None] * rows).sum(-2)
            sums.between[0][:, :, body.body] += self.weights.constraint * rows.mT @ rows

    def _add_rotations(self, frames: Frames, gradient: Tensor, blocks: list[Tensor]) -> Float[Tensor, " batch"]:
        """Add the terms of the root's and joints' rotations to gradient and blocks, and return their cost.

        Where R is followed by a small turn x, log(R exp(x)) is log(R) + x to first order, but for a matrix that leaves log(R) as
        it is: the gradient is exact, and the Hessian as good as errors are small.
        """
        weights, changes = self.weights, self.changes
        of_joint = torch.full((self.character.num_bodies,), weights.joint_rotation, device=gradient.device)
        of_joint[0] = weights.root_rotation
        weight = of_joint[:, None] * self.exists[..., None, None]
        error = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(_joints(self.source)), _joints(frames)))
        cost = (weight * error.square()).sum((1, 2, 3))
        gradient[..., 3:] += torch.einsum("btax,kax->btk", weight * error, changes.of_bodies)
        diagonal = blocks[0].diagonal(dim1=-2, dim2=-1)[..., 3:]
        diagonal += weight[..., changes.turned, 0]
        if not weights.angular_velocity:
            return cost
        turns = _turns(frames)
        error = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(self._source_turns), turns))
        exists = weights.angular_velocity * self.exists[:, 1:, None, None]
        cost = cost + (exists * error.square()).sum((1, 2, 3))
        matrices = roma.unitquat_to_rotmat(turns)
        before = (matrices @ error[..., None])[..., 0]
        gradient[:, 1:, 3:] += torch.einsum("btax,kax->btk", exists * error, changes.of_bodies)
        gradient[:, :-1, 3:] -= torch.einsum("btax,kax->btk", exists * before, changes.of_bodies)
        diagonal[:, 1:] += exists[..., 0]
        diagonal[:, :-1] += exists[..., 0]
        coupled = changes.axes @ (matrices[..., changes.turned, :, :] @ changes.axes[:, :, None])[..., 0].mT
        blocks[1][:, :-1, 3:, 3:] -= exists * changes.same_body * coupled
        return cost

    def _place(self, item: Tensor, frame: Tensor, body: Tensor) -> Tensor:
        return (item * self.exists.shape[1] + frame) * self.character.num_bodies + body


def _joints(frames: Frames) -> Float[Tensor, "batch frames bodies 4"]:
    """Return the rotation of the root, and of each body against its parent."""
    return torch.cat([frames.root_rot[..., None, :], frames.joint_rot], dim=-2)


def _turns(frames: Frames) -> Float[Tensor, "batch steps bodies 4"]:
    """Return by what the root and each joint turn from a frame to the next."""
    joints = _joints(frames)
    return roma.quat_product(roma.quat_conjugation(joints[:, :-1]), joints[:, 1:])


def _wrench(force: Float[Tensor, "*batch 3"], point: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 6"]:
    return torch.cat([force, torch.linalg.cross(point, force)], dim=-1)


def wrench_rows(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 6"]:
    """Return the wrenches of forces of 1 along x, y and z at points."""
    axes = torch.eye(3, device=points.device).expand(*points.shape[:-1], 3, 3)
    return _wrench(axes, points[..., None, :].expand(*points.shape[:-1], 3, 3))


def _add_steps(sums: _Sums, body: slice | int, rows: Tensor, error: Tensor, weight: Tensor) -> None:
    """Add weight x error^2, where an error changes as a point's step from a frame to the next.

    Args:
        sums: to be added to.
        body: all bodies, with one point each, or one body with some points.
        rows: wrenches along x, y, z at the points, [batch, frames, points, 3, 6].
        error: [batch, steps, points, 3].
        weight: [batch, steps, points].
    """
    force = ((weight[..., None] * error)[..., None, :] @ rows[:, 1:])[..., 0, :]
    force_before = ((weight[..., None] * error)[..., None, :] @ rows[:, :-1])[..., 0, :]
    scaled = weight[..., None, None] * rows[:, 1:]
    scaled_before = weight[..., None, None] * rows[:, :-1]

    def summed(first: Tensor, second: Tensor) -> Tensor:
        if isinstance(body, int):
            return first.flatten(2, 3).mT @ second.flatten(2, 3)
        return first.mT @ second

    if isinstance(body, int):
        force, force_before = force.sum(-2), force_before.sum(-2)
    sums.wrenches[:, 1:, body] += force
    sums.wrenches[:, :-1, body] -= force_before
    sums.between[0][:, 1:, body] += summed(scaled, rows[:, 1:])
    sums.between[0][:, :-1, body] += summed(scaled_before, rows[:, :-1])
    sums.between[1][:, :-1, body] -= summed(scaled_before, rows[:, 1:])


def _with_gradient(distance: Callable[[Tensor], Tensor], points: Tensor) -> tuple[Tensor, Tensor]:
    """Return distances and their gradients in the points."""
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        values = distance(points)
        (gradient,) = torch.autograd.grad(values.sum(), points)
    return values.detach(), gradient
