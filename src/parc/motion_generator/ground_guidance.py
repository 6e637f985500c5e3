"""Guidance by the ground: while a motion is denoised, bodies are moved out of the ground, and labelled ones onto it.

As in classifier guidance (Dhariwal and Nichol 2021), what a network was not told is said by a gradient at every denoising step:
here by that of how far a body is from where the ground lets it be. It moves what the network takes the motion for, and not the
noise; so the next denoising step sees a foot on a step and not in it, and makes a whole of the motion.
"""

import math
from dataclasses import dataclass

import roma
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from parc.anim.surface_points import BodyPoints
from parc.configuration.errors import UserError
from parc.motion_generator.features import FeatureStatistics, MotionFeatures
from parc.motion_generator.local_heightmap import HeightmapGrid
from parc.terrain.heightfield import on_one_grid
from parc.terrain.signed_distance import signed_distance_below_ground

LABELLED = 0.5  # contact label above which a body is meant to be on the ground
ON_GROUND = 0.01  # metres above it at which a labelled body is


@dataclass(frozen=True)
class GroundGuidance:
    """How predicted motions are moved to where the ground lets them be.

    Attributes:
        steps: at most, each time that a motion is denoised.
        share: of the way that a step makes, to first order.
        smoothing: frames before and after over which a step is spread, less and less, so that bodies do not jerk.
        tolerance: motions that are nowhere further in the ground, nor with a labelled body over it, are left as they are, metres.
        sideways: how many times as far away air beside a body counts as air above it: a foot beside the edge of a step goes up
            rather than back.
        reach: metres above the ground from which labelled bodies are brought down onto it; 0 leaves them in the air.
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
        num_previous: first frames of a motion, which stay as they are.
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
        self.grid = grid
        self.num_previous = num_previous

    def guided(
        self,
        guidance: GroundGuidance,
        motion: Float[Tensor, "batch frames features"],
        heightmap: Float[Tensor, "batch rows columns"],
    ) -> Float[Tensor, "batch frames features"]:
        """Return motions (standardised features) moved out of the ground, their labelled bodies onto it.

        Args:
            guidance: how.
            motion: standardised features.
            heightmap: around each, canonical frame, metres.
        """
        moved, going = motion.clone(), torch.arange(len(motion), device=motion.device)
        places = self._places(motion)
        for _ in range(guidance.steps):
            step, is_off = self._step(guidance, moved[going], heightmap[going], places[going])
            going = going[is_off]
            if len(going) == 0:
                break
            moved[going] += step[is_off]
        return moved

    def _step(
        self,
        guidance: GroundGuidance,
        motion: Float[Tensor, "batch frames features"],
        heightmap: Float[Tensor, "batch rows columns"],
        places: Float[Tensor, "batch frames bodies 2"],
    ) -> tuple[Float[Tensor, "batch frames features"], Bool[Tensor, " batch"]]:
        """Return a step for each motion, and which motions are further off than is tolerated.

        With g the gradient of E, a step is -share x 2 E g / |g|^2: the whole of it brings to 0 what is linear in the features
        (Polyak 1987).
        """
        with torch.enable_grad():
            features = motion.detach().requires_grad_()
            body_pos, rotation, contacts = self._posed(features)
            points = self._points(body_pos.detach(), rotation.detach())
            labelled = contacts.detach() > LABELLED
            wishes = [
                self._out_of_ground(points, heightmap, guidance.sideways),
                self._onto_ground(points, heightmap, labelled, guidance.reach),
                self._in_place(points, labelled, places),
            ]
            # The same gradient as by the points themselves, but through the few bodies instead of the many points.
            at_points, local = torch.stack([wish.gradient for wish in wishes]).sum(0), self.surface.points
            on_positions = torch.zeros_like(body_pos).index_add(2, self.surface.bodies, at_points)
            turns = at_points[..., None] * local[:, None, :]
            on_rotations = torch.zeros_like(rotation).index_add(2, self.surface.bodies, turns)
            pull = (on_positions * body_pos).sum() + (on_rotations * rotation).sum()
            (gradient,) = torch.autograd.grad(pull, features)
        new = slice(self.num_previous, None)
        energy = torch.stack([wish.energy for wish in wishes]).sum(0)[:, new]
        off = torch.stack([wish.off for wish in wishes[:2]])[:, :, new].amax((0, 2))
        gradient = gradient[:, new]
        size = gradient.square().sum(-1)
        step = -gradient * torch.where(size > 0, guidance.share * 2 * energy / size.clamp(min=1e-6), 0.0)[..., None]
        return F.pad(_spread(step, guidance.smoothing), (0, 0, self.num_previous, 0)), off > guidance.tolerance

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

    def _points(
        self, body_pos: Float[Tensor, "batch frames bodies 3"], rotation: Float[Tensor, "batch frames bodies 3 3"]
    ) -> Float[Tensor, "batch frames points 3"]:
        turned = (rotation[..., self.surface.bodies, :, :] @ self.surface.points[..., None])[..., 0]
        return body_pos[..., self.surface.bodies, :] + turned

    def _places(self, motion: Float[Tensor, "batch frames features"]) -> Float[Tensor, "batch frames bodies 2"]:
        """Return x and y of the middle of every body's surface, metres."""
        body_pos, rotation, _ = self._posed(motion)
        return self._middles(self._points(body_pos, rotation))

    def _middles(self, points: Float[Tensor, "batch frames points 3"]) -> Float[Tensor, "batch frames bodies 2"]:
        bodies = self.surface.bodies
        sums = points.new_zeros(*points.shape[:2], self.features.character.num_bodies, 2)
        return sums.index_add(2, bodies, points[..., :2]) / self._points_a_body[:, None]

    @property
    def _points_a_body(self) -> Float[Tensor, " bodies"]:
        return torch.bincount(self.surface.bodies, minlength=self.features.character.num_bodies).float()

    def _out_of_ground(
        self,
        points: Float[Tensor, "batch frames points 3"],
        heightmap: Float[Tensor, "batch rows columns"],
        sideways: float,
    ) -> Wish:
        """Wish every point into the air, where that is nearest."""
        # Seen in a space that is stretched sideways, air above is nearer than it is.
        stretch = points.new_tensor([sideways, sideways, 1.0])
        stretched = (points * stretch).requires_grad_()
        low = points.new_tensor([self.grid.min_x, self.grid.min_y]) * sideways
        terrains = on_one_grid(heightmap, low, self.grid.spacing * sideways)
        each_its_own = torch.arange(len(heightmap), device=heightmap.device)
        depths = -signed_distance_below_ground(stretched.flatten(1, 2), terrains, each_its_own)
        depths = depths.unflatten(1, points.shape[1:3])
        energy = 0.5 * depths.square().sum(-1)
        (gradient,) = torch.autograd.grad(energy.sum(), stretched)
        return Wish(energy.detach(), depths.detach().amax(-1), gradient * stretch)

    def _onto_ground(
        self,
        points: Float[Tensor, "batch frames points 3"],
        heightmap: Float[Tensor, "batch rows columns"],
        labelled: Bool[Tensor, "batch frames bodies"],
        reach: float,
    ) -> Wish:
        """Wish the lowest points of labelled bodies onto the ground straight below them, where that is within reach."""
        low = points.new_tensor([self.grid.min_x, self.grid.min_y])
        terrains = on_one_grid(heightmap, low, self.grid.spacing)
        each_its_own = torch.arange(len(heightmap), device=heightmap.device)
        ground = terrains.heights_at(each_its_own, points[..., :2].flatten(1, 2)).unflatten(1, points.shape[1:3])
        above, bodies = points[..., 2] - ground, self.surface.bodies
        lowest = above.new_full(labelled.shape, math.inf).scatter_reduce(2, bodies.expand_as(above), above, "amin")
        height = (lowest - ON_GROUND).clamp(min=0).where(labelled & (lowest < reach), 0.0)
        # Of a flat sole, several are lowest.
        is_lowest = (above <= lowest[..., bodies] + 1e-5).float()
        share = is_lowest / torch.zeros_like(lowest).index_add(2, bodies, is_lowest)[..., bodies]
        gradient = F.pad((height[..., bodies] * share)[..., None], (2, 0))
        return Wish(0.5 * height.square().sum(-1), height.amax(-1), gradient)

    def _in_place(
        self,
        points: Float[Tensor, "batch frames points 3"],
        labelled: Bool[Tensor, "batch frames bodies"],
        places: Float[Tensor, "batch frames bodies 2"],
    ) -> Wish:
        """Wish labelled bodies to where they were along the ground, so that what brings them onto it lets none slide."""
        away = torch.where(labelled[..., None], self._middles(points) - places, 0.0)
        bodies = self.surface.bodies
        gradient = F.pad((away / self._points_a_body[:, None])[..., bodies, :], (0, 1))
        return Wish(0.5 * away.square().sum((-1, -2)), away.norm(dim=-1).amax(-1), gradient)


def _spread(steps: Float[Tensor, "batch frames features"], frames: int) -> Float[Tensor, "batch frames features"]:
    """Return steps averaged over so many frames before and after, with weights that fall along a line.

    The frames before the first are the previous states, which make no step; those after the last make the last one's.
    """
    weights = 1 - torch.arange(-frames, frames + 1, device=steps.device).abs() / (frames + 1)
    batch, count, _ = steps.shape
    along_time = steps.transpose(1, 2).reshape(-1, 1, count)
    around = F.pad(F.pad(along_time, (0, frames), mode="replicate"), (frames, 0))
    averaged = F.conv1d(around, (weights / weights.sum())[None, None])
    return averaged.reshape(batch, -1, count).transpose(1, 2)
