"""Where runs may write: into a folder that was named, and that is not everybody's."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parc.configuration.errors import SettingsError
from parc.configuration.marks import leaves
from parc.configuration.paths import typed_path
from parc.configuration.schema import Mark, Settings


def refuse_folders_of_others(target: Callable[..., Any], settings: Settings, key: str = "") -> None:
    """Check every folder of some settings that runs write into.

    Args:
        target: whose settings they are.
        settings: their paths are absolute.
        key: where they stand in the config.

    Raises:
        SettingsError: names the key of one that is empty, the root of the file system or the home folder.
    """
    for place, leaf in leaves(target, settings, key).items():
        if Mark.OUTPUT in leaf.marks and isinstance(leaf.value, str):
            refuse_folder_of_others(place, leaf.value)


def refuse_folder_of_others(key: str, folder: str) -> None:
    """Check that runs may write into a folder, which need not exist.

    Raises:
        SettingsError: it is empty, as from a variable that is not set, the root of the file system or the home folder.
    """
    if not os.path.expandvars(folder).strip():
        raise SettingsError(key, "is empty, expected a folder; perhaps a variable such as DATA_DIR is set but empty")
    real = _real(folder)
    for place, name in (("/", "the root of the file system"), (str(Path.home()), "the home folder")):
        if real == _real(place):
            raise SettingsError(key, f"is '{folder}', {name}; expected a folder in it, or elsewhere")


def _real(folder: str) -> str:
    # A path may begin with two slashes, which mean one.
    return "/" + os.path.realpath(typed_path(folder)).lstrip("/")
