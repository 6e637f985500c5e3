"""What making motions physical takes, and how far from the motions it ends."""

from pathlib import Path

from parc.anim.character import Character
from parc.anim.clip_files import read_clip, write_clip
from parc.configuration.composed import composed_config
from parc.configuration.composing import conf_folder, run_config
from parc.physics.correction import Correction
from parc.physics.corrector import Circumstances
from parc.physics.settings import CorrectSettings
from parc.stages.stage import read_run

CLASSES = ("walking", "ways_stairs", "ways_blocks")
SECONDS = 2.0  # of each motion
SEED = 0


def correct_demo_motions(folder: Path, character: Character) -> list[Correction]:
    """Correct the beginning of a motion of each class, with the settings that users get, one after the other on one core.

    Args:
        folder: with the motions that the project makes itself, and for those that are corrected.
        character: of them.
    """
    cut = folder / "to_correct"
    for name in CLASSES:
        clip = read_clip(min((folder / "demo_motions" / name).glob("*.safetensors")), character)
        cut.joinpath(name).mkdir(parents=True, exist_ok=True)
        write_clip(
            cut / name / f"{clip.name}.safetensors", clip.part(0, min(clip.num_frames, round(SECONDS * clip.fps)))
        )
    config, _ = composed_config("correct", [f"motions={cut}", f"output_dir={folder / 'corrected'}"], [conf_folder()])
    settings = read_run(run_config(config)).settings
    assert isinstance(settings, CorrectSettings)
    circumstances = Circumstances(settings.character, SEED, 1, folder)
    return [correction for _, correction in settings.corrector.corrections(settings.tasks(), circumstances)]
