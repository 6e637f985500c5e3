"""What a run needs of the machine that it runs on, looked at before anything is deleted for it."""

from typing import Any

from parc.anim.dataset import Dataset
from parc.anim.mjcf import CharacterFile
from parc.configuration.pieces import make
from parc.training.grown_dataset import settled
from parc.training.iteration import Iteration
from parc.training.ranks import find_ranks
from parc.training.train import find_device


def check_place(config: dict[str, Any]) -> None:
    """Check that a run can start here: its device, character, clips and previous run.

    Raises:
        UserError: something is missing; names the key.
    """
    config = settled(config)
    find_device(config["device"], find_ranks())
    make(config["character"], CharacterFile, "character").read()
    make(config["dataset"], Dataset, "dataset").entries()
    make(config["iteration"], Iteration, "iteration").starting_point()
