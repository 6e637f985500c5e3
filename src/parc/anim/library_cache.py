"""The prepared data of datasets: the motion library of a set of clips in one file, made once and mapped into memory."""

import contextlib
import hashlib
import json
import logging
import re
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from filelock import Timeout
from pydantic import TypeAdapter

from parc.anim.character import Character
from parc.anim.clip_files import read_clip
from parc.anim.dataset import ClipEntry, ClipLimits, clip_weights
from parc.anim.file_digests import file_digests
from parc.anim.motion_clip import MotionClip
from parc.anim.motion_library import MotionLibrary, library_of, library_tensors
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.files import PART_SUFFIX, locked
from parc.configuration.tensor_files import read_tensors, write_tensors
from parc.terrain.touched_cells import HEADROOM, JUMP_CLEARANCE

log = logging.getLogger(__name__)

CACHE_FORMAT = "parc motion library 3"
KNOWN_FILES = "clip_files.json"
_LISTS = {
    "names": TypeAdapter(list[str]),
    "classes": TypeAdapter(list[str]),
    "excluded": TypeAdapter(list[tuple[str, str]]),
    "digests": TypeAdapter(list[str]),
}
CHECKSUM_LENGTH = 8  # digits
_NAME_LENGTH = 16  # of the key's digits, those that name a set's file
_PART_NAME = re.compile(rf"\.([0-9a-f]{{{_NAME_LENGTH}}})\.safetensors\.\w+{re.escape(PART_SUFFIX)}")


@dataclass(frozen=True)
class PreparedClips:
    """A motion library and what belongs to each of its clips.

    Attributes:
        library: the clips' data; weights included.
        names: of the clips.
        classes: of the clips; empty where a manifest says none.
        excluded: name of and reason for each clip that was left out.
        digests: of each clip, by name, in the order of the library (see `digests_of_clips`).
    """

    library: MotionLibrary
    names: list[str]
    classes: list[str]
    excluded: list[tuple[str, str]]
    digests: dict[str, str]


def open_prepared_clips(
    folder: Path, entries: list[ClipEntry], limits: ClipLimits, character: Character, window_seconds: float
) -> PreparedClips:
    """Open the prepared data of a set of clips, making it where it is missing or damaged.

    A set's key is its clips' content, names, classes and weights, the character and the preprocessing settings. A clip file
    is hashed again only if its size or time has changed. One process makes a set while others that want the same wait.

    Args:
        folder: of prepared data, a file for each set. Runs and processes may share it; whatever is missing there is made.
        entries: the clips.
        limits: which clips are left out.
        character: whose clips they are.
        window_seconds: clips shorter than this are left out, too.

    Raises:
        UserError: a clip is broken, none is left, or the data cannot be written.
    """
    paths = [entry.path for entry in entries]
    digests = file_digests(folder / KNOWN_FILES, paths)
    key = _key(entries, digests, limits, character, window_seconds)
    path = folder / f"{key[:_NAME_LENGTH]}.safetensors"
    prepared = load_prepared(path, key)
    if prepared is None:
        _remove_leftovers(folder)
        with _held(folder, path.stem):
            # Another process may have made it while this one waited for the lock.
            prepared = load_prepared(path, key, report=False)
            if prepared is None:
                began = time.monotonic()
                prepared = _prepare(entries, limits, character, window_seconds)
                _refuse_changed(digests, file_digests(folder / KNOWN_FILES, paths))
                write_prepared(path, key, prepared)
                log.info("prepared %d clips in %.1f s: %s", len(prepared.names), time.monotonic() - began, path)
                prepared = load_prepared(path, key)
    if prepared is None:
        raise UserError(f"{path}: the prepared data cannot be read back; delete the file, and look at the disk")
    if prepared.excluded:
        counts = Counter(reason for _, reason in prepared.excluded)
        reasons = ", ".join(f"{count} with {reason}" for reason, count in counts.items())
        log.info("left out %d of %d clips: %s", len(prepared.excluded), len(entries), reasons)
    return prepared


def reason_to_exclude(clip: MotionClip, limits: ClipLimits, window_seconds: float) -> str | None:
    """Say why a clip is left out, or None."""
    columns_x, columns_y = clip.terrain.heights.shape
    if clip.num_frames < limits.min_num_frames:
        return f"fewer than {limits.min_num_frames} frames"
    if (clip.num_frames - 1) / clip.fps < window_seconds - 1e-4:
        return f"less than a training window ({window_seconds:.3f} s)"
    if columns_x > limits.max_terrain_dim_x or columns_y > limits.max_terrain_dim_y:
        return f"more than {limits.max_terrain_dim_x} x {limits.max_terrain_dim_y} terrain cells"
    return None


def _prepare(
    entries: list[ClipEntry], limits: ClipLimits, character: Character, window_seconds: float
) -> PreparedClips:
    surface = surface_points(character)
    kept, clips, excluded = [], [], []
    for entry in entries:
        clip = read_clip(entry.path, character)
        reason = reason_to_exclude(clip, limits, window_seconds)
        if reason:
            excluded.append((clip.name, reason))
        else:
            kept.append(entry)
            clips.append(preprocess_clip(clip, character, surface))
    if not clips:
        raise UserError(
            f"dataset: all {len(entries)} clips are left out ({excluded[0][0]}: {excluded[0][1]}); "
            "give longer clips or change the limits"
        )
    library = library_of(clips, clip_weights(kept, [clip.clip.seconds for clip in clips]))
    names = [clip.clip.name for clip in clips]
    return PreparedClips(
        library, names, [entry.motion_class for entry in kept], excluded, digests_of_clips(library, names)
    )


def digests_of_clips(library: MotionLibrary, names: list[str]) -> dict[str, str]:
    """Return a digest of each clip by name, in the order of the library: two checksums (CRC-32, hexadecimal).

    The first is of all that training reads of the clip, the second leaves its weight out, which other clips change as well.
    """
    by_frame = (library.root_pos, library.root_rot, library.joint_rot, library.contacts)
    by_cell = (library.heights, library.height_bounds)
    before_weight, after_weight = (
        (library.fps, library.wraps),
        (library.terrain_shape, library.min_point, library.cell_size),
    )
    first_frames, frame_counts = library.first_frame.tolist(), library.num_frames.tolist()
    first_cells, cell_counts = library.first_cell.tolist(), library.terrain_shape.prod(1).tolist()
    digests = {}
    for number, name in enumerate(names):
        frames = slice(first_frames[number], first_frames[number] + frame_counts[number])
        cells = slice(first_cells[number], first_cells[number] + cell_counts[number])
        own = [tensor[frames] for tensor in by_frame] + [tensor[cells] for tensor in by_cell]
        checksum = 0
        for part in own:
            checksum = zlib.crc32(part.contiguous().numpy().data, checksum)
        digests[name] = ""
        for weights in ((library.weights,), ()):
            whole = checksum
            for tensor in (*before_weight, *weights, *after_weight):
                whole = zlib.crc32(tensor[number : number + 1].contiguous().numpy().data, whole)
            digests[name] += f"{whole:0{CHECKSUM_LENGTH}x}"
    return digests


def write_prepared(path: Path, key: str, prepared: PreparedClips) -> None:
    """Write prepared data whole (see `write_whole`).

    Raises:
        UserError: the file cannot be written.
    """
    description = {
        "key": key,
        "names": prepared.names,
        "classes": prepared.classes,
        "excluded": prepared.excluded,
        "digests": list(prepared.digests.values()),
    }
    write_tensors(path, CACHE_FORMAT, description, library_tensors(prepared.library))


def load_prepared(path: Path, key: str, report: bool = True) -> PreparedClips | None:
    """Return the data of this key; None where there is none, or one that is damaged: it is made anew."""
    try:
        if not path.is_file():
            return None
        description, tensors = read_tensors(path, CACHE_FORMAT)
        if description.get("key") != key:
            return None
        library = MotionLibrary(**{field.name: tensors[field.name] for field in fields(MotionLibrary)})
        names, classes, excluded, digests = (
            adapter.validate_python(description[name]) for name, adapter in _LISTS.items()
        )
        if not len(names) == len(classes) == len(digests) == library.num_clips or not _hangs_together(library):
            raise ValueError("its parts do not fit each other")
    except (UserError, OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        if report:
            log.warning("%s: the clips are prepared again (%s)", path, " ".join(str(error).split())[:250])
        return None
    return PreparedClips(library, names, classes, excluded, dict(zip(names, digests, strict=True)))


def _hangs_together(library: MotionLibrary) -> bool:
    """Say whether the library's tensors are of one size where they should be, and all that points somewhere stays inside."""
    frames, cells, clips = len(library.root_pos), len(library.heights), library.num_clips
    sizes = {
        frames: (library.root_rot, library.joint_rot, library.contacts, library.touched_offsets[1:]),
        cells: (library.height_bounds,),
        clips: (library.num_frames, library.fps, library.wraps, library.weights, library.first_cell,
                library.terrain_shape, library.min_point, library.cell_size),
    }  # fmt: skip
    cells_of_clip = library.terrain_shape.prod(1)
    cells_of_frame = cells_of_clip.repeat_interleave(library.num_frames)
    touched = library.touched_offsets.diff()
    return (
        all(len(tensor) == size for size, tensors in sizes.items() for tensor in tensors)
        and bool((library.num_frames > 1).all() and (library.terrain_shape > 0).all() and (touched >= 0).all())
        and torch.equal(library.first_frame, library.num_frames.cumsum(0) - library.num_frames)
        and torch.equal(library.first_cell, cells_of_clip.cumsum(0) - cells_of_clip)
        and (int(library.num_frames.sum()), int(cells_of_clip.sum())) == (frames, cells)
        and (int(library.touched_offsets[0]), int(library.touched_offsets[-1])) == (0, len(library.touched_cells))
        and bool((library.touched_cells >= 0).all())
        and bool((library.touched_cells < cells_of_frame.repeat_interleave(touched)).all())
    )


def _key(
    entries: list[ClipEntry],
    digests: dict[Path, str],
    limits: ClipLimits,
    character: Character,
    window_seconds: float,
) -> str:
    settings = {
        "format": CACHE_FORMAT,
        "character": character.to_dict(),
        "limits": vars(limits),
        "window_seconds": window_seconds,
        "headroom": HEADROOM,
        "jump_clearance": JUMP_CLEARANCE,
    }
    clips = [[entry.path.stem, entry.motion_class, entry.weight, digests[entry.path]] for entry in entries]
    return hashlib.sha256(json.dumps([settings, clips], sort_keys=True).encode()).hexdigest()


def _refuse_changed(before: dict[Path, str], now: dict[Path, str]) -> None:
    """Check that clips were not written while they were read: other runs would get them under a key that is not theirs."""
    for path, digest in now.items():
        if digest != before[path]:
            raise UserError(f"{path}: the clip changed while it was read; wait until it is written, and start again")


@contextlib.contextmanager
def _held(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of a set, waiting for another process that makes it."""
    with contextlib.ExitStack() as held:
        lock = _lock_file(folder, name)
        try:
            try:
                held.enter_context(locked(lock, timeout=1.0))  # `_remove_leftovers` may be looking
            except Timeout:
                log.info("waiting for another process, which prepares the same clips: %s", folder)
                held.enter_context(locked(lock))
        except UserError as error:
            raise UserError(f"sampler.sampler_save_folder {error}") from error
        yield


def _remove_leftovers(folder: Path) -> None:
    """Take away what processes left that were killed while they wrote; one that is still writing holds its set's lock."""
    for part in folder.glob(f".*{PART_SUFFIX}"):
        named = _PART_NAME.fullmatch(part.name)
        if named:
            with contextlib.suppress(Timeout, UserError), locked(_lock_file(folder, named[1]), timeout=0.0):
                shutil.rmtree(part, ignore_errors=True)


def _lock_file(folder: Path, name: str) -> Path:
    return folder / f".{name}.lock"
