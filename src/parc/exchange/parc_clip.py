"""PARC's own files of clips and datasets, for writing: `parc.anim.clip_files` and `parc.anim.dataset` read them."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.dataset import ClipEntry, write_manifest
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import surface_points
from parc.terrain.touched_cells import TouchedCells


def write_parc(folder: Path, clip: MotionClip, character: CharacterFile) -> list[Path]:
    """Write a clip as PARC's pickle, with the cells that its frames touch; bounds of heights are computed where it has none.

    What the file holds is plain: numpy arrays, numbers and text. How the motion was made, and what it was before its
    refinement, have no place there.

    Args:
        folder: where it goes, under the clip's name.
        clip: the motion on its terrain.
        character: whose motion it is.
    """
    read = character.read()
    preprocessed = preprocess_clip(clip, read, surface_points(read))
    bounds = preprocessed.height_bounds if clip.height_bounds is None else clip.height_bounds
    parts = {
        "motion_data": {
            "root_pos": _array(clip.root_pos),
            "root_rot": _array(clip.root_rot),
            "joint_rot": _array(clip.joint_rot),
            "body_contacts": _array(clip.contacts),
            # Clips of PARC's have whole numbers here.
            "fps": int(clip.fps) if clip.fps.is_integer() else clip.fps,
            "loop_mode": clip.loop_mode.value,
        },
        "terrain_data": {
            "hf": _array(clip.terrain.heights),
            "hf_maxmin": _array(bounds),
            "min_point": _array(clip.terrain.min_point),
            "dx": clip.terrain.cell_size,
        },
        "misc_data": _misc_data(clip, preprocessed.touched),
    }
    path = folder / f"{clip.name}.pkl"
    path.write_bytes(pickle.dumps({name: pickle.dumps(content) for name, content in parts.items()}))
    return [path]


def write_parc_dataset(path: Path, clips: list[ClipEntry]) -> None:
    """Write a dataset as PARC's YAML: `motions: [{file, weight}, ...]`, files relative to it.

    Args:
        path: of the YAML file.
        clips: with their weights (see `clip_weights`); classes have no place there.

    Raises:
        UserError: it cannot be written, or a name is no text.
    """
    write_manifest(path, [replace(clip, motion_class="") for clip in clips])


def _misc_data(clip: MotionClip, touched: TouchedCells) -> dict[str, Any]:
    misc: dict[str, Any] = {"hf_mask_inds": np.split(_array(touched.cells), touched.offsets[1:-1].tolist())}
    if clip.path_nodes is not None:
        misc["path_nodes"] = _array(clip.path_nodes)
    return misc


def _array(values: Float[Tensor, "*shape"] | Int[Tensor, "*shape"]) -> np.ndarray:
    return np.ascontiguousarray(values.detach().cpu().numpy())
