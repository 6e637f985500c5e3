"""Clips and configs of tiny trainings."""

import pytest
from training_runs import changed, composed, train, write_clips


@pytest.fixture(scope="session")
def few_clips(humanoid, tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), humanoid)


@pytest.fixture(scope="session")
def many_clips(humanoid, tmp_path_factory):
    """Enough clips that some are held out."""
    return write_clips(tmp_path_factory.mktemp("many clips"), humanoid, 21)


@pytest.fixture(scope="session")
def tiny_config(few_clips):
    return composed(f"dataset.motion_lib_file={few_clips}")


@pytest.fixture
def config(tiny_config, tmp_path):
    return changed(tiny_config, folder=tmp_path / "run")


@pytest.fixture(scope="session")
def undisturbed(tiny_config, tmp_path_factory):
    """The folder of a whole run that nothing disturbed, with a checkpoint of every epoch."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(changed(tiny_config, folder=folder, trainer__epochs_per_checkpoint=1))
    return folder
