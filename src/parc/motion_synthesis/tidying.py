"""Tidying of chosen clips: hesitation cut out, the terrain cut to what lies near the motion, and its bounds made again."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import BodyPoints
from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield, cropped

LEAST_FRAMES_OF_A_CLIP = 2
LARGEST_MARGIN = 1000.0  # metres; null says it better


@dataclass(frozen=True)
class Hesitation:
    """When a motion hesitates: it stays, or is back, where it was.

    Attributes:
        least_frames: of a run of frames that each are near an earlier one; shorter runs are no hesitation.
        distance: up to which a frame is near another, metres: the root of the sum, over all bodies, of the squared distance
            between their positions.
    """

    least_frames: int
    distance: float

    def __post_init__(self) -> None:
        if self.least_frames < 1:
            raise UserError(f"tidying.hesitation.least_frames is {self.least_frames}, expected at least 1")
        if not 0 <= self.distance < math.inf:
            raise UserError(f"tidying.hesitation.distance is {self.distance}, expected metres, 0 or more")

    def frames_of(self, body_pos: Float[Tensor, "frames bodies 3"]) -> Bool[Tensor, " frames"]:
        """Say which frames of a motion hesitate.

        A frame that is near an earlier one is flagged, and later frames are compared only with those that are not: the bodies
        of a slow motion do not stay near their last place for ever.

        Args:
            body_pos: positions of all bodies, metres.
        """
        poses = body_pos.flatten(1)
        flagged = torch.zeros(len(poses), dtype=torch.bool)
        for frame in range(1, len(poses)):
            earlier = poses[:frame][~flagged[:frame]]
            flagged[frame] = (torch.linalg.norm(earlier - poses[frame], dim=1) <= self.distance).any()
        _, run, lengths = torch.unique_consecutive(flagged, return_inverse=True, return_counts=True)
        return flagged & (lengths[run] >= self.least_frames)


@dataclass(frozen=True)
class Tidying:
    """What is done to a clip before it is saved.

    Attributes:
        hesitation: what counts as hesitation, which is cut out; None where it stays.
        margin: of terrain that is kept around the motion, metres; None where the terrain stays whole.
    """

    hesitation: Hesitation | None
    margin: float | None

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 <= self.margin <= LARGEST_MARGIN:
            raise UserError(f"tidying.margin is {self.margin}, expected metres from 0 to {LARGEST_MARGIN:g}, or null")

    def tidy(self, clip: MotionClip, character: Character, surface: BodyPoints) -> MotionClip:
        """Return a clip without hesitation, on the terrain near it, with the bounds of its heights computed for that.

        A clip that would have fewer than two frames without its hesitation, such as one that only stands, keeps all of them.
        Frames before refinement go with what became of them. Positions and path nodes stay where they are in the world, and the
        terrain below them too.

        Args:
            clip: the motion.
            character: whose motion it is.
            surface: points all over its surface.
        """
        if self.hesitation is not None:
            clip = self._without_hesitation(clip, character, self.hesitation)
        if self.margin is not None:
            body_pos, body_rot = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
            clip = replace(clip, terrain=_near(clip.terrain, body_pos, surface.placed(body_pos, body_rot), self.margin))
        return replace(clip, height_bounds=preprocess_clip(clip, character, surface).height_bounds)

    def _without_hesitation(self, clip: MotionClip, character: Character, hesitation: Hesitation) -> MotionClip:
        body_pos, _ = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
        kept = ~hesitation.frames_of(body_pos)
        if kept.sum() < LEAST_FRAMES_OF_A_CLIP:
            return clip
        before = clip.unrefined
        shorter = clip.with_frames(clip.frames.each(lambda values: values[kept]))
        return replace(shorter, unrefined=None if before is None else before.each(lambda values: values[kept]))


def _near(
    terrain: Heightfield,
    body_pos: Float[Tensor, "frames bodies 3"],
    points: Float[Tensor, "frames points 3"],
    margin: float,
) -> Heightfield:
    """Return the cells within `margin` metres, along x or y, of the bodies' origins, and those below the surface points."""
    origins, points = body_pos[..., :2].flatten(0, 1), points[..., :2].flatten(0, 1)
    # The margin goes around origins, which have an exact mirror image; surface points have one to a few centimetres.
    low = torch.minimum(origins.amin(0) - margin, points.amin(0))
    high = torch.maximum(origins.amax(0) + margin, points.amax(0))
    return cropped(terrain, low, high)
