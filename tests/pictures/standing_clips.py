"""A character that stands, or glides, upright over a terrain given cell by cell."""

import torch

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip, checked_clip

SOLES = 0.421546 + 0.40987 + 0.0225 + 0.0275  # metres from the root down to the soles of the shipped humanoid
CELL = 0.4


def standing_clip(
    character: Character, heights: torch.Tensor, start: tuple[float, float], end: tuple[float, float], frames: int = 24
) -> MotionClip:
    """Return a clip whose root goes from `start` to `end` (x, y, metres) with its soles about 2 cm above z = 0."""
    share = torch.linspace(0, 1, frames)[:, None]
    way = torch.lerp(torch.tensor([start]), torch.tensor([end]), share)
    contacts = torch.zeros(frames, character.num_bodies)
    contacts[:, character.body_index("left_foot")] = 1.0
    still = torch.tensor([0.0, 0.0, 0.0, 1.0])
    return checked_clip(
        "test",
        character,
        name="glide",
        root_pos=torch.cat([way, torch.full((frames, 1), SOLES + 0.02)], dim=1),
        root_rot=still.expand(frames, 4).clone(),
        joint_rot=still.expand(frames, character.num_joints, 4).clone(),
        contacts=contacts,
        fps=30.0,
        loop_mode="CLAMP",
        heights=heights,
        min_point=torch.zeros(2),
        cell_size=CELL,
    )
