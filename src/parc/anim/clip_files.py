"""Reading and writing clip files: our own format, and PARC's pickles for reading."""

import json
import logging
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from parc.anim.character import Character
from parc.anim.making import making_as_text, making_from_text
from parc.anim.motion_clip import UNREFINED, MotionClip, checked_clip
from parc.anim.parc_pickle import read_parc_pickle
from parc.configuration.errors import UserError
from parc.configuration.files import refuse_too_large, write_whole

log = logging.getLogger(__name__)

CLIP_SUFFIXES = (".safetensors", ".pkl")
LARGEST_CLIP = 2**28  # bytes: hours of motion on kilometres of terrain
CLIP_FORMAT = "parc motion clip 1"

_FIELDS = ("root_pos", "root_rot", "joint_rot", "contacts", "hf", "min_point")
_UNREFINED_FIELDS = tuple(f"{UNREFINED}{name}" for name in ("root_pos", "root_rot", "joint_rot", "contacts"))
_OPTIONAL_FIELDS = ("hf_maxmin", "path_nodes", *_UNREFINED_FIELDS)
_NUMBERS = ("fps", "dx")


def read_clip(path: Path, character: Character) -> MotionClip:
    """Read a clip file, ours (`.safetensors`) or PARC's (`.pkl`). No code from the file is ever run.

    Raises:
        UserError: the file is missing, broken, or not a clip of `character`; names the file, the field and what was expected.
    """
    if path.suffix not in CLIP_SUFFIXES:
        raise UserError(f"{path}: not a clip file; expected {' or '.join(CLIP_SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: there is no such clip file")
    try:
        refuse_too_large(path, LARGEST_CLIP)
        fields = _read_ours(path) if path.suffix == ".safetensors" else read_parc_pickle(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    return checked_clip(path, character, name=path.stem, **fields)


def write_clip(path: Path, clip: MotionClip) -> None:
    """Write a clip in our own format: a safetensors file, so that reading it runs no code. The same clip gives the same bytes.

    Raises:
        UserError: the path does not end in `.safetensors` or cannot be written.
    """
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: clips are written as .safetensors files; give a name that ends so")
    tensors = {
        **vars(clip.frames),
        "hf": clip.terrain.heights,
        "min_point": clip.terrain.min_point,
    }
    if clip.height_bounds is not None:
        tensors["hf_maxmin"] = clip.height_bounds
    if clip.path_nodes is not None:
        tensors["path_nodes"] = clip.path_nodes
    if clip.unrefined is not None:
        tensors |= {f"{UNREFINED}{name}": values for name, values in vars(clip.unrefined).items()}
    metadata = {
        "format": CLIP_FORMAT,
        "fps": repr(clip.fps),
        "dx": repr(clip.terrain.cell_size),
        "loop_mode": clip.loop_mode.value,
    }
    if clip.made is not None:
        metadata["made"] = making_as_text(clip.made)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = _with_sorted_metadata(safetensors.torch.save(tensors, metadata))
    write_whole(path, lambda part: part.write_bytes(content))


def _with_sorted_metadata(content: bytes) -> bytes:
    """Return the content of a safetensors file with its metadata in order.

    The library writes them in any order, and a file that is made again, bit for bit, must have the digest that it had.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _read_ours(path: Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != CLIP_FORMAT:
                raise UserError(f"{path}: format is {metadata.get('format')!r}, expected a clip ('{CLIP_FORMAT}')")
            present = set(file.keys())
            missing = [name for name in _FIELDS if name not in present]
            missing += [name for name in (*_NUMBERS, "loop_mode") if name not in metadata]
            if missing:
                raise UserError(f"{path}: {missing[0]} is missing, expected every clip to have it")
            tensors = {name: file.get_tensor(name) for name in (*_FIELDS, *_OPTIONAL_FIELDS) if name in present}
    except safetensors.SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); make it again or leave it out") from error
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise UserError(f"{path}: {name} holds {tensor.dtype}, expected floating-point numbers")
    numbers = {name: _number(path, name, metadata[name]) for name in _NUMBERS}
    made = making_from_text(path, metadata["made"]) if "made" in metadata else None
    return {**_clip_fields(tensors, numbers["fps"], numbers["dx"], metadata["loop_mode"]), "made": made}


def _number(path: Path, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{path}: {name} is {text!r}, expected a number") from error


def _clip_fields(tensors: dict[str, Tensor], fps: float, cell_size: float, loop_mode: str) -> dict[str, Any]:
    unrefined = {name.removeprefix(UNREFINED): tensors[name] for name in _UNREFINED_FIELDS if name in tensors}
    return {
        "root_pos": tensors["root_pos"],
        "root_rot": tensors["root_rot"],
        "joint_rot": tensors["joint_rot"],
        "contacts": tensors["contacts"],
        "fps": fps,
        "loop_mode": loop_mode,
        "heights": tensors["hf"],
        "min_point": tensors["min_point"],
        "cell_size": cell_size,
        "height_bounds": tensors.get("hf_maxmin"),
        "path_nodes": tensors.get("path_nodes"),
        "unrefined": unrefined or None,
    }
