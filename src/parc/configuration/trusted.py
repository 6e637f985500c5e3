"""Which packages a config may name: this project's, and those that the user's own command line or options name.

A config may come with somebody else's run or checkpoint, and importing a module runs it. Commands of programs are run outright:
so they, too, come from the user's own command line or options.
"""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from parc.configuration.errors import SettingsError, UserError

NAMING_KEYS = ("_target_", "stage")  # whose values are names of what is imported
PACKAGES_KEY = "model_packages"  # whose value lists packages that a model's file may name
COMMAND_KEY = "command"  # whose value is a program that is run, with its arguments
_COMMANDS = "commands of programs"  # among what is trusted: no package's name has spaces
_trusted = {"parc"}


def trust(packages: Sequence[str]) -> None:
    """Let configs name these packages in this process."""
    _trusted.update(packages)


def trusted_packages() -> list[str]:
    """Return what configs may name in this process, for the processes that it starts."""
    return sorted(_trusted)


def trust_overrides(overrides: Sequence[str]) -> None:
    """Trust the packages that a command line names itself: `trainer._target_=mine.Trainer`."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key.rpartition(".")[2] in NAMING_KEYS:
            _trust_module_of(value.strip("'\""))
        elif key == PACKAGES_KEY:
            trust([name.strip(" '\"") for name in value.strip("[]").split(",")])
        elif key.rpartition(".")[2] == COMMAND_KEY:
            trust([_COMMANDS])


def trust_composed(config: DictConfig) -> None:
    """Trust the packages that a composed config names: the options and overrides of a command line are all there is in it."""
    _trust_named_in(OmegaConf.to_container(config, resolve=False))


def _trust_named_in(settings: Any) -> None:
    if isinstance(settings, dict):
        for key, value in settings.items():
            if key in NAMING_KEYS and isinstance(value, str):
                _trust_module_of(value)
            elif key == PACKAGES_KEY and isinstance(value, list):
                trust([name for name in value if isinstance(name, str)])
            elif key == COMMAND_KEY:
                trust([_COMMANDS])
            else:
                _trust_named_in(value)


def _trust_module_of(name: str) -> None:
    package, dot, _ = name.partition(".")
    if dot and package.isidentifier():
        trust([package])


def refuse_untrusted(module: str, key: str) -> None:
    """Check that a module may be imported because a config names it.

    Raises:
        SettingsError: its package is neither this project's nor named by the user.
    """
    package = module.partition(".")[0]
    if package not in _trusted:
        raise SettingsError(
            key,
            f"'{module}' is of a package that a file names, and neither your command nor options that it chose; if you trust "
            "it, name it yourself (KEY._target_=MODULE.CLASS, an option of yours, model_packages=[PACKAGE] for a model, or "
            "packages= in Python)",
        )


def refuse_untrusted_command(key: str) -> None:
    """Check that a program may be run because a config names it.

    Raises:
        UserError: a file names it that the user's own command line did not compose.
    """
    if _COMMANDS not in _trusted:
        raise UserError(
            f"{key} is a program that a file names, and neither your command nor options that it chose; if you trust it, name it "
            f"yourself ({key}=[PROGRAM,WORD,...])"
        )
