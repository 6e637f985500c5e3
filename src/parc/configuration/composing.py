"""Composing a run's config: from the command line with Hydra, or from the config that a run has kept."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from parc.configuration.composed import composed_config
from parc.configuration.errors import SettingsError, UserError, nearest_name
from parc.configuration.hydra_help import conf_folder, help_text
from parc.configuration.hydra_messages import in_one_line, is_of_hydra
from parc.configuration.origins import key_of, key_of_override, origin_among, with_origin
from parc.configuration.saved_config import STANDARD_INPUT, flat, read_saved_config
from parc.configuration.trusted import trust_overrides

DEFAULT_LAUNCHER = "local"
_KEYS_OF_HYDRA = ("launcher", "sweeper", "mode", "verbose", "searchpath")
NOT_IN_A_RUN = ("hydra", "experiment", "overwrite")  # keys that compose a run, and are not kept in its config


def compose_from_command_line(
    arguments: list[str], config_name: str, verb: str, task: Callable[[DictConfig], None]
) -> None:
    """Let Hydra read the command line: `task` is called with the composed config, but for sweeps, help and --cfg.

    Args:
        arguments: of the command line.
        config_name: of the primary config.
        verb: the program, as it is called.
        task: takes the config of a single run.

    Raises:
        UserError: whatever Hydra found wrong, in one line.
    """
    import hydra

    flags, arguments = _sorted_out(arguments, verb)
    folders = [Path(flags.config_dir)] if flags.config_dir is not None else []
    if flags.help:
        print(help_text(config_name, [conf_folder(), *folders]))
        return
    # Hydra would print what it finds wrong and leave; it has to raise it, so that one place makes the line of it.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=config_name)(task)()
    except UserError:
        raise
    except Exception as error:
        if not is_of_hydra(error):
            raise
        raise in_one_line(error, config_name, verb, arguments, folders) from error


def _sorted_out(arguments: list[str], verb: str) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags of a command line, and its arguments with flags first: Hydra takes none in between.

    Raises:
        UserError: a flag is unknown, incomplete, or takes away the configs that this program is made of.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def refuse(message: str) -> None:
        raise UserError(f"{message}; `{verb} --help` shows what can be given")

    parser.error = refuse  # type: ignore[assignment, method-assign]
    given, left = parser.parse_known_args(arguments)
    if unknown := [each for each in left if each.startswith("-")]:
        refuse(f"{unknown[0]}: there is no such flag")
    for flag in ("config_path", "config_name"):
        if getattr(given, flag) is not None:
            name = flag.replace("_", "-")
            refuse(f"--{name} {getattr(given, flag)}: expected --config FILE, the config of a run, or --config-dir DIR")
    overrides = [*given.overrides, *left]
    refuse_what_sets_nothing(overrides)
    before = list(arguments)
    for override in overrides:
        before.remove(override)
    return given, [*before, *overrides]


def refuse_what_sets_nothing(overrides: list[str]) -> None:
    """Check that every override sets something: Hydra takes keys of its own, and of groups, that no run looks at.

    Raises:
        UserError: one does not; names its key.
    """
    for override in overrides:
        key = key_of_override(override)
        group, _, name = key.partition(".")
        if group == "experiment" and name:
            raise UserError(f"{key} (override {override}): sets nothing; expected {name}=VALUE, or experiment=OPTION")
        if group == "hydra" and name.partition(".")[0] not in _KEYS_OF_HYDRA:
            expected = ", ".join(f"hydra.{each}" for each in _KEYS_OF_HYDRA)
            raise UserError(f"{key} (override {override}): sets nothing here; expected a key of the run, or {expected}")


def pieces_of_option(config_name: str, overrides: list[str], names: list[str]) -> dict[str, Any]:
    """Return the settings of some pieces as options of the project give them.

    Args:
        config_name: of the primary config.
        overrides: that choose options.
        names: of the pieces.
    """
    config, _ = composed_config(config_name, overrides, [conf_folder()])
    return _resolved(config, names)


def run_config(composed: DictConfig) -> dict[str, Any]:
    """Return the resolved config of a run, without what only served to compose it.

    Raises:
        SettingsError: a key has no value yet, or its interpolation leads nowhere.
    """
    kept = [str(name) for name in composed if name not in NOT_IN_A_RUN]
    missing = [key for key, node in _leaves(composed, kept) if node._is_missing()]
    if missing:
        also = f" (nor has {', '.join(missing[1:])})" if len(missing) > 1 else ""
        raise SettingsError(missing[0], f"has no value yet{also}; give {missing[0]}=VALUE")
    return _resolved(composed, kept)


def overwrite_of(composed: DictConfig) -> bool:
    """Return whether a run's folder is to be deleted first.

    Raises:
        SettingsError: it is neither true nor false.
    """
    overwrite = _resolved(composed, ["overwrite"]).get("overwrite", False) if "overwrite" in composed else False
    return checked_overwrite(overwrite)


def checked_overwrite(value: Any) -> bool:
    """Return the value of `overwrite`, which never stands for anything but true or false.

    Raises:
        SettingsError: it is neither.
    """
    if not isinstance(value, bool):
        raise SettingsError("overwrite", f"is {value!r}, expected true or false")
    return value


def refuse_launcher(hydra: DictConfig) -> None:
    """Check that a single run was given no launcher of sweeps, which it would not use.

    Raises:
        SettingsError: it was.
    """
    option, launcher = hydra.runtime.choices.get("hydra/launcher"), hydra.launcher
    if not isinstance(launcher, DictConfig):
        raise SettingsError(
            "hydra.launcher", f"is {launcher!r}; expected hydra/launcher={launcher}, which chooses an option"
        )
    if option != DEFAULT_LAUNCHER:
        raise UserError(
            f"hydra/launcher={option}: this is no sweep, nothing would be sent; give -m too (one job will do)"
        )
    for name in launcher:
        if name != "_target_":
            raise SettingsError(f"hydra.launcher.{name}", f"there is no such key; {DEFAULT_LAUNCHER} has no settings")


def _resolved(config: DictConfig, names: list[str]) -> dict[str, Any]:
    lost = {key: reason for key, node in _leaves(config, names) if (reason := _why_lost(node))}
    if lost:
        # What refers to a lost value is lost as well: the culprit is the one that names what is not there.
        texts = {key: str(node._value()) for key, node in _leaves(config, names) if key in lost}
        culprits = [key for key in lost if any(name in texts[key] for name in re.findall(r"'([^']+)'", lost[key]))]
        key = (culprits or list(lost))[0]
        raise SettingsError(key, f"'{texts[key]}' leads nowhere ({lost[key]}); expected a value, or a key that has one")
    plain = {}
    for name in names:
        value = config[name]
        plain[name] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return plain


def _why_lost(node: Any) -> str:
    """Say why an interpolation leads nowhere; nothing where it leads somewhere, or the value is no interpolation."""
    if not node._is_interpolation():
        return ""
    try:
        node._dereference_node()
    except Exception as error:
        if not is_of_hydra(error):
            raise
        return " ".join(str(error).splitlines()[0].split())
    return ""


def _leaves(config: Any, names: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield key and node of every value, interpolations as they are."""
    for name in names:
        node, key = config._get_node(name), f"{prefix}{name}"
        if not OmegaConf.is_config(node) or node._is_none() or node._is_interpolation() or node._is_missing():
            yield key, node
        elif OmegaConf.is_dict(node):
            yield from _leaves(node, list(node.keys()), f"{key}.")
        else:
            yield from _leaves(node, list(range(len(node))), f"{key}.")


def take_config_file(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Take `--config FILE` out of the arguments, before Hydra reads them (it would take it for --config-path).

    Raises:
        UserError: --config has no file.
    """
    for place, argument in enumerate(arguments):
        if argument == "--config":
            if place + 1 == len(arguments):
                raise UserError("--config: expected the config of a run after it (mdm_config.yaml of a training)")
            return Path(arguments[place + 1]), arguments[:place] + arguments[place + 2 :]
        if argument.startswith("--config="):
            return Path(argument.partition("=")[2]), arguments[:place] + arguments[place + 1 :]
    return None, arguments


def config_from_file(path: Path, overrides: list[str]) -> tuple[dict[str, Any], bool]:
    """Return the resolved config of a run from the file in its folder, with values changed, and `overwrite`.

    Raises:
        UserError: an argument is no `key=value`, or names a key that the config does not have.
    """
    config = read_saved_config(path)
    trust_overrides(overrides)
    known = flat(config)
    changed = OmegaConf.create(config)
    overwrite = False
    for override in overrides:
        key, value = _value_override(override)
        if key == "overwrite":
            overwrite = checked_overwrite(value)
            continue
        if key not in known:
            if isinstance(OmegaConf.select(changed, key), DictConfig) or "/" in key:
                raise UserError(
                    f"'{override}': with --config, only values can be changed; expected no group, but KEY=VALUE"
                )
            raise UserError(
                f"{key} (override {override}): there is no such key in {path}{nearest_name(key, list(known))}"
            )
        OmegaConf.update(changed, key, value)
    try:
        return _resolved(changed, [str(name) for name in changed]), overwrite
    except UserError as error:
        raise with_origin(error, origin_in_file(error, path, overrides)) from error


def origin_in_file(error: UserError, path: Path, overrides: list[str]) -> str:
    """Say where the key that an error is about came from, in a config that was read from a file and changed."""
    return origin_among(key_of(error), overrides) or ("" if path == STANDARD_INPUT else f"in {path}")


def _value_override(override: str) -> tuple[str, Any]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    expected = "with --config, only values can be changed; expected KEY=VALUE"
    try:
        (parsed,) = OverridesParser.create().parse_overrides([override])
    except OverrideParseException as error:
        raise UserError(f"'{override}': cannot be read; {expected}") from error
    if override.startswith(("-", "+", "~")) or parsed.is_sweep_override() or "@" in parsed.get_key_element():
        raise UserError(f"'{override}': {expected}")
    return parsed.get_key_element(), parsed.value()
