"""The dataset of a later iteration: what the previous run trained on, plus the clips made since."""

import logging
import os
from pathlib import Path
from typing import Any

from parc.anim.dataset import ClipDataset, ClipEntry, Dataset
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.configuration.pieces import located, make
from parc.configuration.run_folder import CONFIG_FILE, read_config
from parc.configuration.schema import Settings
from parc.training.iteration import command_that_makes

log = logging.getLogger(__name__)


class GrownDataset:
    """What a previous run trained on, as its config records it, plus new clips.

    Args:
        previous_run: folder of the previous run.
        new_motions: clips made since: one source that may be missing, or a list of sources; None for none.
    """

    def __init__(self, previous_run: str, new_motions: str | list[str] | None) -> None:
        self.previous_run = previous_run
        self.new_motions = new_motions
        self.sources: list[str] = []

    def resolved(self) -> Settings:
        """Return the settings of a dataset that lists all sources, for the run to record.

        Raises:
            UserError: the previous run is missing.
        """
        path = Path(self.previous_run).expanduser() / CONFIG_FILE
        if not path.is_file():
            raise UserError(
                f"iteration.previous_run {path.parent}: there is no {CONFIG_FILE}; {command_that_makes(path.parent)}"
            )
        recorded = read_config(path).get("dataset")
        if not isinstance(recorded, dict):
            raise UserError(f"{path}: expected the dataset that the run trained on")
        before: Dataset = make(recorded, Dataset, f"{path}: dataset")
        return {
            "_target_": f"{ClipDataset.__module__}.{ClipDataset.__name__}",
            "motion_lib_file": [_absolute(source) for source in [*before.sources, *self._new_sources()]],
            **vars(before.limits),
            "halved_classes": recorded.get("halved_classes", []),
        }

    def _new_sources(self) -> list[str]:
        if self.new_motions is None:
            return []
        several = isinstance(self.new_motions, list)
        new = [str(_absolute(source)) for source in (self.new_motions if several else [self.new_motions])]
        missing = [source for source in new if not Path(source).exists()]
        if missing and several:
            raise UserError(
                f"iteration.new_motions {missing[0]}: there is no such file or folder; expected clips, or leave it out"
            )
        if missing:
            log.warning(
                "iteration.new_motions %s: there are no new clips, the run trains on those of the previous one "
                "(iteration.new_motions=null says so)",
                self.new_motions,
            )
            return []
        return new

    def entries(self) -> list[ClipEntry]:
        """List the clips of the resolved dataset."""
        dataset: Dataset = make(self.resolved(), Dataset, "dataset")
        return dataset.entries()


def settled(config: Settings) -> Settings:
    """Return a config as a run records it: the dataset's sources listed, and every path absolute.

    So the run can be gone on with, and later ones find it and its clips, from any folder.
    """
    iteration, sampler, character = (dict(config[name]) for name in ("iteration", "sampler", "character"))
    for key in ("previous_run", "input_model_path", "sampler_stats_filepath", "new_motions"):
        iteration[key] = _absolute(iteration[key])
    sampler["sampler_save_folder"] = _absolute(sampler["sampler_save_folder"])
    if not make(character, CharacterFile, "character").is_shipped:
        character["char_file"] = _absolute(character["char_file"])
    return config | {
        "data_dir": _absolute(config["data_dir"]),
        "output_dir": _absolute(config["output_dir"]),
        "iteration": iteration,
        "sampler": sampler,
        "character": character,
        "dataset": settled_dataset(config["dataset"]),
    }


def settled_dataset(settings: Settings) -> Settings:
    """Return dataset settings as a run records them: sources listed, paths absolute, so that later runs find them."""
    if issubclass(located(settings, Dataset, "dataset"), GrownDataset):
        grown: GrownDataset = make(settings, GrownDataset, "dataset")
        return grown.resolved()
    return {key: _absolute(value) if key in _PATH_KEYS else value for key, value in settings.items()}


_PATH_KEYS = ("motion_lib_file", "folder")


def _absolute(source: Any) -> Any:
    if isinstance(source, list):
        return [_absolute(each) for each in source]
    return str(Path(os.path.expandvars(source)).expanduser().absolute()) if isinstance(source, str) else source
