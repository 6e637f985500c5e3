"""Reading PARC's pickled clips without running anything in them.

A pickle is a program. This reader lets it do nothing but build plain containers and inert records: the names that numpy's
arrays need stand for stand-ins of ours, and every other name is refused.
"""

import io
import logging
import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parc.configuration.errors import UserError

log = logging.getLogger(__name__)

_MOTION_ARRAYS = {"root_pos": "root_pos", "root_rot": "root_rot", "joint_rot": "joint_rot", "body_contacts": "contacts"}
_TERRAIN_ARRAYS = {"hf": "heights", "min_point": "min_point"}
_MEMO_OPCODES = ("PUT", "BINPUT", "LONG_BINPUT")


class _Refused(Exception):
    """A pickle names something that is not on the allow-list."""


def read_parc_pickle(path: Path) -> dict[str, Any]:
    """Read the fields of a clip (named as `checked_clip` takes them) from one of PARC's `.pkl` files.

    The file is a pickled dict `motion_data`, `terrain_data`, `misc_data`, each None or bytes that are a pickle again.
    `misc_data` that cannot be read so is skipped with one line in the log: training computes what it needs.

    Raises:
        UserError: the file is no such pickle, lacks a field, or names anything outside the allow-list.
        OSError: the file cannot be read.
    """
    outer = _unpickle_part(path, "file", path.read_bytes())
    motion = _unpickle_part(path, "motion_data", outer.get("motion_data"))
    terrain = _unpickle_part(path, "terrain_data", outer.get("terrain_data"))
    fields: dict[str, Any] = {}
    for part, data, arrays in (("motion_data", motion, _MOTION_ARRAYS), ("terrain_data", terrain, _TERRAIN_ARRAYS)):
        for key, field in arrays.items():
            fields[field] = _array(path, f"{part}.{key}", data.get(key))
    fields["fps"] = _number(path, "motion_data.fps", motion.get("fps"))
    fields["cell_size"] = _number(path, "terrain_data.dx", terrain.get("dx"))
    fields["loop_mode"] = motion.get("loop_mode")
    if not isinstance(fields["loop_mode"], str):
        raise UserError(f"{path}: motion_data.loop_mode is missing or not text, expected 'CLAMP' or 'WRAP'")
    if terrain.get("hf_maxmin") is not None:
        fields["height_bounds"] = _array(path, "terrain_data.hf_maxmin", terrain["hf_maxmin"])
    nodes = _read_path_nodes(path, outer.get("misc_data"))
    if nodes is not None:
        fields["path_nodes"] = nodes
    return fields


def _read_path_nodes(path: Path, misc_data: Any) -> Tensor | None:
    if misc_data is None:
        return None
    try:
        nodes = _unpickle(misc_data).get("path_nodes")
        return None if nodes is None else _array(path, "misc_data.path_nodes", nodes)
    except (_Refused, UserError, *_BROKEN_PICKLE) as error:
        reason = _reason(error).removeprefix(f"{path}: ")
        log.info("%s: misc_data is skipped (%s); what is needed of it is computed again", path, reason)
        return None


def _unpickle_part(path: Path, part: str, data: object) -> dict[Any, Any]:
    if not isinstance(data, bytes):
        raise UserError(f"{path}: {part} is missing, expected the pickled motion_data and terrain_data of a clip")
    try:
        content = _unpickle(data)
    except _Refused as refused:
        raise UserError(
            f"{path}: {part} {refused}, which could run code, and is refused; expected only numpy arrays, numbers "
            "and text. Convert it where it was made, or leave it out"
        ) from refused
    except _BROKEN_PICKLE as error:
        raise _broken(path, part, error) from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: {part} holds a {type(content).__name__}, expected a dict")
    return content


def _broken(path: Path, part: str, error: BaseException) -> UserError:
    return UserError(
        f"{path}: {part} is not a whole pickle ({_reason(error)}); expected a clip of PARC's, make it again or leave it out"
    )


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


# Everything that the pickle machine raises on broken input; UnicodeDecodeError is a ValueError.
_BROKEN_PICKLE = (
    pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    MemoryError, RecursionError, SyntaxError,
)  # fmt: skip


def _unpickle(data: bytes) -> Any:
    # Reading the opcodes first costs little and refuses lengths beyond the data, before anything is allocated for them.
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _MEMO_OPCODES and isinstance(argument, int) and argument > len(data):
            raise pickle.UnpicklingError(f"memo index {argument} in {len(data)} bytes")
    return _AllowListUnpickler(io.BytesIO(data)).load()


class _AllowListUnpickler(pickle.Unpickler):
    """An unpickler that knows numpy's array, dtype and scalar by inert stand-ins, and nothing else."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self._allowed = _stand_ins()

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise _Refused(f"names '{module}.{name}'") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("names an object outside the file")


class _ArrayRecord:
    """Base of the stand-in for a numpy array: holds the array once its state has come."""

    array: np.ndarray | None = None


def _stand_ins() -> dict[tuple[str, str], Callable[..., Any]]:
    """Return the allow-list. Made anew for each pickle, because a pickle may set attributes on what it is given."""

    class Dtype:
        def __init__(self, code: str, *_: Any) -> None:
            self.dtype = np.dtype(code) if isinstance(code, str) and len(code) <= 8 else None
            if self.dtype is None or self.dtype.kind not in "biuf":
                raise TypeError(f"arrays of {str(code)[:20]!r}, expected numbers")

        def __setstate__(self, state: Any) -> None:
            if self.dtype is not None and state[1] in ("<", ">"):
                self.dtype = self.dtype.newbyteorder(state[1])

    class Array(_ArrayRecord):
        def __setstate__(self, state: Any) -> None:
            _, shape, dtype, fortran, data = state
            if not isinstance(data, bytes) or dtype.dtype.itemsize * math.prod(shape) != len(data):
                raise ValueError("an array's bytes do not fit its shape")
            self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if fortran else "C")

    def reconstruct(*_: Any) -> Array:
        return Array()

    def frombuffer(data: Any, dtype: Dtype, shape: Any, order: str) -> Array:
        array = Array()  # how pickle protocol 5 spells arrays
        array.__setstate__((1, shape, dtype, order == "F", memoryview(data).tobytes()))
        return array

    def scalar(dtype: Dtype, data: bytes) -> float | int:
        return np.frombuffer(data, dtype.dtype, count=1)[0].item()

    def encode(text: str, _: str) -> bytes:
        return text.encode("latin-1")  # how older protocols spell bytes

    allowed: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): Dtype,
        ("_codecs", "encode"): encode,
    }
    for core in ("numpy.core", "numpy._core"):
        allowed[f"{core}.multiarray", "_reconstruct"] = reconstruct
        allowed[f"{core}.multiarray", "scalar"] = scalar
        allowed[f"{core}.numeric", "_frombuffer"] = frombuffer
    return allowed


def _array(path: Path, field: str, value: object) -> Tensor:
    array = value.array if isinstance(value, _ArrayRecord) else None
    if array is None:
        raise UserError(f"{path}: {field} is missing or no numpy array, expected one")
    return torch.from_numpy(array.astype(np.float32))


def _number(path: Path, field: str, value: object) -> float:
    if isinstance(value, _ArrayRecord) and value.array is not None and value.array.size == 1:
        value = value.array.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e30:
        raise UserError(f"{path}: {field} is missing or no number, expected one")
    return float(value)
