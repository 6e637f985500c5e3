"""Which iteration of PARC's rounds a run is, and what it starts from."""

import re
from dataclasses import dataclass
from pathlib import Path

from parc.configuration.errors import UserError
from parc.configuration.hydra_help import conf_folder, iteration_overrides
from parc.configuration.schema import FilePath

# Of an iteration, in the folder of its name: its training run, what was generated with it, and what became physical of that.
RUN_FOLDER, GENERATED_FOLDER, CORRECTED_FOLDER = "p1_train_gen", "p2_kin_gen", "p4_phys_record"


@dataclass(frozen=True)
class Iteration:
    """An iteration's name and its starting point.

    Attributes:
        name: of the iteration; its runs live in a folder of this name.
        previous: name of the iteration that this one follows; None for the first.
        previous_run: folder of the run that this one goes on from; None for training from scratch.
        input_model_path: checkpoint to start from (ours, or one of PARC's); None for training from scratch.
        sampler_stats_filepath: statistics to use; None for those of the checkpoint, or for computing them.
        new_motions: clips made since the previous run, physical ones unless others are named (a folder, a manifest, or a list of
            such); None for none.
        allow_other_statistics: use statistics that differ from those in the checkpoint.
    """

    name: str
    previous: str | None
    previous_run: FilePath | None
    input_model_path: FilePath | None
    sampler_stats_filepath: FilePath | None
    new_motions: FilePath | list[FilePath] | None
    allow_other_statistics: bool

    def starting_point(self) -> Path | None:
        """Return the checkpoint to start from; None for training from scratch.

        Raises:
            UserError: there is no such file.
        """
        if self.input_model_path is None:
            return None
        path = Path(self.input_model_path)
        if not path.is_file():
            made_by = command_that_makes(path.parent) if self.previous_run else "expected a .ckpt of a run"
            raise UserError(f"iteration.input_model_path {path}: there is no such checkpoint; {made_by}")
        return path


def command_that_makes(run: Path) -> str:
    """Say which command makes the run of a folder, where its name tells; how to name another one otherwise."""
    options = _options_of(run.parent)
    if run.name != RUN_FOLDER or not options:
        return "expected the folder of a run that is finished"
    return f"`python -m parc.train {options}` makes it, or give iteration.previous_run=FOLDER for a run from elsewhere"


def command_that_corrects(folder: Path) -> str:
    """Say which command makes an iteration's folder of physical motions, out of those that were generated beside it."""
    options = _options_of(folder.parent)
    return f"python -m parc.correct {options or f'motions={folder.with_name(GENERATED_FOLDER)} output_dir={folder}'}"


def _options_of(folder: Path) -> str:
    """Return the overrides that choose the iteration of a folder, where its name tells."""
    if not re.fullmatch(r"iter[1-9]\d*", folder.name):
        return ""
    return " ".join(iteration_overrides(folder.name, [conf_folder()]))
