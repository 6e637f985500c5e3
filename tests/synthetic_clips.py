"""Small clips made of random numbers, for tests that need a clip and do not care which."""

from dataclasses import replace
from typing import Any

import roma
import torch

from parc.anim.character import Character
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import surface_points
from parc.terrain.heightfield import Heightfield


def random_rotations(generator: torch.Generator, *shape: int) -> torch.Tensor:
    quaternions = torch.randn(*shape, 4, generator=generator)
    return quaternions / quaternions.norm(dim=-1, keepdim=True)


def random_clip(
    character: Character,
    seed: int = 0,
    *,
    name: str = "clip",
    frames: int = 40,
    fps: float = 30.0,
    loop_mode: LoopMode = LoopMode.CLAMP,
    cells: tuple[int, int] = (20, 24),
    cell_size: float = 0.4,
) -> MotionClip:
    """Return a clip that walks and turns smoothly over a terrain of random heights, its limbs moving at random."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(frames, 3, generator=generator) * torch.tensor([0.02, 0.02, 0.005]) + torch.tensor([0.03, 0, 0])
    turns = torch.randn(frames, 3, generator=generator) * 0.02 + torch.tensor([0, 0, 0.03])
    swings = (torch.randn(frames, character.num_joints, 3, generator=generator) * 0.03).cumsum(0)
    # The root begins in the middle of the map.
    start = torch.tensor([0.5 * cells[0] * cell_size, 0.5 * cells[1] * cell_size, 0.9])
    joint_rot = character.rotations_from_dofs(character.dofs_from_rotations(roma.rotvec_to_unitquat(swings)))
    return MotionClip(
        name=name,
        root_pos=start + steps.cumsum(0),
        root_rot=roma.rotvec_to_unitquat(turns.cumsum(0)),
        joint_rot=joint_rot,
        contacts=torch.rand(frames, character.num_bodies, generator=generator),
        fps=fps,
        loop_mode=loop_mode,
        terrain=Heightfield(torch.rand(cells, generator=generator) * 2 - 1, torch.zeros(2), cell_size),
    )


def level_clip(character: Character, seed: int = 0, *, cells: tuple[int, int], **changes: Any) -> MotionClip:
    """Return a `random_clip` over level ground; changes are of its name, or of what a clip has beside motion and terrain."""
    clip = random_clip(character, seed, cells=cells)
    level = replace(clip.terrain, heights=torch.zeros(cells))
    return replace(clip, terrain=level, **changes)


def preprocessed(character: Character, clips: list[MotionClip]) -> list:
    surface = surface_points(character)
    return [preprocess_clip(clip, character, surface) for clip in clips]
