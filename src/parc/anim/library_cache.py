"""The prepared data of a dataset: its motion library in one file, made once and mapped into memory from then on."""

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import torch
from pydantic import TypeAdapter

from parc.anim.character import Character
from parc.anim.clip_files import read_clip
from parc.anim.dataset import ClipEntry, ClipLimits, clip_weights
from parc.anim.motion_clip import MotionClip
from parc.anim.motion_library import MotionLibrary, library_of, library_tensors
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.files import PART_SUFFIX, locked, write_text_whole
from parc.configuration.tensor_files import read_tensors, write_tensors
from parc.terrain.touched_cells import HEADROOM, JUMP_CLEARANCE

log = logging.getLogger(__name__)

CACHE_FORMAT = "parc motion library 1"
_LISTS = {
    "names": TypeAdapter(list[str]),
    "classes": TypeAdapter(list[str]),
    "excluded": TypeAdapter(list[tuple[str, str]]),
}
FileDigests: TypeAlias = dict[str, tuple[int, int, str]]  # size, time (ns) and SHA-256 of a file, by its path
_FILES = TypeAdapter(FileDigests)


@dataclass(frozen=True)
class PreparedClips:
    """A motion library and what belongs to each of its clips.

    Attributes:
        library: the clips' data; weights included.
        names: of the clips.
        classes: of the clips; empty for clips named by a manifest.
        excluded: name of and reason for each clip that was left out.
    """

    library: MotionLibrary
    names: list[str]
    classes: list[str]
    excluded: list[tuple[str, str]]


def open_prepared_clips(
    path: Path, entries: list[ClipEntry], limits: ClipLimits, character: Character, window_seconds: float
) -> PreparedClips:
    """Open the prepared data at `path`, making it where it is missing or belongs to other inputs.

    The key is the clips' content, names, classes and weights, the character and the preprocessing settings. A clip file is
    hashed again only if its size or time has changed. One process makes the data while others wait.

    Args:
        path: the cache, a `.safetensors` file.
        entries: the clips.
        limits: which clips are left out.
        character: whose clips they are.
        window_seconds: clips shorter than this are left out, too.

    Raises:
        UserError: a clip is broken, none is left, or the cache cannot be written.
    """
    settings = {
        "format": CACHE_FORMAT,
        "character": character.to_dict(),
        "limits": vars(limits),
        "window_seconds": window_seconds,
        "headroom": HEADROOM,
        "jump_clearance": JUMP_CLEARANCE,
    }
    record = path.with_name(f".{path.name}.files.json")
    known = _known_files(record)
    digests = _digests(known, entries)
    key = _key(settings, entries, digests)
    prepared = load_prepared(path, key)
    if prepared is None:
        with locked(path.with_name(f".{path.name}.lock")):
            # Another process may have made it while this one waited for the lock.
            prepared = load_prepared(path, key, report=False)
            if prepared is None:
                _prepare(path, entries, limits, character, window_seconds, key)
                prepared = load_prepared(path, key)
    if prepared is None:
        raise UserError(f"{path}: the prepared data cannot be read back; delete the file, and look at the disk")
    if digests != known:
        with contextlib.suppress(UserError):  # prepared data that others keep may be read-only: it serves as well
            write_text_whole(record, json.dumps(digests))
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
    path: Path,
    entries: list[ClipEntry],
    limits: ClipLimits,
    character: Character,
    window_seconds: float,
    key: str,
) -> None:
    began = time.monotonic()
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
    weights = clip_weights(kept, [clip.clip.seconds for clip in clips])
    description = {
        "key": key,
        "names": [clip.clip.name for clip in clips],
        "classes": [entry.motion_class for entry in kept],
        "excluded": excluded,
    }
    for part in path.parent.glob(f".{path.name}.*{PART_SUFFIX}"):
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed while it wrote
    write_tensors(path, CACHE_FORMAT, description, library_tensors(library_of(clips, weights)))
    log.info("prepared %d clips in %.1f s: %s", len(clips), time.monotonic() - began, path)


def load_prepared(path: Path, key: str, report: bool = True) -> PreparedClips | None:
    """Return the data of this key; None where there is none, or one that is damaged: it is made anew."""
    if not path.exists():
        return None
    try:
        description, tensors = read_tensors(path, CACHE_FORMAT)
        if description.get("key") != key:
            return None
        library = MotionLibrary(**{field.name: tensors[field.name] for field in fields(MotionLibrary)})
        names, classes, excluded = (
            _LISTS[name].validate_python(description[name]) for name in ("names", "classes", "excluded")
        )
        if not len(names) == len(classes) == library.num_clips or not _hangs_together(library):
            raise ValueError("its parts do not fit each other")
    except (UserError, LookupError, TypeError, ValueError, RuntimeError) as error:
        if report:
            log.warning("%s: the clips are prepared again (%s)", path, " ".join(str(error).split())[:250])
        return None
    return PreparedClips(library, names, classes, excluded)


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


def _known_files(record: Path) -> FileDigests:
    """Return what was known of clip files when they were last looked at; nothing where that cannot be read."""
    try:
        return _FILES.validate_json(record.read_bytes())
    except (OSError, ValueError):
        return {}


def _digests(known: FileDigests, entries: list[ClipEntry]) -> FileDigests:
    """Return size, time and digest of each clip file, by path; unchanged files keep the digest they had."""
    digests: FileDigests = {}
    for entry in entries:
        name = str(entry.path.resolve())
        try:
            status = entry.path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            old = known.get(name)
            if not old or old[:2] != stamp:
                old = (*stamp, hashlib.sha256(entry.path.read_bytes()).hexdigest())
        except OSError as error:
            raise UserError(
                f"{entry.path}: the clip cannot be read ({error.strerror}); put it back or take it out"
            ) from error
        digests[name] = old
    return digests


def _key(settings: dict[str, Any], entries: list[ClipEntry], digests: FileDigests) -> str:
    clips = [
        [entry.path.stem, entry.motion_class, entry.weight, digests[str(entry.path.resolve())][2]] for entry in entries
    ]
    return hashlib.sha256(json.dumps([settings, clips], sort_keys=True).encode()).hexdigest()
