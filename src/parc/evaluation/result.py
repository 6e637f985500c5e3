"""The result of an evaluation: `evaluation.json` in its folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from parc.configuration.files import read_record, write_text_whole
from parc.evaluation.metrics import METRICS
from parc.evaluation.summary import Figure
from parc.pictures.evaluations import EVALUATION_FILE as RESULT_FILE

PICTURE, SWEEP_PICTURE = "evaluation.png", "evaluations.png"  # in the folder of an evaluation, and of a sweep


@dataclass(frozen=True)
class Speed:
    """How fast motions were rolled out: the one thing here that another run of the same command finds otherwise.

    Attributes:
        motion_seconds: of all motions together.
        rollout_seconds: of wall clock that this took.
        motion_seconds_a_second: the one over the other.
    """

    motion_seconds: float
    rollout_seconds: float
    motion_seconds_a_second: float


@dataclass(frozen=True)
class Result:
    """What an evaluation found.

    Attributes:
        name: of what was evaluated.
        of: the checkpoint, or the clips.
        digest: SHA-256 of it.
        is_model: whether it is a model.
        guidance_scale: with which its motions were made; None for clips.
        preset: its name.
        seed: of all randomness.
        paths: how many there are (or clips).
        kinds: the figures of each kind of terrain (or class of clips), by the names of metrics.
        all: those of all of them together.
        reference: those of the clips that a model is compared with; None where there are none.
        reference_clips: how many clips these are.
        speed: None for clips.
    """

    name: str
    of: str
    digest: str
    is_model: bool
    guidance_scale: float | None
    preset: str
    seed: int
    paths: int
    kinds: dict[str, dict[str, Figure]]
    all: dict[str, Figure]
    reference: dict[str, Figure] | None
    reference_clips: int
    speed: Speed | None

    @property
    def content(self) -> dict[str, Any]:
        """What the file holds: all this, with the labels and units of the metrics."""
        return {**asdict(self), "metrics": {name: asdict(metric) for name, metric in METRICS.items()}}

    @property
    def flat(self) -> dict[str, float]:
        """Every mean and end of an interval by a name with slashes, as Weights & Biases groups them."""
        named = {**self.kinds, "all": self.all, **({"reference": self.reference} if self.reference else {})}
        values = {
            f"evaluation/{kind}/{metric}{end}": value
            for kind, figures in named.items()
            for metric, figure in figures.items()
            for end, value in (("", figure.mean), ("_low", figure.low), ("_high", figure.high))
            if value is not None
        }
        speed = {"evaluation/motion_seconds_a_second": self.speed.motion_seconds_a_second} if self.speed else {}
        return values | speed

    def write(self, folder: Path) -> None:
        """Write this into an evaluation's folder.

        Raises:
            UserError: it cannot be written.
        """
        write_text_whole(folder / RESULT_FILE, json.dumps(self.content, indent=1) + "\n")


_RESULT = TypeAdapter(Result)


def read_result(folder: Path) -> Result | None:
    """Read the result of an evaluation; None where its folder holds none.

    Raises:
        UserError: the file is broken.
    """
    return read_record(folder / RESULT_FILE, _RESULT.validate_json, "delete it and give the same command again")
