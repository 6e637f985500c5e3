"""Correcting motions as a stage: `python -m parc.correct`, conf/correct.yaml."""

from pathlib import Path

from parc.anim.dataset import IGNORED_FOLDER
from parc.configuration.errors import UserError
from parc.physics.correct import checked_tasks, correct, is_done, lacking_scenes, lacks_data
from parc.physics.corrected import CORRECTED_FILE, read_corrected
from parc.physics.settings import CLIP_NAME, CONFIG_FILE, LOG_FILE, RECORDING_NAME, SIMULATIONS, CorrectSettings
from parc.stages.overwriting import EVERY_FOLDER
from parc.stages.stage import Stage


def is_corrected(settings: CorrectSettings) -> bool:
    """Say whether all clips that are there are corrected, and some are data; `correct` reports what is otherwise wrong."""
    try:
        corrected = read_corrected(settings.folder)
        if corrected is None or lacks_data(settings, corrected) or lacking_scenes(settings, corrected):
            return False
        return not Path(settings.motions).exists() or all(  # clips that are gone are missed by nobody
            is_done(settings, corrected, task) for task in settings.tasks()
        )
    except UserError:
        return False


def check_inputs(settings: CorrectSettings) -> None:
    """Check that a run can start here: its clips and their character.

    Raises:
        UserError: something is missing; names the key.
    """
    checked_tasks(settings)


CORRECT = Stage(
    name="correct",
    settings=CorrectSettings,
    config_file=CONFIG_FILE,
    result=CORRECTED_FILE,
    check_inputs=check_inputs,
    run=correct,
    is_finished=is_corrected,
    files={"": (LOG_FILE,), EVERY_FOLDER: (CLIP_NAME,), IGNORED_FOLDER: (CLIP_NAME,), SIMULATIONS: (RECORDING_NAME,)},
    of_the_first=("motions",),
)
