"""What a run has corrected so far, kept in its folder: what became of each clip, and how well its simulation follows it."""

import json
import statistics
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from parc.configuration.files import read_record, write_text_whole
from parc.physics.correction import Status

CORRECTED_FILE = "corrected.json"


@dataclass(frozen=True)
class CorrectedClip:
    """What is known of a clip that was corrected.

    Attributes:
        digest: SHA-256 of the clip's file.
        motion_class: of it, the folder of what was made of it, where that is data.
        clip_seconds: its length.
        files: that were saved, by their paths in the run's folder.
        status: what became of it.
        is_data: whether it is among the clips of the next iteration.
        reason: where something failed, and why.
        seconds: of what was saved; 0 where nothing was.
        first_frame: of the clip that this begins with.
        assistance: that it was given, a share of the character's weight.
        whole_with: the least assistance with which the whole clip was followed; None where none did.
        steps_simulated: physics steps that it took.
        cpu_seconds: that it took.
        measures: by name; see `parc.physics.measures`.
    """

    digest: str
    motion_class: str
    clip_seconds: float
    files: list[str]
    status: Status
    is_data: bool
    reason: str
    seconds: float
    first_frame: int
    assistance: float
    whole_with: float | None
    steps_simulated: int
    cpu_seconds: float
    measures: dict[str, float]

    @property
    def is_whole(self) -> bool:
        """Whether what is saved is as long as the clip."""
        return abs(self.seconds - self.clip_seconds) < 1e-6


@dataclass(frozen=True)
class Corrected:
    """What a run has corrected so far.

    Attributes:
        clips: what is known of each clip that is done, by its name.
    """

    clips: dict[str, CorrectedClip] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write this into a run's folder.

        Raises:
            UserError: it cannot be written.
        """
        content = {"clips": {name: asdict(self.clips[name]) for name in sorted(self.clips)}}
        write_text_whole(folder / CORRECTED_FILE, json.dumps(content, indent=1) + "\n")

    @property
    def counts(self) -> dict[str, int]:
        """How many clips there are of each status; parts of clips apart."""
        said = Counter(
            clip.status.value if clip.status is not Status.PHYSICAL or clip.is_whole else "physical in part"
            for clip in self.clips.values()
        )
        return {name: said[name] for name in ("physical", "physical in part", "assisted", "failed") if said[name]}

    def share(self, status: Status) -> float:
        """Return the share of the clips of a status."""
        return sum(clip.status is status for clip in self.clips.values()) / max(1, len(self.clips))

    @property
    def seconds(self) -> float:
        """Of the motions together that are data."""
        return sum((clip.seconds for clip in self.clips.values() if clip.is_data), 0.0)

    @property
    def cpu_seconds_a_second(self) -> float:
        """Median of the CPU seconds that a second of motion took; 0 where there is none."""
        taken = [clip.cpu_seconds / clip.clip_seconds for clip in self.clips.values() if clip.cpu_seconds > 0]
        return statistics.median(taken) if taken else 0.0

    @property
    def measures(self) -> dict[str, float]:
        """Means over the motions that are data of what was measured, by name."""
        measured = [clip.measures for clip in self.clips.values() if clip.is_data]
        names = dict.fromkeys(name for measures in measured for name in measures)
        return {name: statistics.fmean(each[name] for each in measured if name in each) for name in names}


_CORRECTED = TypeAdapter(Corrected)


def read_corrected(folder: Path) -> Corrected | None:
    """Read what a run has corrected so far; None where it has corrected nothing.

    Raises:
        UserError: the file is broken.
    """
    remedy = "delete it and give the same command again, which corrects the motions again"
    return read_record(folder / CORRECTED_FILE, _CORRECTED.validate_json, remedy)
