"""What each motion of an evaluation measured, kept in its folder as it goes: a line for each path or clip that is done."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from parc.configuration.errors import UserError
from parc.configuration.files import refuse_lost_folder, unwritable, write_text_whole

MEASURED_FILE = "measured.jsonl"


@dataclass(frozen=True)
class MeasuredPath:
    """What was measured of the motions along a path; a clip counts as a path of one motion.

    Attributes:
        kind: of terrain, or the clip's class.
        number: of the path among those of its kind, or of the clip among all.
        is_reference: whether it is a clip that a model's motions are compared with.
        name: of the clip, or of the path's first motion as it is saved.
        motions: values of `MOTION_METRICS` by name; None where there was nothing to measure.
        values: those of `PATH_METRICS`, likewise.
        rollout_seconds: of wall clock that its motions took to be rolled out, its share of its group; 0 for clips.
    """

    kind: str
    number: int
    is_reference: bool
    name: str
    motions: list[dict[str, float | None]]
    values: dict[str, float | None]
    rollout_seconds: float

    @property
    def key(self) -> tuple[bool, str, int]:
        """What tells it from all others of an evaluation."""
        return self.is_reference, self.kind, self.number


_PATH = TypeAdapter(MeasuredPath)


class MeasuredPaths:
    """The paths that an evaluation has measured so far.

    Args:
        folder: of the evaluation. Whatever a process that was killed left of its last line is taken out.
        digest: of what is evaluated; the first line of the file holds it.

    Raises:
        UserError: something else was evaluated there, or the file cannot be written.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self.path = folder / MEASURED_FILE
        self.by_key: dict[tuple[bool, str, int], MeasuredPath] = {}
        known, lines = read_lines(self.path)
        if known not in (None, digest):
            raise UserError(
                f"{folder}: something else was evaluated here (SHA-256 {known[:12]}, it is now {digest[:12]}): the model was "
                "trained on, or the clips have changed; give overwrite=true, or output_dir= for a new evaluation"
            )
        self.by_key |= {path.key: path for path in lines}
        text = json.dumps({"digest": digest}) + "\n" + "".join(map(_as_line, self.by_key.values()))
        write_text_whole(self.path, text)

    def add(self, paths: Iterable[MeasuredPath]) -> None:
        """Append paths that were measured together.

        Raises:
            UserError: they cannot be written.
        """
        paths = list(paths)
        refuse_lost_folder(self.path)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(map(_as_line, paths)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.by_key |= {path.key: path for path in paths}

    def of(self, *, is_reference: bool) -> list[MeasuredPath]:
        """Return what was measured of the subject, or of the reference, in an order that does not depend on what came first."""
        return [self.by_key[key] for key in sorted(self.by_key) if key[0] == is_reference]


def read_lines(path: Path) -> tuple[str | None, list[MeasuredPath]]:
    """Return what a file says was evaluated (None where there is no such file, or none that says it), and its whole lines."""
    if not path.is_file():
        return None, []
    first, *others = path.read_bytes().split(b"\n")
    try:
        digest = str(json.loads(first)["digest"])
    except (ValueError, KeyError, TypeError):
        return None, []
    paths = []
    for line in others:
        try:
            paths.append(_PATH.validate_json(line))
        except ValueError:
            continue  # cut short by a kill: it is measured again
    return digest, paths


def known_numbers(values: dict[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON has them: None for what is no number."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _as_line(path: MeasuredPath) -> str:
    return json.dumps(asdict(path)) + "\n"
