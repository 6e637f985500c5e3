"""What making motions physical takes, and how far from the motions it ends."""

from pathlib import Path

from benchmarks.setting import settings_of
from parc.anim.character import Character
from parc.anim.clip_files import read_clip, write_clip
from parc.physics.correction import Correction
from parc.physics.corrector import Circumstances
from parc.physics.settings import CorrectSettings

CLASSES = ("walking", "ways_stairs", "ways_blocks")
SECONDS = 2.0  # of each motion


def correct_demo_motions(folder: Path, character: Character) -> list[Correction]:
    """Correct the beginning of a motion of each class, with the settings that users get, one after the other on one core.

    Args:
        folder: with the motions that the project makes itself, and for those that are corrected.
        character: of them.
    """
    cut = folder / "to_correct"
    for name in CLASSES:
        clip = read_clip(min((folder / "demo_motions" / name).glob("*.safetensors")), character)
        write_clip(cut / name / f"{clip.name}.safetensors", clip.part(0, round(SECONDS * clip.fps)))
    settings: CorrectSettings = settings_of("correct", [f"motions={cut}", f"output_dir={folder / 'corrected'}"])
    circumstances = Circumstances(settings.character, settings.seed, threads=1, folder=folder)
    return [correction for _, correction in settings.corrector.corrections(settings.tasks(), circumstances)]
