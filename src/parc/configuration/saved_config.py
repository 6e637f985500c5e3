"""The config that a run keeps in its folder: resolved, with a version, and brought up to date when it is read."""

import sys
from pathlib import Path
from typing import Any

import yaml

from parc.configuration.errors import UserError
from parc.configuration.files import read_text, read_yaml, write_text_whole
from parc.configuration.older_configs import VERSION, up_to_date

STANDARD_INPUT = Path("-")


def read_saved_config(path: Path) -> dict[str, Any]:
    """Read a run's resolved config, brought up to date where an older version of parc wrote it.

    Raises:
        UserError: the file is missing, no YAML mapping, or of a newer version.
    """
    if not path.is_file() and path != STANDARD_INPUT:
        raise UserError(f"{path}: there is no such config; expected the resolved config of a run")
    try:
        text = sys.stdin.read() if path == STANDARD_INPUT else read_text(path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())[:160]})") from error
    content = read_yaml(path, text)
    if not isinstance(content, dict) or not _has_text_keys(content):
        raise UserError(f"{path}: expected a mapping of settings, the resolved config of a run")
    return up_to_date(content, str(path))


def _has_text_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_has_text_keys, value.values()))
    return not isinstance(value, list) or all(map(_has_text_keys, value))


def write_saved_config(path: Path, config: dict[str, Any], verb: str) -> None:
    """Write a run's resolved config.

    Args:
        path: the file.
        config: its settings.
        verb: the program that runs it, as it is called.
    """

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True  # `read_yaml` takes none

    header = f"# The whole config of this run, resolved. `{verb} --config THIS_FILE` starts it again.\n"
    write_text_whole(path, header + yaml.dump(versioned(config), Dumper=Plain, sort_keys=False))


def versioned(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config as it is kept, with the version that wrote it."""
    return {"version": VERSION, **config}


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a config as one level of dotted keys."""
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values
