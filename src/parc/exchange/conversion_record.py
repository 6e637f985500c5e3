"""What a folder of converted motions keeps of how it was made, so that the same command goes on where it stopped."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from parc.configuration.errors import UserError
from parc.configuration.files import unwritable

RECORD = "conversion.jsonl"
_CLAIM = "claims"  # key of a line that only says which files are about to be written


@dataclass(frozen=True)
class MadeClip:
    """A clip that was written.

    Attributes:
        files: relative to the destination, the main one last.
        motion_class: of the clip; empty where it has none.
        seconds: how long it is.
        weight: sampling weight, where a manifest gave it one.
        measures: see `ImportedClip`.
    """

    files: list[str]
    motion_class: str
    seconds: float
    weight: float | None
    measures: dict[str, float]


@dataclass(frozen=True)
class Conversion:
    """What became of a source.

    Attributes:
        source: its identity.
        stamp: size and time of change (ns) of its file when it was read.
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
_CLAIMED = TypeAdapter(list[str])


@dataclass
class ConversionRecord:
    """The conversions of a folder, a line each; what a killed process left half a line of counts as not there.

    Attributes:
        folder: the destination.
        conversions: by the identities of their sources.
        makers: the source of each file that was made; of lists and pictures the empty text.
    """

    folder: Path
    conversions: dict[str, Conversion] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)
    _stream: IO[str] | None = None

    @classmethod
    def opened(cls, folder: Path, to: str, character: str) -> "ConversionRecord":
        """Open the record of a destination, which is begun where there is none.

        Args:
            folder: the destination.
            to: the format that is written.
            character: digest of the character whose motions they are.

        Raises:
            UserError: the folder holds a conversion to another format or of another character, a file of this name that is no
                record, or cannot be written.
        """
        record = cls(folder)
        path = folder / RECORD
        header = {"made by": "parc convert", "to": to, "character": character}
        try:
            text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            lines = text.split("\n")
            begun = _parsed(lines[0])
            if begun is None and text and not json.dumps(header).startswith(text):
                raise UserError(f"{path}: no record of a conversion; move it away, or choose another folder")
            if isinstance(begun, dict) and begun != header:
                what = f"to {begun.get('to')}, not to {to}" if begun.get("to") != to else "of another character"
                raise UserError(f"{path}: the folder holds a conversion {what}; choose another folder for this one")
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

    def is_done(self, source: str, stamp: list[int] | None) -> bool:
        """Say whether a source of this stamp has been converted, and all that was made of it is there."""
        conversion = self.conversions.get(source)
        return (
            conversion is not None
            and conversion.stamp == stamp
            and all((self.folder / made).is_file() for made in conversion.files)
        )

    def reason_to_refuse(self, file: str, source: str) -> str | None:
        """Return why a file cannot be made of a source: it is another one's, or nobody's that is known here; None if it can."""
        maker = self.makers.get(file)
        if maker is None and (self.folder / file).exists():
            return f"{self.folder / file} is there already, and no conversion's; rename one of them, or choose another folder"
        if maker not in (None, source):
            return (
                f"{self.folder / file} is what {maker} was converted to; rename one of them, or choose another folder"
            )
        return None

    def claim(self, files: list[str], source: str) -> None:
        """Say that files are about to be made of a source: from now on they are this conversion's, and may be written over.

        Raises:
            UserError: the record cannot be written.
        """
        line = {_CLAIM: source, "files": files}
        self._keep(line)
        self._write(line)

    def add(self, conversion: Conversion) -> None:
        """Add a conversion whose files are in place.

        Raises:
            UserError: the record cannot be written.
        """
        self._keep(asdict(conversion))
        self._write(asdict(conversion))

    def _keep(self, content: Any) -> None:
        source = content.get(_CLAIM) if isinstance(content, dict) else None
        try:
            if isinstance(source, str):
                self.makers |= dict.fromkeys(_CLAIMED.validate_python(content.get("files")), source)
                self.conversions.pop(source, None)  # what it was before is being written over
            else:
                conversion = _CONVERSION.validate_python(content)
                self.conversions[conversion.source] = conversion
                self.makers |= dict.fromkeys(conversion.files, conversion.source)
        except ValidationError:
            pass

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
