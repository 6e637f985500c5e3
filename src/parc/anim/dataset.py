"""Datasets: which clips a run trains on, their classes and their weights."""

import os
import string
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import yaml

from parc.anim.clip_files import CLIP_SUFFIXES
from parc.anim.file_digests import status_of_file
from parc.configuration.errors import UserError, nearest_name
from parc.configuration.files import read_text, read_yaml, write_text_whole
from parc.configuration.paths import expanded_home, refuse_undecodable, typed_path
from parc.configuration.schema import FilePath
from parc.stages.progress import PROGRESS_FILE
from parc.stages.run_folder import SUBMITIT_FOLDER, SWEEP_FILE

Item = TypeVar("Item")
IGNORED_FOLDER = "ignore"
MANIFEST_SUFFIXES = (".yaml", ".yml")
_KEY = "dataset.motion_lib_file "  # at the beginning of messages


@dataclass(frozen=True)
class ClipEntry:
    """A clip of a dataset, not read yet.

    Attributes:
        path: the clip file.
        motion_class: the first-level folder that it lies in, or what a manifest says; empty where that says nothing.
        weight: what the manifest gives it; None where it is still to be computed from classes and seconds.
    """

    path: Path
    motion_class: str
    weight: float | None = None


def by_class(entries: Sequence[ClipEntry]) -> dict[str, list[ClipEntry]]:
    """Return clips by the names of their classes, in the order of these.

    Clips of a manifest may have no class; the folders that they lie in stand for theirs.
    """
    members: dict[str, list[ClipEntry]] = defaultdict(list)
    for entry in entries:
        members[entry.motion_class or entry.path.resolve().parent.name].append(entry)
    return {name: members[name] for name in sorted(members)}


def evenly_spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return so many items at most, evenly spread from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]


@dataclass(frozen=True)
class ClipLimits:
    """Which clips are left out.

    Attributes:
        min_num_frames: fewest frames.
        max_terrain_dim_x: most terrain cells along x.
        max_terrain_dim_y: most terrain cells along y.
    """

    min_num_frames: int
    max_terrain_dim_x: int
    max_terrain_dim_y: int


@runtime_checkable
class Dataset(Protocol):
    """What a dataset has to offer: where its clips are, which are left out, and the list of them."""

    limits: ClipLimits

    @property
    def sources(self) -> list[str]:
        """Folders, manifests and clips, as `motion_lib_file` takes them."""
        ...

    @property
    def halved_classes(self) -> list[str]:
        """Classes of which every second clip of a folder is left out."""
        ...

    def entries(self) -> list[ClipEntry]:
        """List the clips, without reading them."""
        ...


class ClipDataset:
    """A dataset of clip files.

    Args:
        motion_lib_file: a folder of clips, a manifest (YAML, ours or PARC's), one clip, or a list of such.
        min_num_frames: clips with fewer frames are left out.
        max_terrain_dim_x: clips with more terrain cells along x are left out.
        max_terrain_dim_y: clips with more terrain cells along y are left out.
        halved_classes: classes of which every second clip of a folder, in name order, is left out.

    Raises:
        UserError: a number is out of range.
    """

    def __init__(
        self,
        motion_lib_file: FilePath | list[FilePath],
        min_num_frames: int,
        max_terrain_dim_x: int,
        max_terrain_dim_y: int,
        halved_classes: list[str],
    ) -> None:
        self.sources = [motion_lib_file] if isinstance(motion_lib_file, str) else list(motion_lib_file)
        for name, value in (("max_terrain_dim_x", max_terrain_dim_x), ("max_terrain_dim_y", max_terrain_dim_y)):
            if value < 1:
                raise UserError(f"dataset.{name} is {value}, expected at least 1 cell")
        if min_num_frames < 2:
            raise UserError(f"dataset.min_num_frames is {min_num_frames}, expected at least 2 frames")
        if not self.sources:
            raise UserError("dataset.motion_lib_file is empty, expected a folder, a manifest or a clip")
        self.limits = ClipLimits(min_num_frames, max_terrain_dim_x, max_terrain_dim_y)
        self.halved_classes = halved_classes

    def entries(self) -> list[ClipEntry]:
        """List the clips without reading them, in an order that depends on nothing but their names.

        Raises:
            UserError: a source is missing or holds no clips, a clip is no file, a manifest is broken or names a clip that is
                not there, two clips have one name, or a name is no text.
        """
        entries: list[ClipEntry] = []
        for source in self.sources:
            entries += _entries_of(typed_path(source))
        for entry in entries:
            for name in (str(entry.path), entry.motion_class):
                refuse_undecodable(name)
        _refuse_same_names(entries)
        classes = sorted({entry.motion_class for entry in entries})
        for name in self.halved_classes:
            if name not in classes:
                raise UserError(
                    f"dataset.halved_classes names '{name}', which is no class of this dataset{nearest_name(name, classes)}"
                    f" (classes: {', '.join(filter(None, classes))})"
                )
        return _halve(entries, set(self.halved_classes))


def entries_at(sources: FilePath | list[FilePath], key: str) -> list[ClipEntry]:
    """List all clips of a folder, a manifest or a clip (or several) without reading them, in the order of `ClipDataset`.

    Args:
        sources: where clips are.
        key: which setting names them, for messages.

    Raises:
        UserError: there are none; begins with the key. And as `ClipDataset.entries`.
    """
    try:
        return ClipDataset(sources, 2, 1, 1, []).entries()
    except UserError as error:
        raise UserError(f"{key} {str(error).removeprefix(_KEY)}") from error


def _entries_of(source: Path) -> list[ClipEntry]:
    if source.is_dir():
        entries = _walk(source)
        if not entries:
            kinds = " or ".join(CLIP_SUFFIXES)
            raise UserError(
                f"dataset.motion_lib_file {source}: the folder holds no clips; expected {kinds} files in it"
            )
        return entries
    if not source.is_file():
        raise UserError(
            f"dataset.motion_lib_file {source}: there is no such file or folder; expected a folder of clips, a manifest "
            "(.yaml) or a clip"
        )
    if source.suffix in MANIFEST_SUFFIXES:
        return read_manifest(source)
    if source.suffix in CLIP_SUFFIXES:
        return [ClipEntry(source, source.resolve().parent.name)]
    raise UserError(
        f"dataset.motion_lib_file {source}: expected a folder, a manifest ({', '.join(MANIFEST_SUFFIXES)}) or a clip "
        f"({', '.join(CLIP_SUFFIXES)})"
    )


def _walk(root: Path) -> list[ClipEntry]:
    entries = []
    classes_below = {str(root): root}  # for each folder, the one whose folders are its clips' classes
    for folder, folders, files in os.walk(root, followlinks=True):
        # A sweep of runs that make clips keeps pickles of its jobs beside them.
        no_clips = (IGNORED_FOLDER, SUBMITIT_FOLDER) if SWEEP_FILE in files else (IGNORED_FOLDER,)
        folders[:] = sorted(name for name in folders if name not in no_clips)
        # Clips that several runs made side by side are of the classes that one run would have given them.
        of_classes = Path(folder) if PROGRESS_FILE in files else classes_below[folder]
        classes_below |= {os.path.join(folder, name): of_classes for name in folders}  # noqa: PTH118  (as os.walk does)
        inside = Path(folder).relative_to(of_classes).parts
        motion_class = inside[0] if inside else of_classes.resolve().name
        entries += [ClipEntry(Path(folder, name), motion_class) for name in sorted(files) if _is_clip(name)]
    for entry in entries:
        status_of_file(entry.path)
    return entries


def _is_clip(name: str) -> bool:
    return name.endswith(CLIP_SUFFIXES) and not name.startswith(".")


def _refuse_same_names(entries: list[ClipEntry]) -> None:
    seen: dict[str, Path] = {}
    for entry in entries:
        other = seen.setdefault(entry.path.stem, entry.path)
        if other is not entry.path:
            raise UserError(
                f"two clips are called '{entry.path.stem}': {other} and {entry.path}; expected names that differ, rename one"
            )


def _halve(entries: list[ClipEntry], classes: set[str]) -> list[ClipEntry]:
    kept, place_in_folder = [], defaultdict(int)
    for entry in entries:
        if entry.motion_class in classes:
            place_in_folder[entry.path.parent] += 1
            if place_in_folder[entry.path.parent] % 2 == 0:
                continue
        kept.append(entry)
    return kept


def clip_weights(entries: list[ClipEntry], seconds: list[float]) -> list[float]:
    """Return each clip's sampling weight: its seconds x (equal share of its class / the class's share of all seconds).

    Every class then weighs the same, and within a class a clip weighs by its length. Clips that a manifest gives a weight
    keep it. What is computed here sums to the seconds of the clips, as in manifests that were written from it: such ones and
    folders may stand side by side.

    Args:
        entries: the clips.
        seconds: frames / fps of each.
    """
    unweighted = [(entry, duration) for entry, duration in zip(entries, seconds, strict=True) if entry.weight is None]
    seconds_of_class: dict[str, float] = defaultdict(float)
    for entry, duration in unweighted:
        seconds_of_class[entry.motion_class] += duration
    total = sum(seconds_of_class.values())
    return [
        entry.weight
        if entry.weight is not None
        else duration * total / (len(seconds_of_class) * seconds_of_class[entry.motion_class])
        for entry, duration in zip(entries, seconds, strict=True)
    ]


def weighted(entries: list[ClipEntry], seconds: list[float]) -> list[ClipEntry]:
    """Return clips with their weights (see `clip_weights`)."""
    weights = clip_weights(entries, seconds)
    return [replace(entry, weight=weight) for entry, weight in zip(entries, weights, strict=True)]


def read_manifest(path: Path) -> list[ClipEntry]:
    """Read a manifest: YAML `motions: [{file, weight, class}, ...]`, the class optional, files relative to it.

    `$DATA_DIR` in a file is expanded, `$$` stands for a $.

    Raises:
        UserError: the manifest is broken, or names a clip that is missing; names the manifest and the entry.
    """
    content = read_yaml(path, read_text(path))
    motions = content.get("motions") if isinstance(content, dict) else None
    if not isinstance(motions, list) or not motions:
        raise UserError(
            f"{path}: expected a manifest 'motions: [{{file: ..., weight: ...}}, ...]' with at least one motion"
        )
    return [_manifest_entry(path, number, motion) for number, motion in enumerate(motions, start=1)]


def _manifest_entry(manifest: Path, number: int, motion: object) -> ClipEntry:
    where = f"{manifest}: motion {number}"
    if not isinstance(motion, dict) or not isinstance(motion.get("file"), str):
        raise UserError(f"{where}: expected 'file' and 'weight'")
    weight = motion.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not (0 < weight < 1e30):
        raise UserError(f"{where} ({motion['file']}): weight is {weight!r}, expected a positive number")
    try:
        path = manifest.parent / expanded_home(string.Template(motion["file"]).substitute(os.environ))
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{where}: '{motion['file']}' names an environment variable that is not set; export it, or write $$ for a $"
        ) from error
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if not path.is_file():
        raise UserError(f"{where}: there is no clip {path}; correct the path or remove the motion")
    if path.suffix not in CLIP_SUFFIXES:
        raise UserError(f"{where}: {path} is no clip; expected {' or '.join(CLIP_SUFFIXES)}")
    motion_class = motion.get("class", "")
    if not isinstance(motion_class, str):
        raise UserError(f"{where} ({motion['file']}): class is {motion_class!r}, expected a name")
    return ClipEntry(path, motion_class, float(weight))


def write_manifest(path: Path, clips: list[ClipEntry]) -> None:
    """Write a manifest of clips with their weights and classes, with paths relative to it.

    Raises:
        UserError: it cannot be written, or a name is no text.
    """
    folder = os.path.dirname(os.path.realpath(path))  # noqa: PTH120  (pathlib raises at links that lead in a circle)
    motions = [_motion_of(clip, folder) for clip in clips]
    write_text_whole(path, yaml.safe_dump({"motions": motions}, sort_keys=False))


def _motion_of(clip: ClipEntry, folder: str) -> dict[str, str | float | None]:
    motion = {"file": _as_in_manifest(clip.path, folder), "weight": clip.weight}
    return {**motion, "class": clip.motion_class} if clip.motion_class else motion


def _as_in_manifest(clip: Path, folder: str) -> str:
    """Return a clip's path from a manifest's folder, so that it reads back as it is: $ and ~ mean something there."""
    path = os.path.relpath(os.path.realpath(clip), folder).replace("$", "$$")
    refuse_undecodable(path)
    return f"./{path}" if path.startswith("~") else path
