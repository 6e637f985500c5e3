"""What training needs to know of a clip beyond its frames: the cells it touches, and how far each cell may be changed."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import BodyPoints
from parc.terrain.touched_cells import TouchedCells, find_touched_cells, height_bounds


@dataclass(frozen=True)
class PreprocessedClip:
    """A clip with the cells below its body at each frame, and the bounds of augmentation of each cell (see terrain)."""

    clip: MotionClip
    touched: TouchedCells
    height_bounds: Float[Tensor, "X Y 2"]


def preprocess_clip(clip: MotionClip, character: Character, surface: BodyPoints) -> PreprocessedClip:
    """Find the terrain cells below any of the character's surface points, frame by frame, and the bounds of every cell."""
    points = surface.placed(*character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot))
    return PreprocessedClip(
        clip, find_touched_cells(points, clip.terrain), height_bounds(points, clip.root_pos, clip.terrain)
    )
