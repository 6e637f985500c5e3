"""Golden arrays as tensors, the golden clips, and how rotations are compared."""

from pathlib import Path

import numpy as np
import torch

from parc.anim.character import Character
from parc.anim.clip_files import read_clip
from parc.anim.motion_library import MotionLibrary, library_of
from parc.anim.preprocessing import PreprocessedClip, preprocess_clip
from parc.anim.surface_points import BodyPoints

ALL_CLIPS = [
    "civilization",
    "TEASER_TERRAIN",
    "dec2024_teaser_717_1_modified_opt",
    "dec2024_teaser_717_1_opt_dm",
    "sfu",
]
TRAINING_CLIPS = ALL_CLIPS[:4]


def read_golden(folder: Path, name: str) -> dict:
    """Return the arrays of a file by name: numbers as tensors, text as lists or strings."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return {
            key: torch.from_numpy(arrays[key].copy()) if arrays[key].dtype.kind in "fiub" else arrays[key].tolist()
            for key in arrays.files
        }


def golden_points(folder: Path, kind: str) -> BodyPoints:
    """Return PARC's own `surface` or `minimal` points, with which its masks and collision values were made."""
    arrays = read_golden(folder, "fk")
    points, counts = arrays[f"{kind}_points"], arrays[f"{kind}_offsets"].diff()
    return BodyPoints(points, torch.arange(len(counts)).repeat_interleave(counts))


def golden_clip(clips_folder: Path, golden_folder: Path, character: Character, name: str) -> PreprocessedClip:
    clip = read_clip(clips_folder / f"{name}.pkl", character)
    return preprocess_clip(clip, character, golden_points(golden_folder, "surface"))


def golden_library(clips_folder: Path, golden_folder: Path, character: Character) -> MotionLibrary:
    """Return the four training clips, preprocessed with PARC's own points."""
    clips = [golden_clip(clips_folder, golden_folder, character, name) for name in TRAINING_CLIPS]
    return library_of(clips, [1.0] * len(clips))


def rotation_distance(ours: torch.Tensor, golden: torch.Tensor) -> torch.Tensor:
    """Return how far quaternions are apart, up to their sign; for small ones half the angle between them, radians."""
    return torch.minimum((ours - golden).norm(dim=-1), (ours + golden).norm(dim=-1))
