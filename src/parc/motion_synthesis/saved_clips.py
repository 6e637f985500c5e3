"""The clips in a run's folder: where each motion is saved, and which are there."""

from pathlib import Path

from parc.anim.character import Character
from parc.anim.clip_files import write_clip
from parc.anim.mirror import mirror_clip, mirrored_name
from parc.anim.motion_clip import MotionClip
from parc.motion_synthesis.generated import Generated
from parc.motion_synthesis.settings import GenerateSettings


def clip_path(settings: GenerateSettings, number: int) -> Path:
    """Return where a motion is saved: below the run's folder, in one of the kind of terrain, which is its class."""
    return settings.folder / settings.terrain_name / f"{settings.clip_name(number)}.safetensors"


def save_with_mirror_image(path: Path, clip: MotionClip, character: Character) -> None:
    """Write a clip, and its mirror image beside it.

    Raises:
        UserError: they cannot be written.
    """
    write_clip(path, clip)
    write_clip(_of_mirror_image(path), mirror_clip(clip, character))


def is_done(settings: GenerateSettings, generated: Generated, group: int) -> bool:
    """Say whether all motions of a group that are wanted are saved, with their mirror images, or were given up."""
    return group in generated.groups and all(
        path.is_file() and _of_mirror_image(path).is_file()
        for path in (clip_path(settings, number) for number in _made(settings, generated, group))
    )


def num_saved(settings: GenerateSettings, generated: Generated) -> int:
    """Return how many of the motions that are wanted are saved."""
    done = [group for group in settings.groups if is_done(settings, generated, group)]
    return sum(len(_made(settings, generated, group)) for group in done)


def num_given_up(settings: GenerateSettings, generated: Generated) -> int:
    """Return for how many of the motions that are wanted no candidate was accepted."""
    done = [group for group in settings.groups if group in generated.groups]
    return sum(len(settings.numbers_of(group)) - len(_made(settings, generated, group)) for group in done)


def _made(settings: GenerateSettings, generated: Generated, group: int) -> list[int]:
    """Return the numbers of the motions of a group that are wanted and were not given up."""
    return [number for number in settings.numbers_of(group) if number not in generated.groups[group].given_up]


def _of_mirror_image(path: Path) -> Path:
    return path.with_stem(mirrored_name(path.stem))
