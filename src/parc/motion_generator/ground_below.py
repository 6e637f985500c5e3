"""The ground below a motion's bodies, where a noisy motion has them: what a denoiser must see to step on it and not into it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from parc.motion_generator.features import FeatureStatistics, MotionFeatures
from parc.motion_generator.local_heightmap import HeightmapGrid

AROUND = 0.15  # metres from the origin of a hand or foot to the points beside it
FARTHEST = 1.0  # metres above or below a body; what is farther is said to be as far


class GroundBelow(nn.Module):
    """Looks up the height of the ground below every body, in every frame, over that body's own height.

    Below bodies that end a limb (head, hands, feet) it looks at nine points: the origin, and a ring of eight around it, along
    the axes of the canonical frame and half-way between them. Below all others it looks at the origin alone.

    Args:
        features: the layout of a frame.
        statistics: with which motions are standardised.
        grid: the points of the local heightmaps.
    """

    mean: Tensor
    std: Tensor
    bodies: Tensor
    offsets: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, features: MotionFeatures, statistics: FeatureStatistics, grid: HeightmapGrid) -> None:
        super().__init__()
        bodies, offsets = points_below(features.character.parents)
        self.joint_positions = features.joint_positions
        tensors = {
            "mean": statistics.mean,
            "std": statistics.std,
            "bodies": bodies,
            "offsets": offsets,
            "low": torch.tensor([grid.min_x, grid.min_y]),
            "high": torch.tensor([grid.max_x, grid.max_y]),
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def num_points(self) -> int:
        """Points that are looked at in every frame."""
        return len(self.bodies)

    @torch.no_grad()
    def forward(
        self, motion: Float[Tensor, "batch frames features"], heightmap: Float[Tensor, "batch rows columns"]
    ) -> Float[Tensor, "batch frames points"]:
        """Return the height of the ground at every point over the height of its body, metres, within `FARTHEST`.

        Heights are interpolated between the points of the map; beyond its edge they are those of the edge.

        Args:
            motion: standardised features, however noisy.
            heightmap: heights in the canonical frame, metres.
        """
        metres = FeatureStatistics(self.mean, self.std).unstandardise(motion)
        root, joints = metres[..., :3], metres[..., self.joint_positions]
        positions = torch.cat([root, joints], dim=-1).unflatten(-1, (-1, 3))[:, :, self.bodies]
        places = (positions[..., :2] + self.offsets - self.low) / (self.high - self.low) * 2 - 1
        # grid_sample names the last axis, our columns along y, first.
        ground = F.grid_sample(heightmap[:, None], places.flip(-1), padding_mode="border", align_corners=True)[:, 0]
        return (ground - positions[..., 2]).clamp(-FARTHEST, FARTHEST)


def points_below(parents: list[int]) -> tuple[Int[Tensor, " points"], Float[Tensor, "points 2"]]:
    """Return the body of each point that is looked at, and the point's x and y from the body's origin, metres."""
    ring = [(AROUND * x, AROUND * y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    bodies, offsets = [], []
    for body in range(len(parents)):
        around = [(0.0, 0.0)] if body in parents else ring
        bodies += [body] * len(around)
        offsets += around
    return torch.tensor(bodies), torch.tensor(offsets)
