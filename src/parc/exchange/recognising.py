"""Telling what a file or a folder holds, by its name and by what it begins with."""

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from parc.anim.character import Character
from parc.anim.clip_files import CLIP_SUFFIXES, read_clip
from parc.anim.dataset import MANIFEST_SUFFIXES, ClipEntry, read_manifest
from parc.configuration.errors import UserError
from parc.configuration.paths import refuse_undecodable
from parc.exchange.bvh_skeletons import read_bvh
from parc.exchange.captured_climbs import CLIMB_FOLDERS, climb_takes, read_climb
from parc.exchange.deepmimic import DEEPMIMIC_NAMES, deepmimic_takes, read_deepmimic, read_deepmimic_take
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.sources import Source, can_be_a_name

ARCHIVE_SUFFIXES = (".whl", ".zip")
CLIPS_WORTH_A_PROCESS = 100
KNOWN = "clips (.safetensors, PARC's .pkl), a manifest (.yaml), BVH, DeepMimic's .txt, or a wheel or folder of captured climbs"


@dataclass
class Found:
    """What there is to convert.

    Attributes:
        sources: by their identities, in the order of their names.
        kinds: how many there are of each kind.
        other_files: how many files are nothing that is known.
        refused: names of files that are of a known kind and cannot be opened, and why.
    """

    sources: dict[str, Source] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    other_files: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    @property
    def worth_processes(self) -> int:
        """How many processes pay: starting one takes as long as reading some clips, or a small part of a take."""
        takes = len(self.sources) - self.kinds["clip"]
        return 1 + max(takes - 1, self.kinds["clip"] // CLIPS_WORTH_A_PROCESS)

    @property
    def said(self) -> str:
        """What was found, in words."""
        kinds = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in self.kinds.items() if count]
        others = {0: [], 1: ["1 other file, left alone"]}
        return ", ".join([*kinds, *others.get(self.other_files, [f"{self.other_files} other files, left alone"])])

    def add(self, kind: str, *sources: Source) -> None:
        """Add sources of a kind; one that is there already is not added again."""
        for source in sources:
            if source.identity not in self.sources:
                self.sources[source.identity] = source
                self.kinds[kind] += 1


def find_sources(path: Path, leave_out: Path) -> Found:
    """Return what a file, an archive or a folder holds.

    Args:
        path: what is given.
        leave_out: a folder that is not looked into: the destination.

    Raises:
        UserError: there is no such file, or nothing in it that is known.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; expected {KNOWN}")
    if path.resolve() == leave_out.resolve():
        raise UserError(f"{path}: is source and destination at once; choose another folder to write into")
    found = Found()
    if path.is_dir():
        _look_through(path, leave_out, found)
    elif path.suffix in MANIFEST_SUFFIXES:
        found.add("clip", *(_clip(entry, _folder_of(entry)) for entry in read_manifest(path)))
    elif path.suffix == ".txt":  # whatever it is called
        found.add("DeepMimic motion", Source(path, "", "", partial(read_deepmimic, path)))
    else:
        _add_file(path, "", found)
    if not found.sources:
        why = found.refused[0][1] if found.refused else f"{path}: holds nothing that can be converted; expected {KNOWN}"
        raise UserError(why)
    return found


def _look_through(root: Path, leave_out: Path, found: Found) -> None:
    seen = {leave_out.resolve()}
    for place, folders, files in os.walk(root, followlinks=True):
        # Links may lead in a circle.
        inside = {name: Path(place, name).resolve() for name in sorted(folders) if not name.startswith(".")}
        folders[:] = [name for name, real in inside.items() if real not in seen]
        seen |= set(inside.values())
        below = os.path.relpath(place, root)
        folder = "" if below == "." else below
        takes = climb_takes(Path(place)) if Path(place).resolve().match(CLIMB_FOLDERS) else []
        if takes:
            found.add("captured climb", *(Source(take.file, "", "", partial(read_climb, take)) for take in takes))
            folders.clear()
            continue
        for name in sorted(files):
            if not name.startswith("."):
                _add_file(Path(place, name), folder, found)


def _add_file(path: Path, folder: str, found: Found) -> None:
    try:
        refuse_undecodable(str(path))
        if path.suffix in CLIP_SUFFIXES:
            found.add("clip", _clip(ClipEntry(path, ""), folder))
        elif path.suffix.lower() == ".bvh":
            found.add("BVH file", Source(path, "", folder, partial(read_bvh, path)))
        elif path.match(DEEPMIMIC_NAMES):
            found.add("DeepMimic motion", Source(path, "", folder, partial(read_deepmimic, path)))
        elif path.suffix in ARCHIVE_SUFFIXES:
            _add_archive(path, folder, found)
        else:
            found.other_files += 1
    except UserError as error:
        found.refused.append((str(path), str(error)))


def _add_archive(path: Path, folder: str, found: Found) -> None:
    climbs, motions = climb_takes(path), deepmimic_takes(path)
    found.add("captured climb", *(Source(path, each.name, folder, partial(read_climb, each)) for each in climbs))
    found.add(
        "DeepMimic motion", *(Source(path, each.name, folder, partial(read_deepmimic_take, each)) for each in motions)
    )
    found.other_files += not (climbs or motions)


def _clip(entry: ClipEntry, folder: str) -> Source:
    return Source(entry.path, "", folder, partial(_read_clip, entry.path), entry.weight)


def _folder_of(entry: ClipEntry) -> str:
    """Return the folder for a clip of a manifest: its class, where that can be a folder's name."""
    name = entry.motion_class
    return name if can_be_a_name(name) else entry.path.resolve().parent.name


def _read_clip(path: Path, character: Character) -> list[ImportedClip]:
    return [ImportedClip(read_clip(path, character), "", {})]
