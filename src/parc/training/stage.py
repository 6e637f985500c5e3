"""Training as a stage: `python -m parc.train`, conf/train.yaml."""

from parc.configuration.errors import UserError
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import (
    CHECKPOINT_FOLDER,
    EPOCH_CHECKPOINT_NAME,
    FINAL_CHECKPOINT,
    LATEST_CHECKPOINT,
)
from parc.motion_generator.features import STATISTICS_FILE
from parc.stages.stage import Stage
from parc.training.device import find_device
from parc.training.previews import PREVIEW_FOLDER, PREVIEW_NAME
from parc.training.ranks import find_ranks
from parc.training.settings import CONFIG_FILE, LOG_FILE, TrainSettings
from parc.training.train import train


def is_trained(settings: TrainSettings) -> bool:
    """Say whether the run's final checkpoint is there, whole, and has had all its steps."""
    path = settings.folder / FINAL_CHECKPOINT
    try:
        return path.is_file() and read_checkpoint(path).state["step"] >= settings.trainer.total_steps
    except UserError:
        return False  # `newest_checkpoint` reports it


def check_inputs(settings: TrainSettings) -> None:
    """Check that a run can start here: its device, character, clips and previous run.

    Raises:
        UserError: something is missing; names the key.
    """
    find_device(settings.device, find_ranks())
    settings.character.read()
    settings.dataset.entries()
    settings.iteration.starting_point()


TRAIN = Stage(
    name="train",
    settings=TrainSettings,
    config_file=CONFIG_FILE,
    result=FINAL_CHECKPOINT,
    check_inputs=check_inputs,
    run=train,
    is_finished=is_trained,
    files={
        "": (STATISTICS_FILE, LOG_FILE, "sampler.safetensors"),  # the last one is of version 1
        CHECKPOINT_FOLDER: (LATEST_CHECKPOINT, EPOCH_CHECKPOINT_NAME),
        PREVIEW_FOLDER: (PREVIEW_NAME,),
    },
    of_the_first=(
        "dataset",
        "iteration.previous",
        "iteration.previous_run",
        "iteration.input_model_path",
        "iteration.sampler_stats_filepath",
    ),
)
