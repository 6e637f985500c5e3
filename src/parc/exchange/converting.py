"""Converting many motions: in parallel, each whole or not at all, and none twice."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from filelock import Timeout

from parc.anim.character import Character
from parc.anim.dataset import ClipEntry, weighted
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.configuration.files import locked, unwritable, write_text_whole
from parc.configuration.messages import as_one_line
from parc.exchange.conversion_record import Conversion, ConversionRecord, MadeClip
from parc.exchange.formats import FORMATS
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.sources import Source, can_be_a_name
from parc.stages.worker_processes import results_of

UNFINISHED = ".converting"  # suffix of the folders in which files are written before they are moved into place
LOCK = ".convert.lock"
DATASET = "motions.yaml"  # the list of all clips, for formats that have one
REFUSED = "refused.txt"  # why sources were left out
SHEET = "contact_sheet.png"  # of clips that were fitted


@dataclass
class Outcome:
    """What came of a conversion.

    Attributes:
        made: conversions of this call.
        kept: how many sources had been converted before.
        clips: all that there are now in the destination.
        refused: names of sources that cannot be converted, and why.
    """

    made: list[Conversion] = field(default_factory=list)
    kept: int = 0
    clips: list[MadeClip] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Written:
    """What a process has written of a source, in a folder of its own inside the destination, or why it has not."""

    stamp: list[int] | None
    folder: Path | None
    clips: list[MadeClip]
    refused: str = ""


def convert(
    sources: Sequence[Source],
    refused: Sequence[tuple[str, str]],
    folder: Path,
    to: str,
    character: CharacterFile,
    processes: int,
    progress: Callable[[int], object],
) -> Outcome:
    """Convert sources into a folder; those that have been converted there before, and have not changed, are kept.

    A source that is broken, or whose files would take the place of others, is left out, and said so in the outcome and in
    `refused.txt`. What an earlier version of a source was converted to, and this one is not, is removed.

    Args:
        sources: what to convert.
        refused: names of what was refused before it could be a source, and why.
        folder: the destination. Files in it that an earlier conversion did not make are never written over.
        to: the format to write, one of `FORMATS`.
        character: whose motions they are.
        processes: how many work; one is this process itself.
        progress: called with the number of sources that are done.

    Raises:
        UserError: the character cannot be read, the folder holds something else or cannot be written, another process converts
            into it, or a process was killed.
    """
    _character_of(character.path)  # which tells at once whether it can be read
    digest = hashlib.sha256(character.path.read_bytes()).hexdigest()
    outcome = Outcome()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK, timeout=0.0), ConversionRecord.opened(folder, to, digest) as record:
            _claim_lists(record)
            _remove_unfinished(folder)
            to_do = [source for source in sources if not record.is_done(source.identity, source.stamp())]
            outcome.kept = len(sources) - len(to_do)
            progress(outcome.kept)
            try:
                for source, written in _written(to_do, partial(_write, folder, to, character.path), processes):
                    _take_in(source, written, record, outcome)
                    progress(outcome.kept + len(outcome.made) + len(outcome.refused))
            finally:
                _remove_unfinished(folder)
            clips = [clip for conversion in record.conversions.values() for clip in conversion.clips]
            outcome.clips = sorted(clips, key=lambda clip: clip.files[-1])
            outcome.refused = sorted([*refused, *outcome.refused])
            _write_lists(folder, to, outcome)
    except Timeout as error:
        raise UserError(
            f"{folder}: another process converts into this folder; wait for it, or choose another"
        ) from error
    except OSError as error:
        raise unwritable(folder, error) from error
    return outcome


def _claim_lists(record: ConversionRecord) -> None:
    """Make the lists and the picture of a destination this conversion's.

    Raises:
        UserError: somebody else has a file of such a name there.
    """
    names = [DATASET, REFUSED, SHEET]
    for name in names:
        if reason := record.reason_to_refuse(name, ""):
            raise UserError(reason)
    if not all(name in record.makers for name in names):
        record.claim(names, "")


def _remove_unfinished(folder: Path) -> None:
    for left_over in folder.glob(f".*{UNFINISHED}"):
        shutil.rmtree(left_over, ignore_errors=True)


def _write_lists(folder: Path, to: str, outcome: Outcome) -> None:
    write_dataset = FORMATS[to].write_dataset
    if write_dataset is not None and outcome.clips:
        entries = [ClipEntry(folder / clip.files[-1], clip.motion_class, clip.weight) for clip in outcome.clips]
        write_dataset(folder / DATASET, weighted(entries, [clip.seconds for clip in outcome.clips]))
    (folder / REFUSED).unlink(missing_ok=True)
    if outcome.refused:
        write_text_whole(folder / REFUSED, "".join(f"{as_one_line(reason)}\n" for _, reason in outcome.refused))


def _written(
    sources: Sequence[Source], write: Callable[[Source], _Written], processes: int
) -> Iterator[tuple[Source, _Written]]:
    """Yield sources with what was written of them, as they are done."""
    if processes < 2:
        for source in sources:
            yield source, write(source)
        return
    yield from results_of(write, sources, processes)


@lru_cache(maxsize=1)
def _character_of(path: Path) -> Character:
    """Read a character, once a process: tensors are better not handed from one to another."""
    return CharacterFile(str(path)).read()


def _write(folder: Path, to: str, character: Path, source: Source) -> _Written:
    """Read a source and write its clips into a folder of its own inside the destination.

    Raises:
        UserError: nothing can be written.
    """
    stamp = source.stamp()
    try:
        clips = source.read(_character_of(character))
    except OSError as error:
        return _Written(stamp, None, [], f"{source.name}: cannot be read ({error.strerror or error})")
    except Exception as error:  # one file of thousands never stops the others
        kind = "" if isinstance(error, UserError) else f"cannot be read ({type(error).__name__}) "
        return _Written(stamp, None, [], _named(source, f"{kind}{error}"))
    part = None
    try:
        part = Path(tempfile.mkdtemp(prefix=".", suffix=UNFINISHED, dir=folder))
        return _Written(stamp, part, [_write_clip(part, source, each, to, character) for each in clips])
    except (UserError, OSError) as error:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise unwritable(folder, error) from error
        if isinstance(error.__cause__, OSError):  # a full disk, which is no fault of the motion
            raise
        return _Written(stamp, None, [], _named(source, str(error)))


def _named(source: Source, reason: str) -> str:
    return reason if reason.startswith(str(source.file)) else f"{source.name}: {reason}"


def _write_clip(part: Path, source: Source, imported: ImportedClip, to: str, character: Path) -> MadeClip:
    for name in (imported.motion_class, imported.clip.name):
        if name and not can_be_a_name(name):
            raise UserError(f"{name!r} cannot be the name of a file or folder here; rename it")
    place = str(Path(source.folder, imported.motion_class))
    (part / place).mkdir(parents=True, exist_ok=True)
    files = FORMATS[to].write(part, place, imported.clip, CharacterFile(str(character)))
    motion_class = imported.motion_class or Path(source.folder).name
    names = [str(file.relative_to(part)) for file in files]
    return MadeClip(names, motion_class, imported.clip.seconds, source.weight, imported.measures)


def _take_in(source: Source, written: _Written, record: ConversionRecord, outcome: Outcome) -> None:
    """Move what was written of a source into place, where that is free."""
    if written.folder is None or written.stamp is None:
        outcome.refused.append((source.name, written.refused))
        return
    conversion = Conversion(source.identity, written.stamp, written.clips)
    reasons = [record.reason_to_refuse(file, source.identity) for file in conversion.files]
    if reason := next(filter(None, reasons), None):
        outcome.refused.append((source.name, f"{source.name}: {reason}"))
        return
    earlier = [file for file, maker in record.makers.items() if maker == source.identity]
    record.claim(conversion.files, source.identity)
    for file in conversion.files:
        _move(written.folder / file, record.folder / file)
    for file in set(earlier) - set(conversion.files):
        (record.folder / file).unlink(missing_ok=True)
    record.add(conversion)
    outcome.made.append(conversion)
    shutil.rmtree(written.folder, ignore_errors=True)


def _move(file: Path, place: Path) -> None:
    try:
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
    except OSError as error:
        raise unwritable(place, error) from error
