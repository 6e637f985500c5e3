"""What evaluations found, to be drawn."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from parc.configuration.errors import UserError
from parc.configuration.files import read_record
from parc.stages.run_folder import SWEEP_FILE

EVALUATION_FILE = "evaluation.json"


@dataclass(frozen=True)
class Mean:
    """A mean with its interval, where it has one."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Heading:
    """What a metric is called, and its unit."""

    label: str
    unit: str


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        name: for legends.
        is_model: whether it is of a model.
        guidance_scale: of its motions, where they are a model's.
        kinds: means by the names of kinds and of metrics.
        all: those of all kinds together.
        reference: those of the clips that it is compared with, where there are some.
        metrics: headings by the names of metrics.
    """

    name: str
    is_model: bool
    guidance_scale: float | None
    kinds: dict[str, dict[str, Mean]]
    all: dict[str, Mean]
    reference: dict[str, Mean] | None
    metrics: dict[str, Heading]


_EVALUATION = TypeAdapter(Evaluation)


def as_evaluation(content: dict[str, Any], name: str) -> Evaluation:
    """Return an evaluation as its file tells it, under another name.

    Raises:
        ValueError: something is missing in it.
    """
    return _EVALUATION.validate_python({**content, "name": name})


def read_evaluation(folder: Path, name: str | None = None) -> Evaluation:
    """Read what an evaluation found.

    Args:
        folder: its own.
        name: for legends; None for that of what was evaluated.

    Raises:
        UserError: the file is missing or broken.
    """
    path = folder / EVALUATION_FILE
    evaluation = read_record(path, _EVALUATION.validate_json, "evaluate again")
    if evaluation is None:
        raise UserError(f"{path}: there is no such file; expected the folder of an evaluation that is finished")
    return replace(evaluation, name=name or evaluation.name)


def evaluations_in(folder: Path) -> list[tuple[Path, str]]:
    """Return the folders of the finished evaluations of a sweep, with what tells each from the others; none elsewhere."""
    try:
        jobs = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
        named = [(Path(job["folder"]), _as_name(job["overrides"])) for job in jobs]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    # A sweep may have moved along with the folder that it lies in.
    here = [(path if path.is_dir() else folder / path.name, name) for path, name in named]
    return [(path, name) for path, name in here if (path / EVALUATION_FILE).is_file()]


def _as_name(overrides: list[str]) -> str:
    """Return what a job is told by: keys without what they lie in, and paths without the folders that they lie in."""
    parts = []
    for override in overrides:
        key, _, value = override.partition("=")
        name = "/".join(Path(value.strip("'")).parts[-2:])
        parts.append(name if key == "of" else f"{key.rpartition('.')[2]}={value}")
    return ", ".join(parts)
