"""What a run has generated so far, kept in its folder: of each group of motions, how many were accepted and how good they are."""

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from parc.configuration.files import read_record, write_text_whole

GENERATED_FILE = "generated.json"


@dataclass(frozen=True)
class GeneratedGroup:
    """What is known of a group of motions.

    Attributes:
        seconds: of each chosen motion after tidying, by its number.
        candidates: how many were rolled out; those of a path for which no terrain was found count as refused for that.
        refused: how many of them were refused, by reason.
        given_up: numbers of the motions for which no candidate was found.
        before: means over the chosen motions of what was measured before refinement, by name.
        after: likewise after it.
    """

    seconds: dict[int, float]
    candidates: int
    refused: dict[str, int]
    given_up: list[int]
    before: dict[str, float]
    after: dict[str, float]

    @property
    def motions(self) -> int:
        """How many were chosen."""
        return len(self.seconds)

    @property
    def accepted(self) -> int:
        """How many candidates were not refused, whether they were chosen or others were better."""
        return self.candidates - sum(self.refused.values())


@dataclass(frozen=True)
class Generated:
    """What a run has generated so far.

    Attributes:
        model: the checkpoint that generated it.
        model_digest: SHA-256 of that file.
        groups: what is known of each group that is done, by its number.
    """

    model: str
    model_digest: str
    groups: dict[int, GeneratedGroup] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write this into a run's folder.

        Raises:
            UserError: it cannot be written.
        """
        write_text_whole(folder / GENERATED_FILE, json.dumps(asdict(self), indent=1) + "\n")

    @property
    def candidates(self) -> int:
        """How many were rolled out."""
        return sum(group.candidates for group in self.groups.values())

    @property
    def share_accepted(self) -> float:
        """Share of the candidates that were not refused."""
        return sum(group.accepted for group in self.groups.values()) / max(1, self.candidates)

    @property
    def refused(self) -> dict[str, int]:
        """How many candidates were refused for each reason, the commonest first."""
        counts = Counter[str]()
        for group in self.groups.values():
            counts.update(group.refused)
        return {reason: count for reason, count in counts.most_common() if count}

    @property
    def before(self) -> dict[str, float]:
        """Means over all motions of what was measured before refinement, by name."""
        return self._mean([(group.before, group.motions) for group in self.groups.values()])

    @property
    def after(self) -> dict[str, float]:
        """Likewise after it."""
        return self._mean([(group.after, group.motions) for group in self.groups.values()])

    @staticmethod
    def _mean(weighted: list[tuple[dict[str, float], int]]) -> dict[str, float]:
        names = dict.fromkeys(name for figures, _ in weighted for name in figures)
        means = {}
        for name in names:
            known = [(figures[name], motions) for figures, motions in weighted if name in figures]
            means[name] = math.fsum(figure * motions for figure, motions in known) / sum(
                motions for _, motions in known
            )
        return means


_GENERATED = TypeAdapter(Generated)


def read_generated(folder: Path) -> Generated | None:
    """Read what a run has generated so far; None where it has generated nothing.

    Raises:
        UserError: the file is broken.
    """
    remedy = "delete it and give the same command again, which makes the motions again"
    return read_record(folder / GENERATED_FILE, _GENERATED.validate_json, remedy)
