"""What Hydra finds wrong, said in one line: without its own advice (`+key=` is never meant), with the nearest right name."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from omegaconf import OmegaConf

from parc.configuration.composed import composed_config
from parc.configuration.errors import UserError, nearest_name
from parc.configuration.files import read_text
from parc.configuration.hydra_help import conf_folder, iteration_overrides, options_of
from parc.configuration.origins import key_of_override
from parc.configuration.saved_config import flat

_OF_HYDRA = ("hydra", "omegaconf", "antlr4", "yaml")


def is_of_hydra(error: BaseException) -> bool:
    """Say whether an error is of Hydra's or OmegaConf's making, which a user's mistake gives: its kind, or its place."""
    if isinstance(error, UnicodeDecodeError):  # of an option's file; raised by Python's decoder
        return True
    return _package(type(error).__module__) in _OF_HYDRA or _raised_in(error.__traceback__) in _OF_HYDRA


def _raised_in(traceback: TracebackType | None) -> str:
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return _package(traceback.tb_frame.f_globals.get("__name__", "")) if traceback else ""


def _package(module: str) -> str:
    return module.partition(".")[0]


def in_one_line(
    error: BaseException,
    config_name: str,
    verb: str,
    overrides: Sequence[str] = (),
    own_folders: Sequence[Path] = (),
) -> UserError:
    """Say what Hydra or OmegaConf found wrong in one line.

    Args:
        error: theirs.
        config_name: of the primary config.
        verb: the program, as it is called.
        overrides: that a config was to be composed with; other arguments among them do no harm.
        own_folders: of the user's own options.
    """
    folders = [conf_folder(), *own_folders]
    from hydra.errors import OverrideParseException

    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UnicodeDecodeError) and (unreadable := _not_text(own_folders)):
        return unreadable
    keys, options = f" (`{verb} --cfg job` shows all of them)", f" (`{verb} --help` shows all of them)"
    if isinstance(error, OverrideParseException):
        return UserError(
            f"'{error.override}': cannot be read; expected KEY=VALUE or GROUP=OPTION, as `{verb} --help` shows; quote "
            "values with brackets, commas, spaces or letters beyond a to z twice: 'KEY=\"VALUE\"'"
        )
    if match := re.search(r"Could not override '([^']*)'", text):
        key, known = match[1], _known_keys(config_name, overrides, folders)
        if key in known:  # of a mapping, keys that it has not
            return UserError(
                f"{key}: what was given has a key that is not there; expected +{key}.KEY=VALUE to add one{keys}"
            )
        return UserError(f"{key}: there is no such key{_nearest_key(key, known, folders)}{keys}")
    if match := re.search(r"Could not delete from config. '([^']*)' does not exist", text):
        key, known = match[1], _known_keys(config_name, overrides, folders)
        return UserError(f"~{key}: there is no such key{_nearest_key(key, known, folders)}{keys}")
    if match := re.search(r"Could not append to config. An item is already at '([^']*)'", text):
        return UserError(f"+{match[1]}: this key has a value already; expected {match[1]}=VALUE")
    if match := re.search(r"Could not (?:find|load) '([^']*)'", text):
        where, typed = re.match(r"In '([^']*)'", text), _typed(match[1])
        asked = f" (in {where[1]}.yaml)" if where and where[1] != config_name and typed not in overrides else ""
        return UserError(f"{typed}{asked}: there is no such option{_nearest_option(match[1], folders)}{options}")
    if "Config group override must be a string or a list" in text:
        groups = {"", *_groups(folders)}
        odd = [each for each in overrides if key_of_override(each) in groups and not _names_option(each)]
        return UserError(f"'{' '.join(odd)}': expected GROUP=OPTION{options}")
    if "does not have a `_target_` field" in text:
        return UserError(f"hydra.launcher: expected hydra/launcher=OPTION, with a slash{options}")
    if match := re.search(r"Ambiguous value for argument '([^']*)'", text):
        return UserError(f"'{match[1]}': several values; give -m for a sweep over them, or quotes for one text")
    if match := re.search(r"unexpected keyword argument '(\w+)'.*full_key: (\S+)", text):
        return UserError(f"{match[2]}.{match[1]}: there is no such key{keys}")
    text = re.sub(
        r"\s*(full_key|object_type|reference_type): .*|\s*See https?://\S+.*|\s*Set the environment.*", "", text
    )
    return UserError(f"{text[:400].rstrip('. ')}; `{verb} --help` shows what can be given")


def _not_text(folders: Sequence[Path]) -> UserError | None:
    """Return the error of the first file of options that is not text."""
    for path in (path for folder in folders for path in sorted(folder.rglob("*.yaml"))):
        try:
            read_text(path)
        except UserError as error:
            return error
    return None


def _nearest_key(key: str, known: list[str], folders: list[Path]) -> str:
    if "/" in key:
        return nearest_name(key, sorted(_groups(folders)))
    # What is misspelled may be a group of keys, but not the one that the key is in.
    near = [name for name in known if name != key.rpartition(".")[0]]
    if not key.startswith("hydra."):
        near = [name for name in near if name.partition(".")[0] != "hydra"]
    return nearest_name(key, near)


def _known_keys(config_name: str, overrides: Sequence[str], folders: list[Path]) -> list[str]:
    """Return the keys of a config with the options that were chosen: those of values, then those of groups of them."""
    groups = _groups(folders)
    chosen = [each for each in overrides if key_of_override(each) in groups and "," not in each]
    known = [name for name in flat(_settings(config_name, folders, chosen)) if not name.endswith("_target_")]
    return known + sorted({name.rpartition(".")[0] for name in known} - {""})


def _groups(folders: list[Path]) -> set[str]:
    return {option.rpartition("/")[0] for option in options_of(folders)}


def _names_option(override: str) -> bool:
    import yaml

    return isinstance(yaml.safe_load(override.partition("=")[2] or "''"), (str, list)) and "=" in override[1:]


def _typed(option: str) -> str:
    """Return an option as it is typed: group=option."""
    group, _, name = option.rpartition("/")
    return f"{group}={name}" if group else name


def _settings(config_name: str, folders: list[Path], chosen: list[str]) -> dict[str, Any]:
    """Return the config of chosen options, for its names; the default one where they cannot be composed."""
    for overrides in (chosen, []):
        try:
            config, _ = composed_config(config_name, overrides, folders)
        except Exception as error:
            if not is_of_hydra(error):
                raise
            continue
        config.hydra = {name: config.hydra[name] for name in ("launcher", "sweeper")}
        plain = OmegaConf.to_container(config, resolve=False)
        assert isinstance(plain, dict)
        return {str(name): value for name, value in plain.items()}
    return {}


def _nearest_option(name: str, folders: list[Path]) -> str:
    if match := re.fullmatch(r"dataset/of/(.+)", name):
        return (
            f"; have a file dataset/of/{match[1]}.yaml beside your iteration/{match[1]}.yaml that says what it trains on "
            "(defaults: [/dataset/of/next@_here_] for what the later iterations of the project do), or give dataset=OPTION"
        )
    match = re.fullmatch(r"iteration/iter(\d+)", name)
    if match and int(match[1]) > 1:
        return f"; give {' '.join(iteration_overrides(f'iter{int(match[1])}', folders))}"
    group, _, option = name.rpartition("/")
    options = options_of(folders)
    known = [each.removeprefix(f"{group}/") for each in options if each.rpartition("/")[0] == group]
    if not match and (near := difflib.get_close_matches(option, known, n=1)):
        return f"; did you mean '{group}={near[0]}'?"
    return f"; expected one of {', '.join(known)}" if known else nearest_name(group, sorted(_groups(folders)))
