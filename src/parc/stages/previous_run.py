"""What an earlier run's config says, wherever its folder is now."""

from pathlib import Path
from typing import Any

from parc.configuration.errors import SettingsError
from parc.configuration.marks import moved, with_paths
from parc.configuration.output_folders import refuse_folders_of_others
from parc.configuration.pieces import located, make
from parc.configuration.saved_config import read_saved_config
from parc.configuration.schema import Settings


def piece_of_run(config_path: Path, name: str, kind: type) -> Any:
    """Make a piece of an earlier run from the config in its folder.

    Args:
        config_path: of the config.
        name: of the piece, a key at the top of the config.
        kind: class or protocol that the piece is of.

    Raises:
        UserError: the config cannot be read, or has no such piece.
    """
    config, key = read_saved_config(config_path), f"{config_path}: {name}"
    settings = config.get(name)
    if not isinstance(settings, dict):
        raise SettingsError(key, f"is {settings!r}, expected the settings of a {kind.__name__}")
    old, new = _data_folders(config, config_path.parent.absolute())
    target = located(settings, kind, key)
    here = with_paths(target, settings, lambda path: moved(path, old, new))
    refuse_folders_of_others(target, here, key)
    return make(here, kind, key)


def _data_folders(config: Settings, folder: Path) -> tuple[str, str]:
    """Return where a run's `data_dir` was when it ran, and where it is now: a folder in it may have moved along with it."""
    data, output = config.get("data_dir"), config.get("output_dir")
    if not isinstance(data, str) or not isinstance(output, str) or not Path(output).is_relative_to(data):
        return "/", "/"
    inside = Path(output).relative_to(data).parts
    if folder.parts[len(folder.parts) - len(inside) :] != inside:
        return data, data
    return data, str(Path(*folder.parts[: len(folder.parts) - len(inside)]))
