"""What a folder of converted motions keeps of how it was made: the same command goes on where it stopped."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from parc.configuration.errors import UserError
from parc.configuration.files import unwritable

RECORD = "conversion.jsonl"


@dataclass(frozen=True)
class MadeClip:
    """A clip that was written.

    Attributes:
        files: relative to the destination, the main one last.
        motion_class: of the clip; empty where it has none.
        seconds: how long it is.
        measures: see `ImportedClip`.
    """

    files: list[str]
    motion_class: str
    seconds: float
    measures: dict[str, float]


@dataclass(frozen=True)
class Conversion:
    """What became of a source.

    Attributes:
        source: its name.
        stamp: size and time of change (ns) of its file.
        clips: made of it.
    """

    source: str
    stamp: list[int]
    clips: list[MadeClip]

    @property
    def files(self) -> list[str]:
        """All files that were made of the source."""
        return [file for clip in self.clips for file in clip.files]


_CONVERSION = TypeAdapter(Conversion)


def stamp_of(file: Path) -> list[int]:
    """Return size and time of change (ns) of a file or folder: another one is converted again."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


@dataclass
class ConversionRecord:
    """The conversions of a folder, one line each; what a killed process left half a line of counts as not there.

    Attributes:
        folder: the destination.
        conversions: by the names of their sources.
        makers: the source of each file that was made.
    """

    folder: Path
    conversions: dict[str, Conversion] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)
    _stream: IO[str] | None = None

    @classmethod
    def opened(cls, folder: Path, to: str) -> "ConversionRecord":
        """Open the record of a destination, which is begun where there is none.

        Args:
            folder: the destination.
            to: the format that is written.

        Raises:
            UserError: the folder holds a conversion to another format, or cannot be written.
        """
        record = cls(folder)
        path = folder / RECORD
        header = {"made by": "parc convert", "to": to}
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
            begun = _parsed(lines[0]) if lines else None
            if begun is not None and begun != header:
                found = begun.get("to") if isinstance(begun, dict) else None
                raise UserError(
                    f"{path}: the folder holds a conversion to {found}, not to {to}; choose another folder for this one"
                )
            for line in lines[1:]:
                record._keep(_parsed(line))
            record._stream = path.open("a", encoding="utf-8")
            if begun is None:
                record._stream.truncate(0)
                record._write(header)
            elif lines[-1]:
                record._stream.write("\n")  # ends what was cut short
        except OSError as error:
            raise unwritable(path, error) from error
        return record

    def __enter__(self) -> "ConversionRecord":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def is_done(self, source: str, file: Path) -> bool:
        """Say whether a source has been converted as it is now, and all that was made of it is there."""
        conversion = self.conversions.get(source)
        return (
            conversion is not None
            and conversion.stamp == stamp_of(file)
            and all((self.folder / made).is_file() for made in conversion.files)
        )

    def clips_of(self, source: str) -> list[MadeClip]:
        """Return what was made of a source; nothing where it was never converted."""
        conversion = self.conversions.get(source)
        return [] if conversion is None else conversion.clips

    def add(self, conversion: Conversion) -> None:
        """Add a conversion, before its files are moved into place: a file that is not in the record is somebody else's.

        Raises:
            UserError: the record cannot be written.
        """
        self._keep(asdict(conversion))
        self._write(asdict(conversion))

    def _keep(self, content: Any) -> None:
        try:
            conversion = _CONVERSION.validate_python(content)
        except ValidationError:
            return
        self.conversions[conversion.source] = conversion
        self.makers |= dict.fromkeys(conversion.files, conversion.source)

    def _write(self, content: dict[str, Any]) -> None:
        assert self._stream is not None
        try:
            self._stream.write(json.dumps(content) + "\n")
            self._stream.flush()
        except OSError as error:
            raise unwritable(self.folder / RECORD, error) from error


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
