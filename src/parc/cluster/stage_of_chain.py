"""A stage of an iteration in a chain: which overrides are its, and the run that they compose."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from parc.cluster.sweeping import checked_run, launcher_settings, refuse_other_launcher
from parc.configuration.composed import composed_config
from parc.configuration.errors import UserError
from parc.configuration.hydra_help import iteration_overrides
from parc.configuration.hydra_messages import in_one_line, is_of_hydra
from parc.configuration.origins import key_of_override
from parc.configuration.pieces import unknown_key
from parc.configuration.trusted import trust_composed
from parc.stages.settings import STAGE_KEY
from parc.stages.stage import Run, find_stage

_PREVIOUS = "${iteration.previous}"


@dataclass(frozen=True)
class ComposedStage:
    """A stage of an iteration, composed and checked.

    Attributes:
        stage, iteration: their names.
        run: what it does.
        launcher: that is to start it: one of parc's.
        launcher_settings: what its launcher is told.
        overwrite: whether its run is to start anew.
    """

    stage: str
    iteration: str
    run: Run[Any]
    launcher: Any
    launcher_settings: dict[str, Any]
    overwrite: bool


def composed_stage(
    stage: str, iteration: str, before: str | None, overrides: list[str], folders: list[Path]
) -> ComposedStage:
    """Compose and check a stage of an iteration.

    Args:
        stage: its name.
        iteration: an option of the group, or the name of one that `iteration=next` describes.
        before: the one before it in the chain.
        overrides: of every stage that knows their key.
        folders: of options: the project's, and the user's own.

    Raises:
        UserError: its config is wrong; names the iteration.
    """
    own = [*iteration_overrides(iteration, folders, before), *_overrides_of(stage, before, overrides, folders)]
    try:
        own = _without_a_previous_one(stage, own, folders)
        composed, loader = composed_config(stage, own, folders)
        HydraConfig.instance().set_config(composed)
        settings = launcher_settings(composed)
        context = HydraContext(config_loader=loader, callbacks=Callbacks())
        launcher = Plugins.instance().instantiate_launcher(context, _no_task, composed)
    except Exception as error:
        if not is_of_hydra(error):
            raise
        reason = in_one_line(error, stage, f"python -m parc.{stage}", own, folders[1:])
        raise UserError(f"{iteration}: {reason}; nothing was started") from error
    try:
        refuse_other_launcher(composed, launcher)
    except UserError as error:
        raise UserError(f"{iteration}: {error}") from error
    run, overwrite = checked_run(iteration, composed, loader, own)
    return ComposedStage(stage, iteration, run, launcher, settings, overwrite)


def _no_task(_: object) -> None:
    """Do nothing: launchers of parc are given runs, not Hydra's task function."""


def _overrides_of(stage: str, before: str | None, overrides: list[str], folders: list[Path]) -> list[str]:
    known = _known_to(stage, tuple(folders))
    of_the_first = known.of_the_first if before else ()
    return [each for each in overrides if _first_name(each) in known.names and not _is_of(each, of_the_first)]


def _without_a_previous_one(stage: str, overrides: list[str], folders: list[Path]) -> list[str]:
    """Leave out overrides that say where something of the previous iteration is, where there is none."""
    others = [each for each in overrides if _PREVIOUS not in each]
    if len(others) == len(overrides):
        return overrides
    composed, _ = composed_config(stage, others, folders)
    return overrides if OmegaConf.select(composed, "iteration.previous") is not None else others


def refuse_what_no_stage_knows(stages: list[str], overrides: list[str], folders: list[Path]) -> None:
    """Check that each override is one of some stage's: each stage takes those whose group or key it has.

    Raises:
        UserError: one is not; names the nearest that is.
    """
    known = frozenset().union(*(_known_to(stage, tuple(folders)).names for stage in stages))
    for override in overrides:
        if _first_name(override) not in known:
            # Composing with it says what is wrong with it, and what is near.
            _composed(stages[0], [override], folders)
            raise unknown_key("", _first_name(override), sorted(known))  # +key=value adds any


def _composed(stage: str, overrides: list[str], folders: list[Path]) -> DictConfig:
    """Return the config of a stage; what Hydra finds wrong is one line."""
    try:
        return composed_config(stage, overrides, folders)[0]
    except Exception as error:
        if not is_of_hydra(error):
            raise
        raise in_one_line(error, stage, f"python -m parc.{stage}", overrides, folders[1:]) from error


def _first_name(override: str) -> str:
    return re.split(r"[./]", key_of_override(override))[0]


@dataclass(frozen=True)
class _Known:
    """What a stage knows.

    Attributes:
        names: at the top of its config, and of its groups.
        of_the_first: keys that hold for the first iteration of a chain only.
    """

    names: frozenset[str]
    of_the_first: tuple[str, ...]


@cache
def _known_to(stage: str, folders: tuple[Path, ...]) -> _Known:
    composed = _composed(stage, [], list(folders))
    trust_composed(composed)
    groups = [str(group).partition("/")[0] for group in composed.hydra.runtime.choices]
    return _Known(frozenset([*map(str, composed), *groups]), find_stage(composed.get(STAGE_KEY)).of_the_first)


def _is_of(override: str, keys: tuple[str, ...]) -> bool:
    key = key_of_override(override)
    return any(f"{key}.".startswith(f"{each}.") for each in keys)
