"""Saying where a key of a composed config came from."""

import re
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from parc.configuration.errors import SettingsError, UserError


def key_of_override(override: str) -> str:
    """Return what an override sets: `key` of `+key=value`, `~key`, `key@package=value`."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def own_folders(loader: ConfigLoader) -> list[Path]:
    """Return the folders of the user's own options, which Hydra was given with --config-dir."""
    search = loader.get_search_path().get_path()
    return [Path(each.path.removeprefix("file://")) for each in search if each.provider == "command-line"]


def overrides_of(hydra: DictConfig) -> list[str]:
    """Return the overrides that a config was composed with, as they were given."""
    given = OmegaConf.to_container(hydra.overrides, resolve=False)
    assert isinstance(given, dict)
    return [*given["hydra"], *given["task"]]


def key_of(error: UserError) -> str:
    """Return the dotted key that an error is about; nothing where its message begins otherwise."""
    match = re.match(r"[a-z_0-9]+(\.[a-z_0-9]+)*(?=:? )", str(error))
    return error.key if isinstance(error, SettingsError) else match[0] if match else ""


def with_origin(error: UserError, origin: str) -> UserError:
    """Return the error with where its key came from."""
    key = key_of(error)
    return UserError(f"{key} ({origin}){str(error)[len(key) :]}") if key and origin else error


def origin_of(key: str, hydra: DictConfig, loader: ConfigLoader, overrides: list[str]) -> str:
    """Say where a key came from: the override, or else the last file that holds it.

    What composing adds up cannot be told apart afterwards, so the defaults list is walked again.

    Args:
        key: dotted, from the top of the config.
        hydra: the hydra part of the config.
        loader: that composed it.
        overrides: that it was composed with.
    """
    # An override of a whole group (model=mdm) is no value: the file it chose says more.
    values = [each for each in overrides if key_of_override(each) not in hydra.runtime.choices]
    if override := origin_among(key, values):
        return override
    return _file_of(key, hydra, loader, overrides)


def origin_among(key: str, overrides: list[str]) -> str:
    """Say which override set a key, what it lies in, or something in it; nothing where none did."""
    for override in reversed(overrides):
        name = key_of_override(override)
        if name and f"{key}.".startswith(f"{name}."):
            return f"override {override}"
    inside = [each for each in overrides if key and key_of_override(each).startswith(f"{key}.")]
    return f"override {inside[-1]}" if inside else ""


def _file_of(key: str, hydra: DictConfig, loader: ConfigLoader, overrides: list[str]) -> str:
    from hydra.types import RunMode

    repository = loader.repository  # type: ignore[attr-defined]
    defaults = loader.compute_defaults_list(hydra.job.config_name, overrides, RunMode.RUN)
    for default in reversed(defaults.defaults):
        if default.config_path is None or (default.config_path.startswith("hydra/") and not key.startswith("hydra.")):
            continue
        loaded = repository.load_config(default.config_path)
        if loaded is None:
            continue
        package = f"{default.package}." if default.package not in (None, "", "_global_") else ""
        if key.startswith(package) and _holds(loaded.config, key[len(package) :]):
            return f"in {loaded.path.removeprefix('file://')}/{default.config_path}.yaml"
    return ""


def _holds(config: Any, key: str) -> bool:
    for name in key.split("."):
        if not OmegaConf.is_dict(config) or name not in config.keys():  # noqa: SIM118  (a key without a value counts)
            return False
        config = config._get_node(name)
    return True
