"""What can be viewed: clips in folders, runs and manifests, listed at once and read when they are chosen."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parc.anim.character import Character
from parc.anim.clip_files import read_clip
from parc.anim.clip_names import is_corrected, uncorrected_name
from parc.anim.dataset import IGNORED_FOLDER, ClipDataset, ClipEntry
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.configuration.paths import refuse_missing_clips, refuse_undecodable
from parc.pictures.palette import EARLY_POSE, LATE_POSE
from parc.stages.iteration import CORRECTED_FOLDER, GENERATED_FOLDER

UNREFINED, REFINED = "before refinement", "refined"
UNCORRECTED, CORRECTED = "before correction", "corrected"
COLOURS_OF_VERSIONS = (LATE_POSE, "#CC79A7", "#009E73", "#8C6D31")  # of what several paths hold of one name
UNREFINED_COLOUR = EARLY_POSE


@dataclass(frozen=True)
class Version:
    """A motion in one of its versions.

    Attributes:
        label: which one it is; empty where there is no other.
        clip: the motion.
        colour: that tells it from the others, '#RRGGBB'.
    """

    label: str
    clip: MotionClip
    colour: str


@dataclass(frozen=True)
class ListedMotion:
    """A motion that is not read yet.

    Attributes:
        name: of its clips, without folder and extension; of the one that others were made of.
        motion_class: of its clips.
        files: by label; several where paths hold clips of one name, or corrected ones of that name.
    """

    name: str
    motion_class: str
    files: dict[str, Path]

    def read(self, character: Character) -> list[Version]:
        """Read the motion in all of its versions, the one before refinement or correction first.

        Raises:
            UserError: a file is broken, or no clip of the character.
        """
        versions = []
        for number, (label, path) in enumerate(self.files.items()):
            clip = read_clip(path, character)
            versions.append(Version(label, clip, COLOURS_OF_VERSIONS[number % len(COLOURS_OF_VERSIONS)]))
        first = versions[0]
        if first.clip.unrefined is not None:
            labels = (UNCORRECTED, CORRECTED) if is_corrected(first.clip.name) else (UNREFINED, REFINED)
            before = dataclasses.replace(first.clip.with_frames(first.clip.unrefined), unrefined=None)
            after = dataclasses.replace(first, label=first.label or labels[1])
            versions = [Version(labels[0], before, UNREFINED_COLOUR), after, *versions[1:]]
        return versions


def titles_of(motions: Sequence[Version]) -> list[str]:
    """Return what tells motions that are shown together apart: what they are called, which version they are, or both."""
    if len({uncorrected_name(motion.clip.name) for motion in motions}) == 1 and all(motion.label for motion in motions):
        return [motion.label for motion in motions]
    return [" · ".join(filter(None, [motion.clip.name, motion.label])) for motion in motions]


def motions_in(paths: Sequence[Path]) -> list[ListedMotion]:
    """List the motions of some paths without reading them: clips, manifests, folders of clips and of runs.

    Clips of one name in several paths are versions of one motion, and so are clips in one path and what correction made of them
    in another. Where a path is an iteration's generated clips and its corrected ones lie beside it, they are listed as such
    versions.

    Raises:
        UserError: a path is missing or holds no clips, or a name is no text.
    """
    refuse_missing_paths(paths)
    return motions_of([(label, entries_of(path)) for label, path in _with_labels(paths)])


def motions_of(sources: Sequence[tuple[str, Sequence[ClipEntry]]]) -> list[ListedMotion]:
    """Return the motions of clips from several sources, each with its label.

    Clips of one name are versions of one motion, with what correction made of it where that is from another source.
    """
    files: dict[str, dict[str, ClipEntry]] = {}
    labelled = [(label, entry) for label, entries in sources for entry in entries]
    for label, entry in sorted(labelled, key=lambda each: is_corrected(each[1].path.stem)):
        name, original = entry.path.stem, uncorrected_name(entry.path.stem)
        is_version = original in files and label not in files[original]
        files.setdefault(original if is_version else name, {})[label] = entry
    return [
        ListedMotion(
            name, next(iter(entries.values())).motion_class, {label: entry.path for label, entry in entries.items()}
        )
        for name, entries in files.items()
    ]


def refuse_missing_paths(paths: Sequence[Path]) -> None:
    """Check that there is something to view.

    Raises:
        UserError: names the path that is missing, or whose name is no text.
    """
    refuse_missing_clips(paths)
    for path in paths:
        refuse_undecodable(str(path))


def _with_labels(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return the folders and files to look in, with labels that tell them apart where they may hold clips of one name."""
    corrected = paths[0].resolve().parent / CORRECTED_FOLDER
    if len(paths) == 1 and paths[0].resolve().name == GENERATED_FOLDER and _holds_data(corrected):
        return [(REFINED, paths[0]), (CORRECTED, corrected)]
    if len(paths) == 1 or (all(path.is_file() for path in paths) and len({path.stem for path in paths}) == len(paths)):
        return [("", path) for path in paths]
    names = [path.resolve().name for path in paths]
    return list(zip(names if len(set(names)) == len(names) else map(str, paths), paths, strict=True))


def _holds_data(folder: Path) -> bool:
    """Say whether a folder has clips beside those that are ignored: a run that corrects may have made none yet."""
    return any(IGNORED_FOLDER not in clip.relative_to(folder).parts for clip in folder.rglob("*.safetensors"))


def entries_of(path: Path) -> list[ClipEntry]:
    """Return the clips of a clip, a manifest or a folder, without reading them.

    Raises:
        UserError: there are none, or a name is no text.
    """
    try:
        return ClipDataset([str(path)], 2, 1, 1, halved_classes=[]).entries()
    except UserError as error:
        raise UserError(str(error).removeprefix("dataset.motion_lib_file ")) from error
