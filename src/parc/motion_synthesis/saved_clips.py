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


def delete_with_mirror_image(path: Path) -> None:
    """Take away the clip of a motion that was given up: another machine may have made one."""
    path.unlink(missing_ok=True)
    _of_mirror_image(path).unlink(missing_ok=True)


def is_done(settings: GenerateSettings, generated: Generated, group: int) -> bool:
    """Say whether all motions of a group that are wanted are saved, with their mirror images, or were given up."""
    return group in generated.groups and all(
        path.is_file() and _of_mirror_image(path).is_file()
        for path in (clip_path(settings, number) for number in _accepted(settings, generated, group))
    )


def saved(settings: GenerateSettings, generated: Generated) -> dict[int, float]:
    """Return the numbers of the motions that are wanted and saved, with their lengths in seconds."""
    done = [group for group in settings.groups if is_done(settings, generated, group)]
    return {
        number: generated.groups[group].seconds[number]
        for group in done
        for number in _accepted(settings, generated, group)
    }


def num_given_up(settings: GenerateSettings, generated: Generated) -> int:
    """Return for how many of the motions that are wanted no candidate was accepted."""
    done = [group for group in settings.groups if group in generated.groups]
    return sum(len(settings.wanted_of(group)) - len(_accepted(settings, generated, group)) for group in done)


def _accepted(settings: GenerateSettings, generated: Generated, group: int) -> list[int]:
    """Return the numbers of the motions of a group that are wanted and were not given up."""
    return [number for number in settings.wanted_of(group) if number not in generated.groups[group].given_up]


def _of_mirror_image(path: Path) -> Path:
    return path.with_stem(mirrored_name(path.stem))
