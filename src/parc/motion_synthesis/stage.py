"""Generating motions as a stage: `python -m parc.generate`, conf/generate.yaml."""

from pathlib import Path

from parc.configuration.errors import UserError
from parc.motion_generator.checkpoint_files import model_file
from parc.motion_synthesis.generate import digest_of, generate, model_of
from parc.motion_synthesis.generated import GENERATED_FILE, read_generated
from parc.motion_synthesis.saved_clips import is_done, saved
from parc.motion_synthesis.settings import CLIP_NAME, CONFIG_FILE, LOG_FILE, GenerateSettings
from parc.stages.overwriting import EVERY_FOLDER
from parc.stages.stage import Stage


def is_generated(settings: GenerateSettings) -> bool:
    """Say whether all motions are saved or were given up, some were saved, and the model is still the one that made them.

    `generate` reports what is otherwise wrong.
    """
    try:
        generated = read_generated(settings.folder)
    except UserError:
        return False
    if generated is None or not all(is_done(settings, generated, group) for group in settings.groups):
        return False
    model = model_file(Path(settings.model_path))
    return (bool(saved(settings, generated)) or not settings.length.total) and (
        not model.is_file() or digest_of(model) == generated.model_digest  # a model that is gone is missed by nobody
    )


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
