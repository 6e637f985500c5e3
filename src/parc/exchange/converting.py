"""Converting many motions: in parallel, each whole or not at all, and none twice."""

import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from filelock import Timeout

from parc.anim.character import Character
from parc.anim.dataset import ClipEntry, clip_weights
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.configuration.files import locked, unwritable
from parc.exchange.conversion_record import Conversion, ConversionRecord, MadeClip, stamp_of
from parc.exchange.formats import FORMATS
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.sources import Source

UNFINISHED = ".converting"  # suffix of the folders in which files are written before they are moved into place
LOCK = ".convert.lock"
DATASET = "motions.yaml"  # the list of all clips, for formats that have one


@dataclass
class Outcome:
    """What came of a conversion.

    Attributes:
        made: conversions of this call.
        kept: how many sources had been converted before.
        clips: all that there are now of the sources, in their order.
        refused: names of sources that cannot be converted, and why.
    """

    made: list[Conversion] = field(default_factory=list)
    kept: int = 0
    clips: list[MadeClip] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Written:
    """What a process has written of a source, in a folder of its own inside the destination, or why it has not."""

    folder: Path | None
    clips: list[MadeClip]
    refused: str = ""


def convert(
    sources: Sequence[Source],
    folder: Path,
    to: str,
    character: CharacterFile,
    processes: int,
    progress: Callable[[int], object],
) -> Outcome:
    """Convert sources into a folder; those that have been converted there before, and have not changed, are kept.

    A source that is broken, or whose files would take the place of others, is left out, and said so in the outcome.

    Args:
        sources: what to convert.
        folder: the destination. Files in it that an earlier conversion did not make are never written over.
        to: the format to write, one of `FORMATS`.
        character: whose motions they are.
        processes: how many work; one is this process itself.
        progress: called with the number of sources that are done.

    Raises:
        UserError: the folder holds something else or cannot be written, another process converts into it, or a process was
            killed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    outcome = Outcome()
    try:
        with locked(folder / LOCK, timeout=0.0), ConversionRecord.opened(folder, to) as record:
            for left_over in folder.glob(f".*{UNFINISHED}"):
                shutil.rmtree(left_over, ignore_errors=True)
            to_do = [source for source in sources if not record.is_done(source.name, source.file)]
            outcome.kept = len(sources) - len(to_do)
            progress(outcome.kept)
            for source, written in _written(to_do, partial(_write, folder, to, character.path), processes):
                _take_in(source, written, record, outcome)
                progress(outcome.kept + len(outcome.made) + len(outcome.refused))
            outcome.clips = [clip for source in sources for clip in record.clips_of(source.name)]
            write_dataset = FORMATS[to].write_dataset
            if write_dataset is not None and outcome.clips:
                write_dataset(folder / DATASET, _weighted(folder, outcome.clips))
    except Timeout as error:
        raise UserError(
            f"{folder}: another process converts into this folder; wait for it, or choose another"
        ) from error
    return outcome


def _weighted(folder: Path, clips: list[MadeClip]) -> list[ClipEntry]:
    entries = [ClipEntry(folder / clip.files[-1], clip.motion_class) for clip in clips]
    weights = clip_weights(entries, [clip.seconds for clip in clips])
    return [replace(entry, weight=weight) for entry, weight in zip(entries, weights, strict=True)]


def _written(
    sources: Sequence[Source], write: Callable[[Source], _Written], processes: int
) -> Iterator[tuple[Source, _Written]]:
    """Yield sources with what was written of them, as they are done."""
    if processes < 2:
        for source in sources:
            yield source, write(source)
        return
    # Started anew: a copy of a process that computes with several threads may wait for one of them forever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
        at_work = {pool.submit(write, source): source for source in sources}
        try:
            for done in as_completed(at_work):
                yield at_work[done], done.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a process that converted was killed (by the system, for want of memory?); what is done is kept, give the "
                "same command again, with --processes 1"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """Have this process end when the one that started it does, however that ends, and compute with one thread."""
    import torch

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_it, daemon=True).start()


@lru_cache(maxsize=1)
def _character(path: Path) -> Character:
    return CharacterFile(str(path)).read()


def _write(folder: Path, to: str, character: Path, source: Source) -> _Written:
    """Read a source and write its clips into a folder of its own inside the destination.

    Raises:
        UserError: nothing can be written.
    """
    try:
        clips = source.read(_character(character))
    except UserError as error:
        return _Written(None, [], str(error))
    except OSError as error:
        return _Written(None, [], f"{source.name}: cannot be read ({error.strerror or error})")
    part = None
    try:
        part = Path(tempfile.mkdtemp(prefix=".", suffix=UNFINISHED, dir=folder))
        return _Written(part, [_write_clip(part, source, each, to, CharacterFile(str(character))) for each in clips])
    except (UserError, OSError) as error:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise unwritable(folder, error) from error
        if isinstance(error.__cause__, OSError):  # a full disk, which is no fault of the motion
            raise
        return _Written(None, [], f"{source.name}: {str(error).removeprefix(f'{source.name}: ')}")


def _write_clip(part: Path, source: Source, imported: ImportedClip, to: str, character: CharacterFile) -> MadeClip:
    place = str(Path(source.folder, imported.motion_class))
    (part / place).mkdir(parents=True, exist_ok=True)
    files = FORMATS[to].write(part, place, imported.clip, character)
    motion_class = imported.motion_class or Path(source.folder).name
    names = [str(file.relative_to(part)) for file in files]
    return MadeClip(names, motion_class, imported.clip.seconds, imported.measures)


def _take_in(source: Source, written: _Written, record: ConversionRecord, outcome: Outcome) -> None:
    """Move what was written of a source into place, where that is free."""
    if written.folder is None:
        outcome.refused.append((source.name, written.refused))
        return
    conversion = Conversion(source.name, stamp_of(source.file), written.clips)
    for file in conversion.files:
        maker = record.makers.get(file)
        if maker not in (None, source.name) or (maker is None and (record.folder / file).exists()):
            other = f"is what {maker} was converted to" if maker else "is there already, and no conversion's"
            reason = f"{source.name}: {record.folder / file} {other}; rename one of them, or choose another folder"
            outcome.refused.append((source.name, reason))
            break
    else:
        record.add(conversion)
        for file in conversion.files:
            _move(written.folder / file, record.folder / file)
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
