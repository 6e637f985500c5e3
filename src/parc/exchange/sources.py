"""What there is to convert: each file, or take of an archive, and how it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parc.anim.character import Character
from parc.exchange.imported_clip import ImportedClip


@dataclass(frozen=True)
class Source:
    """One unit of work: it is converted whole, refused whole, and not converted again while its file stays as it is.

    Attributes:
        file: that it is read from, or the folder.
        part: which take of an archive it is; empty where a file is one motion.
        folder: where what is made of it goes, relative to the destination; a class that its reader finds is a folder below.
        read: reads it, in whichever process; raises `UserError` where it is broken.
    """

    file: Path
    part: str
    folder: str
    read: Callable[[Character], list[ImportedClip]]

    @property
    def name(self) -> str:
        """What it is called in messages, and known by when a conversion goes on."""
        return f"{self.file}: {self.part}" if self.part else str(self.file)
