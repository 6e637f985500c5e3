"""The dataset of the motions that the project makes itself: written where they are missing, then like any other."""

import hashlib
import json
import logging
import re
import time
from collections import defaultdict
from pathlib import Path

import safetensors

from parc.anim.clip_files import CLIP_SUFFIXES, write_clip
from parc.anim.dataset import ClipEntry, ClipLimits
from parc.anim.mirror import MIRRORED, mirror_clip
from parc.anim.mjcf import CharacterFile
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.configuration.files import locked, write_text_whole
from parc.configuration.paths import typed_path
from parc.configuration.schema import OutputFolder
from parc.demo_motions.generator import class_of, clip_name, make_clip
from parc.demo_motions.motion_classes import MOTION_CLASSES

log = logging.getLogger(__name__)

RECORD = "demo_motions.json"  # says of a folder that it is ours, and from what its clips were made
_OUR_NAME = re.compile(rf"(?P<motion_class>\w+?)_\d{{5,}}({MIRRORED})?\.safetensors")


class DemoMotions:
    """A teaching set of clips that the project makes itself; the same clips from the same seed, however many are asked for.

    Half of the clips are mirror images of the other half (from twice as many clips as there are classes on; of fewer, as
    many as possible are of different classes).

    Args:
        clips: how many.
        seed: from which all of them are drawn.
        folder: where they are kept, `FOLDER/<motion class>/<name>.safetensors`; environment variables are expanded.
        min_num_frames: clips with fewer frames are left out (none has fewer than 90).
        max_terrain_dim_x: clips with more terrain cells along x are left out.
        max_terrain_dim_y: clips with more terrain cells along y are left out.

    Raises:
        UserError: a number is out of range.
    """

    def __init__(
        self,
        clips: int,
        seed: int,
        folder: OutputFolder,
        min_num_frames: int = 15,
        max_terrain_dim_x: int = 1001,
        max_terrain_dim_y: int = 1001,
    ) -> None:
        least = {"clips": (clips, 1), "seed": (seed, 0), "min_num_frames": (min_num_frames, 2)}
        least |= {"max_terrain_dim_x": (max_terrain_dim_x, 1), "max_terrain_dim_y": (max_terrain_dim_y, 1)}
        for name, (value, lowest) in least.items():
            if value < lowest:
                raise UserError(f"dataset.{name} is {value}, expected at least {lowest}")
        self.clips = clips
        self.seed = seed
        self.folder = typed_path(folder)
        self.halved_classes: list[str] = []
        self.limits = ClipLimits(min_num_frames, max_terrain_dim_x, max_terrain_dim_y)

    @property
    def sources(self) -> list[str]:
        """The clips' files: the folder may hold others, that were made for a larger set."""
        return [str(path) for path in sorted(self._wanted())]

    def entries(self) -> list[ClipEntry]:
        """List the clips, after making those that are not there yet.

        Only one process makes clips in a folder; others wait for it. Clips that were made from another seed, or by another
        version of the generator, are made anew.

        Raises:
            UserError: the folder holds clips that are not of this set's making, or cannot be written.
        """
        wanted = self._wanted()
        if not self._is_ours() or not all(map(_is_whole, wanted)):
            with locked(self.folder / ".demo_motions.lock"):
                self._make_missing(wanted)
        return [ClipEntry(path, path.parent.name) for path in sorted(wanted)]

    def _wanted(self) -> dict[Path, tuple[int, bool]]:
        """Return the number of each file's clip, and whether it is a mirror image."""
        originals = max((self.clips + 1) // 2, min(self.clips, len(MOTION_CLASSES)))
        wanted = {}
        for count, mirrored in ((originals, False), (self.clips - originals, True)):
            for number in range(count):
                name = f"{clip_name(number)}{MIRRORED if mirrored else ''}.safetensors"
                wanted[self.folder / class_of(number) / name] = (number, mirrored)
        return wanted

    def _make_missing(self, wanted: dict[Path, tuple[int, bool]]) -> None:
        present = _our_clips(self.folder)
        if not self._is_ours():
            for path in present:
                path.unlink()
            write_text_whole(self.folder / RECORD, json.dumps(self._record(), indent=2) + "\n")
        missing: dict[int, list[tuple[Path, bool]]] = defaultdict(list)
        for path, (number, mirrored) in wanted.items():
            if not _is_whole(path):
                missing[number].append((path, mirrored))
        count = sum(map(len, missing.values()))
        if not count:
            return
        started = time.monotonic()
        character = CharacterFile("humanoid.xml").read()
        surface = surface_points(character)
        for number, files in missing.items():
            original = make_clip(self.seed, number, character, surface)
            for path, mirrored in files:
                write_clip(path, mirror_clip(original, character) if mirrored else original)
        seconds = time.monotonic() - started
        log.info("made %d demo motions (seed %d) in %s in %.1f s", count, self.seed, self.folder, seconds)

    def _record(self) -> dict[str, object]:
        return {"made by": "parc demo motions", "seed": self.seed, "generator": generator_version()}

    def _is_ours(self) -> bool:
        try:
            return json.loads((self.folder / RECORD).read_text(encoding="utf-8")) == self._record()
        except (OSError, ValueError):
            return False


def generator_version() -> str:
    """Return a name for what the generator makes: a digest of its sources, so that a change to them is never overlooked."""
    from parc.anim import mirror
    from parc.terrain import generators

    sources = [*sorted(Path(__file__).parent.glob("*.py")), Path(mirror.__file__), Path(generators.__file__)]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _our_clips(folder: Path) -> list[Path]:
    """Return the clips of a folder of ours, whatever seed they were made from; refuse a folder that is somebody else's."""
    clips = sorted(path for path in folder.rglob("*") if path.suffix in CLIP_SUFFIXES and not path.name.startswith("."))
    for path in clips:
        match = _OUR_NAME.fullmatch(path.name)
        expected_place = match is not None and path.parent == folder / match["motion_class"]
        if not expected_place or not (folder / RECORD).is_file():
            raise UserError(
                f"dataset.folder {folder}: holds a clip that is no demo motion ({path.relative_to(folder)}); expected a "
                "folder of its own, choose another one, or train on these clips with dataset=clips"
            )
    return clips


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        # Opening compares the file's size with what its header says; a file cut short is refused.
        with safetensors.safe_open(path, framework="pt"):
            return True
    except (OSError, safetensors.SafetensorError):
        return False
