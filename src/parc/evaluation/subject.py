"""What is evaluated: a trained model, or clips; and which clips a model was trained on."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parc.anim.character import Character
from parc.anim.clip_files import CLIP_SUFFIXES, read_clip
from parc.anim.dataset import MANIFEST_SUFFIXES, ClipEntry, ClipLimits, Dataset, entries_at
from parc.anim.library_cache import reason_to_exclude
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.motion_generator.checkpoint_files import checkpoint_files
from parc.stages.previous_run import piece_of_run
from parc.training.settings import CONFIG_FILE

log = logging.getLogger(__name__)

_ANY_CLIP = ClipLimits(2, 10**9, 10**9)
EXPECTED = "expected the folder of a training run, a checkpoint, a folder of clips, a manifest or a clip"


@dataclass(frozen=True)
class Clips:
    """Clips that are to be measured.

    Attributes:
        entries: where they are; no more of them than are wanted.
        limits: those outside of which are left out.
    """

    entries: Sequence[ClipEntry]
    limits: ClipLimits = _ANY_CLIP

    def read(self, numbers: Sequence[int], character: Character) -> dict[int, MotionClip]:
        """Read some of them, by their numbers, without those that are left out.

        Raises:
            UserError: one is broken, or of another character.
        """
        clips = {number: read_clip(self.entries[number].path, character) for number in numbers}
        return {number: clip for number, clip in clips.items() if reason_to_exclude(clip, self.limits, 0.0) is None}

    @property
    def digest(self) -> str:
        """SHA-256 of their names and contents, hexadecimal."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.motion_class}/{entry.path.name}\0".encode())
            digest.update(hashlib.sha256(entry.path.read_bytes()).digest())
        return digest.hexdigest()


def is_of_clips(path: Path) -> bool:
    """Say whether a path leads to clips, if it leads to anything that can be evaluated."""
    if path.is_dir():
        return not checkpoint_files(path)
    return path.suffix in (*CLIP_SUFFIXES, *MANIFEST_SUFFIXES)


def clips_at(sources: str | list[str], key: str, most: int | None = None) -> Clips:
    """Return the clips of a folder, a manifest or a clip (or several); `most` of them at equal distances where that is given.

    Raises:
        UserError: there are none; begins with the key.
    """
    return Clips(spread(entries_at(sources, key), most))


def refuse_missing(of: Path) -> None:
    """Check that there is something to be evaluated; its results may come to lie in it, so ask before that is made.

    Raises:
        UserError: there is not.
    """
    if not of.exists():
        raise UserError(f"of {of}: there is no such file or folder; {EXPECTED}")


def find_clips(of: Path) -> Clips:
    """Return the clips that are to be evaluated.

    Raises:
        UserError: there are none.
    """
    try:
        return clips_at(str(of), "of")
    except UserError as error:
        if of.is_dir() and str(error).startswith(f"of {of}: the folder holds no clips"):
            raise UserError(f"of {of}: the folder holds neither checkpoints nor clips; {EXPECTED}") from error
        raise


def training_clips_of(checkpoint: Path, most: int) -> Clips | None:
    """Return clips that a model was trained on, as its run's config says; None, and a line, where they cannot be found."""
    config = next((path for path in _configs_beside(checkpoint) if path.is_file()), None)
    try:
        if config is None:
            raise UserError(f"there is no {CONFIG_FILE} beside {checkpoint}")
        dataset: Dataset = piece_of_run(config, "dataset", Dataset)
        # Datasets may make clips that are missing, but these are to be those that the model has seen.
        missing = [source for source in dataset.sources if not Path(source).exists()]
        if missing or not dataset.sources:
            raise UserError(f"{missing[0] if missing else config}: there are no such clips any more")
        return Clips(spread(dataset.entries(), most), dataset.limits)
    except UserError as error:
        log.warning("the training clips are left out (%s); reference=PATH names clips to compare with", error)
        return None


def _configs_beside(checkpoint: Path) -> list[Path]:
    """Return where the config of a checkpoint's run may be: beside it, or a folder further out for those of epochs."""
    folder = checkpoint.absolute().parent
    return [folder / CONFIG_FILE, folder.parent / CONFIG_FILE]


def spread(entries: Sequence[ClipEntry], most: int | None) -> list[ClipEntry]:
    """Return so many entries at most, at equal distances."""
    count = len(entries) if most is None else min(most, len(entries))
    return [entries[place * len(entries) // count] for place in range(count)]
