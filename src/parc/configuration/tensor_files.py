"""Tensors with a description in one safetensors file: whole or absent, checked by a digest, and no code in it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from parc.configuration.errors import UserError
from parc.configuration.files import write_whole


def write_tensors(path: Path, file_format: str, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a file whole (see `write_whole`), with the digest of all it holds.

    Args:
        path: the file.
        file_format: name of its format, which `read_tensors` asks for.
        description: plain values.
        tensors: on any device.
    """
    text = json.dumps(description)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": file_format, "description": text, "digest": _digest(tensors, text)}
    write_whole(path, lambda part: safetensors.torch.save_file(tensors, part, metadata))


def read_tensors(path: Path, file_format: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read description and tensors, and check them against their digest. No code from the file is run.

    Raises:
        UserError: the file is missing, of another format, or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != file_format:
                raise UserError(f"{path}: format is {metadata.get('format')!r}, expected '{file_format}'")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        if _digest(tensors, metadata["description"]) != metadata["digest"]:
            raise UserError(f"{path}: damaged, its content does not fit its digest")
        return dict(json.loads(metadata["description"])), tensors
    except (
        safetensors.SafetensorError,
        OSError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,  # torch's, for tensors of odd types; RecursionError is one
    ) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: damaged, or no '{file_format}' ({reason})") from error


def _digest(tensors: dict[str, Tensor], description: str) -> str:
    digest = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
