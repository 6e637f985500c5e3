"""A config composed from options in some folders, without a command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader


def composed_config(config_name: str, overrides: list[str], folders: list[Path]) -> "tuple[DictConfig, ConfigLoader]":
    """Return a config, Hydra's own part included, and what composed it.

    Args:
        config_name: of the primary config, in any of the folders.
        overrides: to compose it with.
        folders: of options.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    # Hydra looks for the primary config in its first folder only.
    first = next((folder for folder in folders if (folder / f"{config_name}.yaml").is_file()), folders[0])
    others = ",".join(repr(str(folder.absolute())) for folder in folders if folder != first)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(first.absolute()), version_base="1.3"):
        config = compose(config_name, [*overrides, f"hydra.searchpath=[{others}]"], return_hydra_config=True)
        return config, GlobalHydra.instance().config_loader()
