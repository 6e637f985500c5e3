"""Guidance by the ground: the motions that a denoiser makes are moved out of the ground, and labelled bodies onto it.

As in classifier guidance (Dhariwal and Nichol 2021), what a network was not told is said by a gradient: here by that of how far
a body is from where the ground lets it be. It moves what the last denoising step predicts. The network sees it in the previous
states of the next window, which goes on from a foot on a step and not in it.
"""

import math
from dataclasses import dataclass, replace

import roma
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.anim.surface_points import BodyPoints
from parc.configuration.errors import UserError
from parc.motion_generator.features import FeatureStatistics, MotionFeatures
from parc.motion_generator.local_heightmap import HeightmapGrid
from parc.terrain.heightfield import Heightfields, on_one_grid
from parc.terrain.signed_distance import signed_distance_below_ground

LABELLED = 0.5  # contact label above which a body is meant to touch the ground
ON_GROUND = 0.01  # metres above it to which a labelled body is brought
FARTHEST_HELD = 0.05  # metres from where a prediction has a body to where it is held
BESIDE = 0.03  # metres from a wall that a labelled body may touch instead
BEYOND = 2  # frames after those that are kept which are moved too: what these are about to step on counts as well
WALL = 0.3  # metres from a body up to the top of what is a wall, and no step beside which feet stand


@dataclass(frozen=True)
class GroundGuidance:
    """How motions are moved to where the ground lets them be.

    Attributes:
        steps: at most.
        share: of the way that a step makes, to first order.
        momentum: share of a step that is made again with the next one.
        smoothing: frames before and after over which a step is spread, less and less, so that bodies do not jerk.
        tolerance: motions that are nowhere further in the ground (as `sideways` counts), nor with a labelled body within reach
            further over it, are left as they are, metres.
        sideways: how many times as far away air beside a body counts as air above it: a foot beside the edge of a step goes up
            rather than back.
        reach: metres above the ground from which labelled bodies are brought down onto it, and held where they stand, in motions
            that are moved at all; 0 leaves them in the air.
    """

    steps: int
    share: float
    smoothing: int
    tolerance: float
    sideways: float
    reach: float
    momentum: float = 0.0  # as older configs were, which have no such key

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"rollout.ground_guidance.share is {self.share}, expected a share above 0, up to 1")
        if not 0 <= self.momentum < 1:
            raise UserError(f"rollout.ground_guidance.momentum is {self.momentum}, expected a share from 0, below 1")
        for name, least in (("steps", 1), ("smoothing", 0), ("tolerance", 0), ("sideways", 1), ("reach", 0)):
            if not least <= getattr(self, name) < math.inf:
                raise UserError(f"rollout.ground_guidance.{name} is {getattr(self, name)}, expected at least {least}")


@dataclass(frozen=True)
class Wish:
    """What is wished of some points of motions.

    Attributes:
        where: motion, frame and number of each point.
        way: of each away from where it is wished: the gradient of E, half the sum of the squares of the distances, metres.
        energy: E, metres^2.
        off: how far the farthest of these is in the ground or over it, metres.
    """

    where: tuple[Int[Tensor, " some"], Int[Tensor, " some"], Int[Tensor, " some"]]
    way: Float[Tensor, "some 3"]
    energy: Float[Tensor, "batch frames"]
    off: Float[Tensor, "batch frames"]


class GroundAround:
    """The ground around motions, and the way to where it lets them be.

    Args:
        features: the layout of a frame.
        statistics: with which motions are standardised.
        surface: points all over the character.
        grid: the points of the local heightmaps.
        num_previous: frames of a motion that are previous states, the first ones.
    """

    def __init__(
        self,
        features: MotionFeatures,
        statistics: FeatureStatistics,
        surface: BodyPoints,
        grid: HeightmapGrid,
        num_previous: int,
    ) -> None:
        self.features = features
        self.statistics = statistics
        self.surface = surface
        self.middles = surface.middles
        self.grid = grid
        self.num_previous = num_previous

    def guided(
        self,
        guidance: GroundGuidance,
        motion: Float[Tensor, "batch frames features"],
        heightmap: Float[Tensor, "batch rows columns"],
        goes_on: Bool[Tensor, " batch"],
        kept: int | None = None,
    ) -> Float[Tensor, "batch frames features"]:
        """Return motions (standardised features) moved out of the ground, their labelled bodies onto it.

        Args:
            guidance: how.
            motion: standardised features.
            heightmap: around each, canonical frame, metres.
            goes_on: which motions go on from previous states: their first frames stay as they are.
            kept: how many frames are of use, the first ones, previous states among them; those more than `BEYOND` after these
                stay as they are. None for all of them.
        """
        moved = motion.clone()
        some = moved if kept is None else moved[:, : kept + BEYOND]
        free = torch.ones(some.shape[:2], dtype=torch.bool, device=motion.device)
        free[:, : self.num_previous] = ~goes_on[:, None]
        low = heightmap.new_tensor([self.grid.min_x, self.grid.min_y])
        terrains = on_one_grid(heightmap, low, self.grid.spacing)
        going, anchors = torch.arange(len(motion), device=motion.device), self._anchors(some, goes_on)
        last_step = torch.zeros_like(some)
        for _ in range(guidance.steps):
            step, is_off = self._step(guidance, some[going], terrains, going, anchors[going], free[going])
            going = going[is_off]
            if len(going) == 0:
                break
            # A heavy ball (Polyak 1964): what is not at its end after a step goes on the same way.
            last_step[going] = step[is_off] + guidance.momentum * last_step[going]
            some[going] += last_step[going]
        return moved

    def _step(
        self,
        guidance: GroundGuidance,
        motion: Float[Tensor, "batch frames features"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
        anchors: Float[Tensor, "batch frames bodies 2"],
        free: Bool[Tensor, "batch frames"],
    ) -> tuple[Float[Tensor, "batch frames features"], Bool[Tensor, " batch"]]:
        """Return a step of the free frames of each motion, and which motions are further off than is tolerated.

        With g the gradient of E, a step is -share x 2 E g / |g|^2: the whole of it brings to 0 what is linear in the features
        (Polyak 1987).
        """
        with torch.enable_grad():
            features = motion.detach().requires_grad_()
            body_pos, rotation, contacts = self._posed(features)
            points = self.surface.placed_by_matrices(body_pos, rotation)
            middles = self.middles.placed_by_matrices(body_pos, rotation)
        out, onto, stands = self._wishes(guidance, points.detach(), contacts.detach() > LABELLED, terrains, which)
        ways = torch.zeros_like(points)
        for wish in (out, onto):
            ways[wish.where] = wish.way
        # How far held bodies went is no reason to go on.
        away = torch.where(stands[..., None], middles.detach()[..., :2] - anchors, 0.0)
        (gradient,) = torch.autograd.grad([points, middles], features, [ways, F.pad(away, (0, 1))])
        energy = out.energy + onto.energy + 0.5 * away.square().sum((-1, -2))
        off = torch.maximum(out.off, onto.off).where(free, 0.0).amax(1)
        size = gradient.square().sum(-1)
        length = torch.where(free & (size > 0), guidance.share * 2 * energy / size.clamp(min=1e-6), 0.0)
        step = _spread(-gradient * length[..., None], guidance.smoothing) * free[..., None]
        return step, off > guidance.tolerance

    def _wishes(
        self,
        guidance: GroundGuidance,
        points: Float[Tensor, "batch frames points 3"],
        labelled: Bool[Tensor, "batch frames bodies"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
    ) -> tuple[Wish, Wish, Bool[Tensor, "batch frames bodies"]]:
        """Return what is wished of points in the ground, of those over it, and which bodies are to stay where they stand."""
        ground = terrains.heights_at(which, points[..., :2].flatten(1, 2)).unflatten(1, points.shape[1:3])
        above = points[..., 2] - ground
        out = self._out_of_ground(points, above, terrains, which, guidance.sideways)
        start = above.new_full((*above.shape[:2], self.features.character.num_bodies), math.inf)
        lowest = start.scatter_reduce(2, self.surface.bodies.expand_as(above), above, "amin")
        stands = labelled & (lowest < max(guidance.reach, ON_GROUND))
        onto = self._onto_ground(points, above, lowest, stands, terrains, which)
        # What is on its way out of a wall cannot stay where it is.
        aside = (out.way[:, :2] != 0).any(-1)
        motion, frame, point = (each[aside] for each in out.where)
        stays = stands.clone()
        stays[motion, frame, self.surface.bodies[point]] = False
        return out, onto, stays

    def _posed(
        self, features: Float[Tensor, "batch frames features"]
    ) -> tuple[
        Float[Tensor, "batch frames bodies 3"],
        Float[Tensor, "batch frames bodies 3 3"],
        Float[Tensor, "batch frames bodies"],
    ]:
        """Return positions (metres), rotations and contact labels of all bodies."""
        statistics = self.statistics.of_first(features.shape[1])
        motion = self.features.decode(statistics.unstandardise(features))
        pose = motion.root_pos, motion.root_rot, motion.joint_rot
        body_pos, body_rot = self.features.character.forward_kinematics(*pose)
        return body_pos, roma.unitquat_to_rotmat(body_rot), motion.contacts

    def _anchors(
        self, motion: Float[Tensor, "batch frames features"], goes_on: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch frames bodies 2"]:
        """Return x and y of where the middle of every body's surface is to be held while the body stands, metres.

        That is its mean place in a run of labelled frames, or its place in the last previous state if the run goes on from there;
        but no further than `FARTHEST_HELD` from where it is: a label that stays on from step to step means no one place.
        """
        body_pos, rotation, contacts = self._posed(motion)
        places = self.middles.placed_by_matrices(body_pos, rotation)[..., :2]
        labelled = contacts > LABELLED
        begins = labelled & ~F.pad(labelled, (0, 0, 1, 0))[:, :-1]
        run = begins.cumsum(1)  # counted from 1; as many at most as there are frames
        number, counted = run[..., None].expand_as(places), labelled[..., None].expand_as(places).to(places)
        nothing = F.pad(torch.zeros_like(places), (0, 0, 0, 0, 0, 1))
        sums, counts = (nothing.scatter_add(1, number, values) for values in (places * counted, counted))
        means = (sums / counts.clamp(min=1)).gather(1, number)
        last = slice(self.num_previous - 1, self.num_previous)
        goes_on_from_it = (run == run[:, last]) & goes_on[:, None, None]
        away = torch.where(goes_on_from_it[..., None], places[:, last], means) - places
        return places + away * (FARTHEST_HELD / away.norm(dim=-1, keepdim=True).clamp(min=FARTHEST_HELD))

    def _out_of_ground(
        self,
        points: Float[Tensor, "batch frames points 3"],
        above: Float[Tensor, "batch frames points"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
        sideways: float,
    ) -> Wish:
        """Wish points inside the ground into the air, where that is nearest; beside the map, the ground is as at its border."""
        # Seen in a space that is stretched sideways, air above is nearer than it is.
        stretch = points.new_tensor([sideways, sideways, 1.0])
        half = self.grid.spacing / 2
        low = points.new_tensor([self.grid.min_x - half, self.grid.min_y - half, -math.inf])
        high = points.new_tensor([self.grid.max_x + half, self.grid.max_y + half, math.inf])
        motion, frame, point = (above < 0).nonzero().unbind(-1)
        sunk = (points[motion, frame, point].clamp(low, high) * stretch)[:, None].requires_grad_()
        around = replace(terrains, min_point=terrains.min_point * sideways, cell_size=terrains.cell_size * sideways)
        with torch.enable_grad():
            depth = -signed_distance_below_ground(sunk, around, which[motion])
            (by_sunk,) = torch.autograd.grad(0.5 * depth.square().sum(), sunk)
        depths = depth.detach()[:, 0]
        nothing = torch.zeros_like(above[..., 0])
        energy = nothing.index_put((motion, frame), 0.5 * depths.square(), accumulate=True)
        off = nothing.flatten().scatter_reduce(0, motion * above.shape[1] + frame, depths, "amax").view_as(nothing)
        return Wish((motion, frame, point), by_sunk[:, 0] * stretch, energy, off)

    def _onto_ground(
        self,
        points: Float[Tensor, "batch frames points 3"],
        above: Float[Tensor, "batch frames points"],
        lowest: Float[Tensor, "batch frames bodies"],
        stands: Bool[Tensor, "batch frames bodies"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
    ) -> Wish:
        """Wish the lowest points of bodies that are to stand onto the ground straight below them."""
        is_over = stands & (lowest > ON_GROUND)
        is_over = is_over & ~self._touch_a_wall(is_over, points, terrains, which)
        motion, frame, point = self._points_of(is_over)
        body = self.surface.bodies[point]
        # Of a flat sole, several are lowest.
        is_lowest = above[motion, frame, point] <= lowest[motion, frame, body] + 1e-5
        motion, frame, point, body = (each[is_lowest] for each in (motion, frame, point, body))
        counts = torch.zeros_like(lowest).index_put((motion, frame, body), lowest.new_ones(()), accumulate=True)
        height = (lowest - ON_GROUND).where(is_over, 0.0)
        down = (height / counts.clamp(min=1))[motion, frame, body]
        off = lowest.where(is_over, 0.0).amax(-1)
        return Wish((motion, frame, point), F.pad(down[:, None], (2, 0)), 0.5 * height.square().sum(-1), off)

    def _touch_a_wall(
        self,
        asked: Bool[Tensor, "batch frames bodies"],
        points: Float[Tensor, "batch frames points 3"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
    ) -> Bool[Tensor, "batch frames bodies"]:
        """Say which of the bodies asked about have a wall beside them."""
        motion, frame, point = self._points_of(asked)
        some = points[motion, frame, point]
        sides = points.new_tensor([[BESIDE, 0.0], [-BESIDE, 0.0], [0.0, BESIDE], [0.0, -BESIDE]])
        highest = terrains.heights_at(which[motion], some[:, None, :2] + sides).amax(1)
        touch = highest - some[:, 2] > WALL
        touched = torch.zeros_like(asked)
        touched[motion[touch], frame[touch], self.surface.bodies[point[touch]]] = True
        return touched

    def _points_of(
        self, chosen: Bool[Tensor, "batch frames bodies"]
    ) -> tuple[Int[Tensor, " some"], Int[Tensor, " some"], Int[Tensor, " some"]]:
        """Return motion, frame and number of each point of chosen bodies."""
        motion, frame, point = chosen.index_select(-1, self.surface.bodies).nonzero().unbind(-1)
        return motion, frame, point


def _spread(steps: Float[Tensor, "batch frames features"], frames: int) -> Float[Tensor, "batch frames features"]:
    """Return steps averaged over so many frames before and after, with weights that fall along a line.

    The frames before the first and after the last make the same step as these: none, of a motion that goes on from previous
    states, so that it leaves them softly.
    """
    count = steps.shape[1]
    offsets = torch.arange(-frames, frames + 1, device=steps.device)
    weights = 1 - offsets.abs() / (frames + 1)
    averaged_over = (torch.arange(count, device=steps.device)[:, None] + offsets).clamp(0, count - 1)
    share = steps.new_zeros(count, count).scatter_add(1, averaged_over, (weights / weights.sum()).expand(count, -1))
    return share @ steps
