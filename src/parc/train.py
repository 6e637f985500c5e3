"""Train a motion diffusion model: python -m parc.train [GROUP=OPTION ...] [KEY=VALUE ...]; --help shows more."""

import faulthandler
import sys
from pathlib import Path
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
from parc.configuration.errors import UserError, exit_with_one_line
from parc.configuration.messages import show_messages
from parc.configuration.origins import key_of, origin_of, overrides_of, with_origin
from parc.configuration.run_folder import overwrite_runs

VERB = "python -m parc.train"


def main() -> None:
    """Compose a run from the command line and train it."""
    faulthandler.enable()
    show_messages()
    exit_with_one_line(lambda: run(sys.argv[1:]))


def run(arguments: list[str]) -> None:
    """Train what the arguments of a command line ask for."""
    path, arguments = take_config_file(arguments)
    if path:
        config, overwrite = config_from_file(path, arguments)
        try:
            train_run(config, overwrite)
        except UserError as error:
            raise with_origin(error, origin_in_file(error, path, arguments)) from error
        return
    composed: list[tuple[DictConfig, Any, Any]] = []

    def keep(config: DictConfig) -> None:
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.hydra_config import HydraConfig

        # Hydra hands over the config without its own part, which says where keys came from.
        composed.append((config, HydraConfig.get(), GlobalHydra.instance().config_loader()))

    compose_from_command_line(arguments, VERB, keep)
    # Training begins when Hydra has left: it would dress every error in words of its own.
    for config, hydra, loader in composed:
        try:
            refuse_launcher(hydra)
            train_run(run_config(config), overwrite_of(config))
        except UserError as error:
            raise with_origin(error, origin_of(key_of(error), hydra, loader, overrides_of(hydra))) from error


def train_run(config: dict[str, Any], overwrite: bool) -> None:
    """Train the run of a resolved config; with `overwrite`, its folder is deleted first."""
    # torch takes seconds to import: --help and --cfg job do without.
    from parc.training.place import check_place
    from parc.training.run_settings import check_form
    from parc.training.train import train

    check_form(config)
    if overwrite:
        check_place(config)  # before anything is deleted
        overwrite_runs([Path(config["output_dir"])])
    train(config)


if __name__ == "__main__":
    main()
