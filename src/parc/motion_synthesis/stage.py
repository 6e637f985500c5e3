"""Generating motions as a stage: `python -m parc.generate`, conf/generate.yaml."""

from parc.configuration.errors import UserError
from parc.motion_synthesis.generate import generate, model_of
from parc.motion_synthesis.generated import GENERATED_FILE, read_generated
from parc.motion_synthesis.saved_clips import is_done
from parc.motion_synthesis.settings import CLIP_NAME, CONFIG_FILE, LOG_FILE, GenerateSettings
from parc.stages.overwriting import EVERY_FOLDER
from parc.stages.stage import Stage


def is_generated(settings: GenerateSettings) -> bool:
    """Say whether all motions are saved, or were given up."""
    try:
        generated = read_generated(settings.folder)
    except UserError:
        return False  # `generate` reports it
    return generated is not None and all(is_done(settings, generated, group) for group in settings.groups)


def check_inputs(settings: GenerateSettings) -> None:
    """Check that a run can start here: its device and its model.

    Raises:
        UserError: something is missing; names the key.
    """
    model_of(settings)


GENERATE = Stage(
    name="generate",
    settings=GenerateSettings,
    config_file=CONFIG_FILE,
    result=GENERATED_FILE,
    check_inputs=check_inputs,
    run=generate,
    is_finished=is_generated,
    files={"": (LOG_FILE,), EVERY_FOLDER: (CLIP_NAME,)},
    of_the_first=("model_path",),
)
