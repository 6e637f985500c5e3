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
from parc.exchange.captured_climbs import climb_takes, read_climb
from parc.exchange.deepmimic import DEEPMIMIC_NAMES, deepmimic_takes, read_deepmimic, read_deepmimic_take
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.sources import Source

ARCHIVE_SUFFIXES = (".whl", ".zip")
CLIPS_WORTH_A_PROCESS = 100
KNOWN = "clips (.safetensors, PARC's .pkl), a manifest (.yaml), BVH, DeepMimic's .txt, or a wheel or folder of captured climbs"


@dataclass
class Found:
    """What there is to convert.

    Attributes:
        sources: in the order of their names.
        kinds: how many there are of each kind.
        other_files: how many files are nothing that is known.
    """

    sources: list[Source] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    other_files: int = 0

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
        """Add sources of a kind."""
        self.sources += sources
        self.kinds[kind] += len(sources)


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
    found = Found()
    if path.is_dir():
        _add_climbs(path, "", found)
        _look_through(path, leave_out, found)
    elif path.suffix in MANIFEST_SUFFIXES:
        found.add("clip", *(_clip(entry, _folder_of(entry)) for entry in read_manifest(path)))
    elif path.suffix == ".txt":  # whatever it is called
        found.add("DeepMimic motion", Source(path, "", "", partial(read_deepmimic, path)))
    else:
        _add_file(path, "", found)
    if not found.sources:
        raise UserError(f"{path}: holds nothing that can be converted; expected {KNOWN}")
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
        refuse_undecodable(folder)
        for name in sorted(files):
            if not name.startswith("."):
                refuse_undecodable(name)
                _add_file(Path(place, name), folder, found)


def _add_file(path: Path, folder: str, found: Found) -> None:
    if path.suffix in CLIP_SUFFIXES:
        found.add("clip", _clip(ClipEntry(path, ""), folder))
    elif path.suffix.lower() == ".bvh":
        found.add("BVH file", Source(path, "", folder, partial(read_bvh, path)))
    elif path.match(DEEPMIMIC_NAMES):
        found.add("DeepMimic motion", Source(path, "", folder, partial(read_deepmimic, path)))
    elif path.suffix in ARCHIVE_SUFFIXES:
        _add_climbs(path, folder, found)
        motions = deepmimic_takes(path)
        found.add(
            "DeepMimic motion",
            *(Source(path, each.name, folder, partial(read_deepmimic_take, each)) for each in motions),
        )
    else:
        found.other_files += 1


def _add_climbs(path: Path, folder: str, found: Found) -> None:
    takes = climb_takes(path)
    found.add("captured climb", *(Source(path, take.name, folder, partial(read_climb, take)) for take in takes))


def _clip(entry: ClipEntry, folder: str) -> Source:
    return Source(entry.path, "", folder, partial(_read_clip, entry.path))


def _folder_of(entry: ClipEntry) -> str:
    """Return the folder for a clip of a manifest: its class, where that can be a folder's name."""
    name = entry.motion_class
    return name if name and Path(name).name == name else entry.path.resolve().parent.name


def _read_clip(path: Path, character: Character) -> list[ImportedClip]:
    return [ImportedClip(read_clip(path, character), "", {})]
