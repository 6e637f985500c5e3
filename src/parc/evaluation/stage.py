"""Evaluating as a stage: `python -m parc.evaluate`, conf/evaluate.yaml."""

from pathlib import Path

from parc.configuration.errors import UserError
from parc.evaluation.evaluate import evaluate, evaluated
from parc.evaluation.measured_paths import MEASURED_FILE
from parc.evaluation.result import PICTURE, RESULT_FILE, SWEEP_PICTURE, read_result
from parc.evaluation.settings import CONFIG_FILE, LOG_FILE, MOTIONS_FOLDER, EvaluateSettings
from parc.evaluation.subject import find_clips, is_of_clips
from parc.motion_generator.checkpoint_files import model_file
from parc.motion_synthesis.generate import digest_of
from parc.motion_synthesis.settings import CLIP_NAME
from parc.pictures.evaluation_plot import draw_evaluations
from parc.pictures.evaluations import evaluations_in, read_evaluation
from parc.stages.overwriting import EVERY_FOLDER
from parc.stages.stage import Stage


def is_evaluated(settings: EvaluateSettings) -> bool:
    """Say whether the result is there, and of what is there to be evaluated now; `evaluate` reports what is otherwise wrong."""
    try:
        result, path = read_result(settings.folder), Path(settings.of)
        if result is None or not path.exists():
            return result is not None  # what is gone is missed by nobody
        if is_of_clips(path):
            return find_clips(path).digest == result.digest
        return digest_of(model_file(path)) == result.digest
    except UserError:
        return False


def check_inputs(settings: EvaluateSettings) -> None:
    """Check that an evaluation can start here: its device, and what is evaluated.

    Raises:
        UserError: something is missing; names the key.
    """
    evaluated(settings)


def compare(sweep: Path) -> Path | None:
    """Draw the evaluations of a sweep that are finished into its folder.

    Raises:
        UserError: one is broken, or the folder cannot be written.
    """
    found = [read_evaluation(folder, name) for folder, name in evaluations_in(sweep)]
    if not found:
        return None
    draw_evaluations(found, sweep / SWEEP_PICTURE)
    return sweep / SWEEP_PICTURE


EVALUATE = Stage(
    name="evaluate",
    settings=EvaluateSettings,
    config_file=CONFIG_FILE,
    result=RESULT_FILE,
    check_inputs=check_inputs,
    run=evaluate,
    is_finished=is_evaluated,
    files={"": (LOG_FILE, MEASURED_FILE, PICTURE), f"{MOTIONS_FOLDER}/{EVERY_FOLDER}": (CLIP_NAME,)},
    of_the_first=("of",),
    compare=compare,
)
