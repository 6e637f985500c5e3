"""The paper's sampler, losses and statistics, as the configuration gives them."""

from pathlib import Path

import torch

from golden_arrays import golden_points, read_golden
from parc.anim.character import Character
from parc.anim.motion_library import MotionLibrary
from parc.configuration.composing import pieces_of_option
from parc.configuration.pieces import recipe
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_generator.features import FeatureStatistics
from parc.motion_generator.height_error import NO_HEIGHT_ERROR, HeightError
from parc.motion_generator.heightmap_augmentation import NoAugmentation
from parc.motion_generator.losses import Distance, LossWeights, MotionLosses
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler

_PIECES = pieces_of_option("train", ["sampler=heightfield_contact", "loss=with_terrain"], ["sampler", "loss"])
_SAMPLER = recipe(_PIECES["sampler"], MDMHeightfieldContactMotionSampler, "sampler")
GRID, TARGET, AUGMENTATION = _SAMPLER.heightmap, _SAMPLER.target, _SAMPLER.augmentation
WEIGHTS = recipe(_PIECES["loss"], MotionLosses, "loss").weights


def paper_sampler(
    library: MotionLibrary | None = None,
    *,
    style: RelativeZStyle = RelativeZStyle.RELATIVE_TO_ROOT,
    augmentation=None,
    angle_noise: float = 0.0,
    pos_noise: float = 0.0,
    height_error: HeightError = NO_HEIGHT_ERROR,
    save_folder: str = "prepared",
) -> MDMHeightfieldContactMotionSampler:
    """Return the paper's sampler, over a library if there is one; without augmentation unless one is given."""
    sampler = MDMHeightfieldContactMotionSampler(
        15,
        2,
        30.0,
        style,
        GRID,
        TARGET,
        augmentation or NoAugmentation(),
        angle_noise,
        pos_noise,
        save_folder,
        height_error,
    )
    if library is not None:
        count = library.num_clips
        sampler.use_library(library, [str(n) for n in range(count)], [""] * count, [False] * count)
    return sampler


def golden_statistics(golden_folder: Path) -> FeatureStatistics:
    arrays = read_golden(golden_folder, "stats")
    return FeatureStatistics(arrays["mean"], arrays["std"])


def golden_losses(
    golden_folder: Path, humanoid: Character, distance: Distance, weights: LossWeights = WEIGHTS
) -> MotionLosses:
    """Return the losses with PARC's own collision points."""
    points = golden_points(golden_folder, "minimal")
    return MotionLosses(distance, weights, character=humanoid, collision_points=points, fps=30.0, num_previous=2)


def standing_frames(batch: int, character: Character, frames: int = 15):
    from parc.anim.frames import Frames

    unit = torch.tensor([0.0, 0, 0, 1])
    return Frames(
        torch.zeros(batch, frames, 3),
        unit.repeat(batch, frames, 1),
        unit.repeat(batch, frames, character.num_joints, 1),
        torch.zeros(batch, frames, character.num_bodies),
    )
