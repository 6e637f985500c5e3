"""Guidance by the ground: while a motion is denoised, bodies are moved out of the ground, and labelled ones onto it.

As in classifier guidance (Dhariwal and Nichol 2021), what a network was not told is said by a gradient while it denoises: here
by that of how far a body is from where the ground lets it be. It moves what the network takes the motion for, and not the noise;
so the next denoising step sees a foot on a step and not in it, and makes a whole of the motion.
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
WALL = 0.3  # metres from a body up to the top of what is a wall, and no step beside which feet stand


@dataclass(frozen=True)
class GroundGuidance:
    """How predicted motions are moved to where the ground lets them be.

    Attributes:
        steps: at most, each time that a motion is moved.
        share: of the way that a step makes, to first order.
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

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"rollout.ground_guidance.share is {self.share}, expected a share above 0, up to 1")
        for name, least in (("steps", 1), ("smoothing", 0), ("tolerance", 0), ("sideways", 1), ("reach", 0)):
            if not least <= getattr(self, name) < math.inf:
                raise UserError(f"rollout.ground_guidance.{name} is {getattr(self, name)}, expected at least {least}")


@dataclass(frozen=True)
class Wish:
    """What is wished of the surface points of motions.

    Attributes:
        energy: E, half the sum of the squares of how far points are from where they are wished, metres^2.
        off: the largest of these distances, metres.
        gradient: of E by the points, metres.
    """

    energy: Float[Tensor, "batch frames"]
    off: Float[Tensor, "batch frames"]
    gradient: Float[Tensor, "batch frames points 3"]


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
        self.points_a_body = torch.bincount(surface.bodies).float()
        self.middles = surface.middles
        self.grid = grid
        self.num_previous = num_previous

    def guided(
        self,
        guidance: GroundGuidance,
        motion: Float[Tensor, "batch frames features"],
        heightmap: Float[Tensor, "batch rows columns"],
        goes_on: Bool[Tensor, " batch"],
    ) -> Float[Tensor, "batch frames features"]:
        """Return motions (standardised features) moved out of the ground, their labelled bodies onto it.

        Args:
            guidance: how.
            motion: standardised features.
            heightmap: around each, canonical frame, metres.
            goes_on: which motions go on from previous states: their first frames stay as they are.
        """
        free = torch.ones(motion.shape[:2], dtype=torch.bool, device=motion.device)
        free[:, : self.num_previous] = ~goes_on[:, None]
        low = heightmap.new_tensor([self.grid.min_x, self.grid.min_y])
        terrains = on_one_grid(heightmap, low, self.grid.spacing)
        moved, going, anchors = (
            motion.clone(),
            torch.arange(len(motion), device=motion.device),
            self._anchors(motion, goes_on),
        )
        for _ in range(guidance.steps):
            step, is_off = self._step(guidance, moved[going], terrains, going, anchors[going], free[going])
            going = going[is_off]
            if len(going) == 0:
                break
            moved[going] += step[is_off]
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
            away = self.middles.placed_by_matrices(body_pos.detach(), rotation.detach())[..., :2] - anchors
            wishes = self._wishes(guidance, points.detach(), terrains, which, contacts.detach() > LABELLED, away)
            at_points = torch.stack([wish.gradient for wish in wishes]).sum(0)
            (gradient,) = torch.autograd.grad(points, features, at_points)
        energy = torch.stack([wish.energy for wish in wishes]).sum(0)
        off = torch.stack([wish.off for wish in wishes]).amax(0).where(free, 0.0).amax(1)
        size = gradient.square().sum(-1)
        length = torch.where(free & (size > 0), guidance.share * 2 * energy / size.clamp(min=1e-6), 0.0)
        step = _spread(-gradient * length[..., None], guidance.smoothing) * free[..., None]
        return step, off > guidance.tolerance

    def _wishes(
        self,
        guidance: GroundGuidance,
        points: Float[Tensor, "batch frames points 3"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
        labelled: Bool[Tensor, "batch frames bodies"],
        away: Float[Tensor, "batch frames bodies 2"],
    ) -> list[Wish]:
        ground = terrains.heights_at(which, points[..., :2].flatten(1, 2)).unflatten(1, points.shape[1:3])
        above = points[..., 2] - ground
        out = self._out_of_ground(points, above < 0, terrains, which, guidance.sideways)
        # What is on its way out of a wall cannot stay where it is.
        pushed = self._of_bodies(out.gradient[..., :2].abs().sum(-1), "amax") > 0
        lowest = self._of_bodies(above, "amin")
        stands = labelled & (lowest < max(guidance.reach, ON_GROUND))
        return [
            out,
            self._onto_ground(points, above, lowest, terrains, which, stands),
            self._in_place(stands & ~pushed, away),
        ]

    def _of_bodies(
        self, values: Float[Tensor, "batch frames points"], reduction: str
    ) -> Float[Tensor, "batch frames bodies"]:
        """Return the least ("amin") or largest ("amax") value of each body's points."""
        nothing = math.inf if reduction == "amin" else -math.inf
        start = values.new_full((*values.shape[:2], len(self.points_a_body)), nothing)
        return start.scatter_reduce(2, self.surface.bodies.expand_as(values), values, reduction)

    def _posed(
        self, features: Float[Tensor, "batch frames features"]
    ) -> tuple[
        Float[Tensor, "batch frames bodies 3"],
        Float[Tensor, "batch frames bodies 3 3"],
        Float[Tensor, "batch frames bodies"],
    ]:
        """Return positions (metres), rotations and contact labels of all bodies."""
        motion = self.features.decode(self.statistics.unstandardise(features))
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
        inside: Bool[Tensor, "batch frames points"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
        sideways: float,
    ) -> Wish:
        """Wish points inside the ground into the air, where that is nearest; beside the map, the ground is as at its border."""
        # Seen in a space that is stretched sideways, air above is nearer than it is.
        stretch = points.new_tensor([sideways, sideways, 1.0])
        half = self.grid.spacing / 2
        lowest = points.new_tensor([self.grid.min_x - half, self.grid.min_y - half, -math.inf])
        highest = points.new_tensor([self.grid.max_x + half, self.grid.max_y + half, math.inf])
        sunk = (points[inside].clamp(lowest, highest) * stretch)[:, None].requires_grad_()
        around = replace(terrains, min_point=terrains.min_point * sideways, cell_size=terrains.cell_size * sideways)
        depth = -signed_distance_below_ground(sunk, around, which[inside.nonzero()[:, 0]])
        (by_sunk,) = torch.autograd.grad(0.5 * depth.square().sum(), sunk)
        depths, gradient = torch.zeros_like(points[..., 0]), torch.zeros_like(points)
        depths[inside], gradient[inside] = depth.detach()[:, 0], by_sunk[:, 0] * stretch
        return Wish(0.5 * depths.square().sum(-1), depths.amax(-1), gradient)

    def _onto_ground(
        self,
        points: Float[Tensor, "batch frames points 3"],
        above: Float[Tensor, "batch frames points"],
        lowest: Float[Tensor, "batch frames bodies"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
        stands: Bool[Tensor, "batch frames bodies"],
    ) -> Wish:
        """Wish the lowest points of bodies that are to stand onto the ground straight below them."""
        bodies = self.surface.bodies
        is_over = stands & (lowest > ON_GROUND)
        is_over = is_over & ~self._touch_a_wall(is_over, points, terrains, which)
        height = (lowest - ON_GROUND).where(is_over, 0.0)
        # Of a flat sole, several are lowest.
        is_lowest = (above <= lowest[..., bodies] + 1e-5).float()
        share = is_lowest / torch.zeros_like(lowest).index_add(2, bodies, is_lowest)[..., bodies]
        gradient = F.pad((height[..., bodies] * share)[..., None], (2, 0))
        return Wish(0.5 * height.square().sum(-1), lowest.where(is_over, 0.0).amax(-1), gradient)

    def _touch_a_wall(
        self,
        asked: Bool[Tensor, "batch frames bodies"],
        points: Float[Tensor, "batch frames points 3"],
        terrains: Heightfields,
        which: Int[Tensor, " batch"],
    ) -> Bool[Tensor, "batch frames bodies"]:
        """Say which of the bodies asked about have a wall beside them."""
        of_asked = asked[..., self.surface.bodies]
        some = points[of_asked]
        sides = points.new_tensor([[BESIDE, 0.0], [-BESIDE, 0.0], [0.0, BESIDE], [0.0, -BESIDE]])
        highest = terrains.heights_at(which[of_asked.nonzero()[:, 0]], some[:, None, :2] + sides).amax(1)
        rises = torch.full_like(points[..., 0], -math.inf)
        rises[of_asked] = highest - some[:, 2]
        return self._of_bodies(rises, "amax") > WALL

    def _in_place(
        self, held: Bool[Tensor, "batch frames bodies"], away: Float[Tensor, "batch frames bodies 2"]
    ) -> Wish:
        """Wish held bodies to where they are to stay along the ground, so that none slides."""
        away = torch.where(held[..., None], away, 0.0)
        bodies = self.surface.bodies
        gradient = F.pad((away / self.points_a_body[:, None])[..., bodies, :], (0, 1))
        # How far they went is no reason to go on.
        return Wish(0.5 * away.square().sum((-1, -2)), torch.zeros_like(away[:, :, 0, 0]), gradient)


def _spread(steps: Float[Tensor, "batch frames features"], frames: int) -> Float[Tensor, "batch frames features"]:
    """Return steps averaged over so many frames before and after, with weights that fall along a line.

    The frames before the first and after the last make the same step as these: none, of a motion that goes on from previous
    states, so that it leaves them softly.
    """
    weights = 1 - torch.arange(-frames, frames + 1, device=steps.device).abs() / (frames + 1)
    batch, count, _ = steps.shape
    along_time = F.pad(steps.transpose(1, 2).reshape(-1, 1, count), (frames, frames), mode="replicate")
    averaged = F.conv1d(along_time, (weights / weights.sum())[None, None])
    return averaged.reshape(batch, -1, count).transpose(1, 2)
