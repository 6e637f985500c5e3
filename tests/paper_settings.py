"""The paper's sampler, losses and statistics, as the configuration gives them."""

from pathlib import Path

import torch

from golden_arrays import golden_points, read_golden
from parc.anim.character import Character
from parc.anim.motion_library import MotionLibrary
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_generator.features import FeatureStatistics
from parc.motion_generator.heightmap_augmentation import MaxpoolAndBoxes, NoAugmentation
from parc.motion_generator.local_heightmap import HeightmapGrid
from parc.motion_generator.losses import Distance, LossWeights, MotionLosses
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    MDMHeightfieldContactMotionSampler,
    TargetSettings,
)

GRID = HeightmapGrid(-2.0, 4.0, -3.0, 3.0, 0.2)
TARGET = TargetSettings(min_seconds_ahead=0.4, max_extra_seconds=1.1, noise=0.05, near=0.1, turning=0.5)
AUGMENTATION = MaxpoolAndBoxes(
    flat_chance=0.1,
    pool_chance=0.15,
    max_pool_half_width=10,
    max_boxes=4,
    min_box_length=2.0,
    max_box_length=12.0,
    max_height=3.0,
)
WEIGHTS = LossWeights(
    root_position=1.0,
    root_rotation=1.0,
    joint_rotation=0.5,
    contacts=1.0,
    joint_position=0.5,
    kinematic_consistency=1.0,
    root_velocity=0.5,
    root_angular_velocity=0.02,
    joint_angular_velocity=0.01,
    body_position=0.5,
    body_rotation=0.1,
    body_velocity=0.03,
    target=0.02,
    terrain_collision=15.0,
)


def paper_sampler(
    library: MotionLibrary | None = None,
    *,
    style: RelativeZStyle = RelativeZStyle.RELATIVE_TO_ROOT,
    augmentation=None,
    angle_noise: float = 0.0,
    pos_noise: float = 0.0,
    save_folder: str = "prepared",
) -> MDMHeightfieldContactMotionSampler:
    """Return the paper's sampler, over a library if there is one; without augmentation unless one is given."""
    sampler = MDMHeightfieldContactMotionSampler(
        15, 2, 30.0, style, GRID, TARGET, augmentation or NoAugmentation(), angle_noise, pos_noise, save_folder
    )
    if library is not None:
        count = library.num_clips
        sampler.use_library(library, [str(n) for n in range(count)], [""] * count, [False] * count)
    return sampler


def golden_statistics(golden_folder: Path) -> FeatureStatistics:
    arrays = read_golden(golden_folder, "stats")
    return FeatureStatistics(arrays["mean"], arrays["std"])


def golden_losses(golden_folder: Path, humanoid: Character, distance: Distance) -> MotionLosses:
    """Return the losses with PARC's own collision points."""
    points = golden_points(golden_folder, "minimal")
    return MotionLosses(distance, WEIGHTS, character=humanoid, collision_points=points, fps=30.0, num_previous=2)


def standing_frames(batch: int, character: Character, frames: int = 15):
    from parc.anim.motion_library import Frames

    unit = torch.tensor([0.0, 0, 0, 1])
    return Frames(
        torch.zeros(batch, frames, 3),
        unit.repeat(batch, frames, 1),
        unit.repeat(batch, frames, character.num_joints, 1),
        torch.zeros(batch, frames, character.num_bodies),
    )
