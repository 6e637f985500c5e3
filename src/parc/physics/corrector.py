"""Correctors: what makes physical motions of a folder of clips."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from parc.anim.character import Character
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError, nearest_name
from parc.physics.correction import Correction


@dataclass(frozen=True)
class Task:
    """A clip to be corrected.

    Attributes:
        name: of the clip: no two of a run share one.
        path: its file.
        motion_class: of the clip.
    """

    name: str
    path: Path
    motion_class: str


@dataclass(frozen=True)
class Circumstances:
    """What a run gives to its corrector.

    Attributes:
        character: of all clips.
        seed: of all randomness; what becomes of a clip depends on it and on the clip, and on no other clip.
        threads: of the CPU.
        folder: of the run, for files that are needed meanwhile.
    """

    character: CharacterFile
    seed: int
    threads: int
    folder: Path


@runtime_checkable
class Corrector(Protocol):
    """Makes physical motions of clips."""

    def check_with_character(self, character: CharacterFile) -> None:
        """Check that motions of a character can be corrected.

        Raises:
            UserError: they cannot; names the key.
        """
        ...

    def corrections(self, tasks: Sequence[Task], circumstances: Circumstances) -> Iterator[tuple[Task, Correction]]:
        """Yield what became of each clip, as it is done.

        Raises:
            UserError: nothing more can be corrected; or, at the end, some clips cannot (see `refuse_clips`).
        """
        ...


def refuse_clips(errors: Sequence[UserError], total: int) -> None:
    """Say which clips cannot be corrected, when all others are: a broken one among thousands stops none of them.

    Args:
        errors: of clips, each with its path.
        total: how many clips were to be corrected.

    Raises:
        UserError: there are any; names the first, and says how many others there are.
    """
    if not errors:
        return
    first, *others = sorted(str(error) for error in errors)
    more = f"; of other clips, {len(others)} cannot be corrected either, see the log" if others else ""
    kept = "; all others are done, and kept" if len(errors) < total else ""
    raise UserError(f"{first}{more}{kept}")


def refuse_least_part(share: float) -> None:
    """Check which share of a clip is enough of it.

    Raises:
        UserError: it is none; names the key.
    """
    if not 0 < share <= 1:
        raise UserError(f"corrector.least_part is {share}, expected a share in 0..1")


def refuse_to_stand_on(names: Sequence[str], character: Character) -> None:
    """Check that a character can stand on some bodies.

    Raises:
        UserError: there are none, or it has not all of them; names the key.
    """
    if not names:
        raise UserError("corrector.standing is empty, expected at least one body that stands on the ground")
    refuse_other_bodies("corrector.standing", names, character)


def refuse_other_bodies(key: str, names: Sequence[str], character: Character) -> None:
    """Check that a character has some bodies.

    Raises:
        UserError: it has not, or one is named twice; names the key.
    """
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UserError(f"{key} names '{name}' twice, expected each body once")
        if name not in character.body_names:
            near = nearest_name(name, character.body_names)
            raise UserError(f"{key} names '{name}', which is no body of the character{near}")
