"""A stage: what runs from a config in a folder of its own. All that sweeps, launchers, tables and chains know of it."""

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from parc.configuration.errors import SettingsError
from parc.configuration.saved_config import read_saved_config
from parc.configuration.schema import Settings
from parc.configuration.trusted import refuse_untrusted
from parc.stages.overwriting import FileNames, RunFiles, delete_runs
from parc.stages.progress import say_finished
from parc.stages.resuming import resumed
from parc.stages.settings import STAGE_KEY, RunSettings, read_settings, with_what_is_found

log = logging.getLogger(__name__)

S = TypeVar("S", bound=RunSettings)


@dataclass(frozen=True)
class Stage(Generic[S]):
    """What runs from a config in a folder of its own, and goes on there when the same command is given again.

    A stage has a primary config in `conf/` (or in a user's `--config-dir`) whose key `stage` names it, and a verb of a few
    lines (see `parc.stages.command`). While it runs, it leaves word in its folder of how far it is (see
    `parc.stages.progress`).

    Attributes:
        name: of its primary config and of its verb.
        settings: the type of its settings, whose constructor checks that they fit each other.
        config_file: name of the file in the run's folder that keeps the config; once it is there, the run has begun.
        result: name of what a finished run leaves in its folder.
        check_inputs: checks, before anything is deleted, that a run can start here: its device and its inputs.
        run: runs it to its end, from wherever its folder is.
        is_finished: whether the folder holds the whole result.
        files: names of what a run writes into its folder besides its config, its result and what every run writes: with
            these, all that `overwrite=true` deletes.
        of_the_first: keys that say what the first iteration of a chain starts from; later ones start from the one before.
        compare: draws what the runs of a sweep found, from the sweep's folder and into it; returns the picture, or None where
            there is nothing to compare yet. None for stages that draw nothing.
    """

    name: str
    settings: type[S]
    config_file: str
    result: str
    check_inputs: Callable[[S], None]
    run: Callable[[S], None]
    is_finished: Callable[[S], bool]
    files: FileNames = field(default_factory=dict)
    of_the_first: tuple[str, ...] = ()
    compare: Callable[[Path], Path | None] | None = None

    @property
    def verb(self) -> str:
        """The program that runs this stage, as it is called."""
        return f"python -m parc.{self.name}"


@dataclass(frozen=True)
class Run(Generic[S]):
    """A run of a stage: its settings, in form.

    Attributes:
        stage: what runs.
        settings: with which.
    """

    stage: Stage[S]
    settings: S

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.settings.folder

    @property
    def config_path(self) -> Path:
        """Where the run keeps its config."""
        return self.folder / self.stage.config_file

    @property
    def files(self) -> RunFiles:
        """What the run writes into its folder."""
        others = {**self.stage.files, "": (*self.stage.files.get("", ()), self.stage.result)}
        return RunFiles(self.folder, self.stage.config_file, others)

    def start(self, overwrite: bool = False) -> None:
        """Run it, or go on with it where its folder is; say so where it is finished.

        Args:
            overwrite: delete what the run that is there wrote first.

        Raises:
            UserError: an input or the folder is not as it should be.
            Interrupted: a signal came; the state is saved, and the same config continues.
        """
        if overwrite:
            self.stage.check_inputs(with_what_is_found(self.settings))
            delete_runs([self.files])
        run = self.continued()
        if run._is_done():
            log.info("%s: finished, there is nothing left to do (%s)", self.folder, self.folder / self.stage.result)
            # A process that was killed after its result was whole, or one of an older version, did not say so.
            say_finished(self.folder, self.settings.length.total, self.settings.length.unit)
        else:
            self.stage.run(run.settings)

    def is_finished(self) -> bool:
        """Say whether there is nothing left to do.

        Raises:
            UserError: the folder holds a run of another config.
        """
        return self.config_path.is_file() and self.continued()._is_done()

    def _is_done(self) -> bool:
        return self.config_path.is_file() and self.stage.is_finished(self.settings)

    def continued(self) -> "Run[S]":
        """Return this run with what it found out when it first started: from its folder, or now where it has not begun.

        Raises:
            UserError: the folder holds a run of another config, or something cannot be found.
        """
        settings = self.settings
        if self.config_path.is_file():
            settings = resumed(settings, read_saved_config(self.config_path))
        return Run(self.stage, with_what_is_found(settings))


def read_run(config: Settings) -> Run[Any]:
    """Read the resolved config of a run, whatever its stage.

    Raises:
        SettingsError: names the key, what is wrong with it and what was expected.
        UserError: values contradict each other.
    """
    stage = find_stage(config.get(STAGE_KEY))
    return Run(stage, read_settings(stage.settings, config, stage.verb))


def find_stage(name: Any) -> Stage[Any]:
    """Return the stage that a config names.

    Raises:
        SettingsError: there is none of this name.
    """
    expected = "expected the dotted name of a stage, as parc.training.stage.TRAIN"
    if not isinstance(name, str) or "." not in name:
        raise SettingsError(STAGE_KEY, f"is {name!r}, {expected}")
    module_name, _, own_name = name.rpartition(".")
    refuse_untrusted(module_name, STAGE_KEY)
    try:
        found = getattr(importlib.import_module(module_name), own_name, None)
    except Exception as error:  # whatever a module does that is no part of this project
        reason = " ".join(str(error).split())
        raise SettingsError(STAGE_KEY, f"'{name}' cannot be imported ({reason}); {expected}") from error
    if not isinstance(found, Stage):
        raise SettingsError(STAGE_KEY, f"'{name}' is no stage; {expected}")
    return found
