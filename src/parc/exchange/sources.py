"""What there is to convert: each file, or take of an archive, and how it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parc.anim.character import Character
from parc.exchange.imported_clip import ImportedClip


def can_be_a_name(name: str) -> bool:
    """Say whether a file or folder inside another one can be called so; hidden ones are a conversion's own."""
    return bool(name) and Path(name).name == name and not name.startswith(".")


@dataclass(frozen=True)
class Source:
    """One unit of work: it is converted whole, refused whole, and not converted again while its file stays as it is.

    Attributes:
        file: that it is read from.
        part: which take of an archive it is; empty where a file is one motion.
        folder: where what is made of it goes, relative to the destination; a class that its reader finds is a folder below.
        read: reads it, in whichever process; raises `UserError` where it is broken.
        weight: sampling weight that a manifest gives it.
    """

    file: Path
    part: str
    folder: str
    read: Callable[[Character], list[ImportedClip]]
    weight: float | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.file}: {self.part}" if self.part else str(self.file)

    @property
    def identity(self) -> str:
        """What it is known by when a conversion goes on, from wherever it is named."""
        return f"{self.file.resolve()}: {self.part}" if self.part else str(self.file.resolve())

    def stamp(self) -> list[int] | None:
        """Return size and time of change (ns) of its file: another one is converted again. None where it cannot be looked at."""
        try:
            status = self.file.stat()
        except OSError:
            return None
        return [status.st_size, status.st_mtime_ns]
