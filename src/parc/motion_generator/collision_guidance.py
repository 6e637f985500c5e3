"""Guidance out of the ground: where bodies are in it, what a motion is taken for is moved out of it while it is denoised.

As in classifier guidance (Dhariwal and Nichol 2021), what a network was not told is said by a gradient at every denoising step:
here by that of how deep the body is in the ground. It moves the prediction and not the noise, so the next denoising step sees a
motion that keeps off the ground, and makes a whole of it.
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


@dataclass(frozen=True)
class CollisionGuidance:
    """How predicted motions are moved out of the ground.

    Attributes:
        steps: at most, each time that a motion is denoised.
        share: of the way out of the ground that a step makes, to first order.
        smoothing: frames before and after over which a step is spread, less and less, so that bodies do not jerk.
        tolerance: motions that are nowhere deeper, as `sideways` counts, are left as they are, metres.
        sideways: how many times as far away air beside a body counts as air above it: a foot beside the edge of a step goes up
            rather than back.
    """

    steps: int
    share: float
    smoothing: int
    tolerance: float
    sideways: float

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"rollout.collision_guidance.steps is {self.steps}, expected at least 1")
        if not 0 < self.share <= 1:
            raise UserError(f"rollout.collision_guidance.share is {self.share}, expected a share above 0, up to 1")
        for name, least in (("smoothing", 0), ("tolerance", 0), ("sideways", 1)):
            if not least <= getattr(self, name) < math.inf:
                raise UserError(
                    f"rollout.collision_guidance.{name} is {getattr(self, name)}, expected at least {least}"
                )


class GroundAround:
    """The ground around motions, and the way out of it.

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
        guidance: CollisionGuidance,
        motion: Float[Tensor, "batch frames features"],
        heightmap: Float[Tensor, "batch rows columns"],
    ) -> Float[Tensor, "batch frames features"]:
        """Return motions (standardised features) moved out of the ground.

        Args:
            guidance: how.
            motion: standardised features.
            heightmap: around each, canonical frame, metres.
        """
        moved, going = motion.clone(), torch.arange(len(motion), device=motion.device)
        for _ in range(guidance.steps):
            step, deep = self._step(guidance, moved[going], heightmap[going])
            going = going[deep]
            if len(going) == 0:
                break
            moved[going] += step[deep]
        return moved

    def _step(
        self,
        guidance: CollisionGuidance,
        motion: Float[Tensor, "batch frames features"],
        heightmap: Float[Tensor, "batch rows columns"],
    ) -> tuple[Float[Tensor, "batch frames features"], Bool[Tensor, " batch"]]:
        """Return a step out of the ground for each motion, and which motions are deeper than is tolerated.

        With E half the sum of the squared depths of a frame's points, and g its gradient, a step is -share x 2 E g / |g|^2: the
        whole of it brings to 0 what is linear in the features (Polyak 1987).
        """
        with torch.enable_grad():
            features = motion.detach().requires_grad_()
            decoded = self.features.decode(self.statistics.unstandardise(features))
            body_pos, body_rot = self.features.character.forward_kinematics(
                decoded.root_pos, decoded.root_rot, decoded.joint_rot
            )
            rotation = roma.unitquat_to_rotmat(body_rot)
            energy, depth, force = self._ground_on_bodies(guidance, body_pos.detach(), rotation.detach(), heightmap)
            # The same gradient as that of the points' depths, through the few bodies instead of the many points.
            pull = (force[0] * body_pos).sum() + (force[1] * rotation).sum()
            (gradient,) = torch.autograd.grad(pull, features)
        energy, gradient = energy[:, self.num_previous :], gradient[:, self.num_previous :]
        size = gradient.square().sum(-1)
        step = -gradient * torch.where(size > 0, guidance.share * 2 * energy / size.clamp(min=1e-6), 0.0)[..., None]
        step = F.pad(_spread(step, guidance.smoothing), (0, 0, self.num_previous, 0))
        return step, depth[:, self.num_previous :].amax(1) > guidance.tolerance

    def _ground_on_bodies(
        self,
        guidance: CollisionGuidance,
        body_pos: Float[Tensor, "batch frames bodies 3"],
        rotation: Float[Tensor, "batch frames bodies 3 3"],
        heightmap: Float[Tensor, "batch rows columns"],
    ) -> tuple[
        Float[Tensor, "batch frames"],
        Float[Tensor, "batch frames"],
        tuple[Float[Tensor, "batch frames bodies 3"], Float[Tensor, "batch frames bodies 3 3"]],
    ]:
        """Return E of each frame (metres^2), how deep it is (metres), and the derivatives of E by positions and rotations."""
        bodies, local = self.surface.bodies, self.surface.points
        # Seen in a space that is stretched sideways, air above is nearer than it is.
        stretch = body_pos.new_tensor([guidance.sideways, guidance.sideways, 1.0])
        points = body_pos[..., bodies, :] + (rotation[..., bodies, :, :] @ local[..., None])[..., 0]
        points = (points * stretch).detach().requires_grad_()
        low = body_pos.new_tensor([self.grid.min_x, self.grid.min_y]) * guidance.sideways
        terrains = on_one_grid(heightmap, low, self.grid.spacing * guidance.sideways)
        each_its_own = torch.arange(len(heightmap), device=heightmap.device)
        depths = -signed_distance_below_ground(points.flatten(1, 2), terrains, each_its_own).unflatten(
            1, points.shape[1:3]
        )
        energy = 0.5 * depths.square().sum(-1)
        (at_points,) = torch.autograd.grad(energy.sum(), points)
        at_points = at_points * stretch
        on_positions = torch.zeros_like(body_pos).index_add(2, bodies, at_points)
        on_rotations = torch.zeros_like(rotation).index_add(2, bodies, at_points[..., None] * local[:, None, :])
        return energy.detach(), depths.detach().amax(-1), (on_positions, on_rotations)


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
