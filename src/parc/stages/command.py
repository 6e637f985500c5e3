"""The verb of a stage: from a command line to a run."""

import sys
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from parc.configuration.composing import (
    compose_from_command_line,
    config_from_file,
    origin_in_file,
    overwrite_of,
    refuse_launcher,
    run_config,
    take_config_file,
)
from parc.configuration.errors import SettingsError, UserError
from parc.configuration.messages import show_messages
from parc.configuration.origins import key_of, origin_of, overrides_of, with_origin
from parc.configuration.program import run_program
from parc.configuration.trusted import trust_composed


def run_verb(name: str, as_overrides: Callable[[list[str]], list[str]] = list) -> None:
    """Run the stage of a primary config as this process's command line asks, and leave the process.

    Args:
        name: of the primary config, `conf/NAME.yaml`, and of the verb, `python -m parc.NAME`.
        as_overrides: makes Hydra's arguments of those of a verb that takes others too.
    """

    def work() -> None:
        show_messages()
        run_command_line(name, as_overrides(sys.argv[1:]))

    run_program(work)


def run_command_line(name: str, arguments: list[str]) -> None:
    """Run what the arguments of a command line ask for.

    Raises:
        UserError: an argument, the config, an input or the folder is not as it should be.
        Interrupted: a signal came; the state is saved.
    """
    path, arguments = take_config_file(arguments)
    if path:
        config, overwrite = config_from_file(path, arguments)
        try:
            _start(name, config, overwrite)
        except UserError as error:
            raise with_origin(error, origin_in_file(error, path, arguments)) from error
        return
    composed: list[tuple[DictConfig, Any, Any]] = []

    def keep(config: DictConfig) -> None:
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.hydra_config import HydraConfig

        # Hydra hands over the config without its own part, which says where keys came from.
        composed.append((config, HydraConfig.get(), GlobalHydra.instance().config_loader()))

    compose_from_command_line(arguments, name, f"python -m parc.{name}", keep)
    # The run begins when Hydra has left: it would dress every error in words of its own.
    for config, hydra, loader in composed:
        try:
            trust_composed(config)
            refuse_launcher(hydra)
            _start(name, run_config(config), overwrite_of(config))
        except UserError as error:
            raise with_origin(error, origin_of(key_of(error), hydra, loader, overrides_of(hydra))) from error


def _start(name: str, config: dict[str, Any], overwrite: bool) -> None:
    # A stage's own modules may take seconds to import: --help and --cfg job do without.
    from parc.stages.settings import STAGE_KEY
    from parc.stages.stage import read_run

    run = read_run(config)
    if run.stage.name != name:
        raise SettingsError(STAGE_KEY, f"this is the config of another stage; give it to `{run.stage.verb}`")
    run.start(overwrite)
