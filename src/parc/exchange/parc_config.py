"""PARC's configs, `mdm_config.yaml` of training and kin_gen of generating, as experiments that compose to the same run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from parc.configuration.errors import UserError
from parc.configuration.files import read_text, read_yaml
from parc.configuration.messages import as_one_line
from parc.configuration.saved_config import flat
from parc.configuration.schema import Settings
from parc.exchange.parc_names import GENERATION, TRAINING, Counterpart, Names

MOST_KEYS = 2000  # of a config; PARC's have a few dozen
_LONGEST_SHOWN = 120  # characters of a key or value
_UNKNOWN = "nothing here is known by this name"
_ONLY_IN_TRAINING = ("iters_per_epoch", "epochs_per_checkpoint", "sampler_save_filepath", "sampler_stats_filepath")
_IN_ANY_RUN = ("device", "seed", "output_dir", "data_dir")
_OURS = ("stage", "defaults")  # keys of our configs and options
_TRAINING_OPTIONS = {
    "/dataset": "clips",
    "/model": "mdm",
    "/sampler": "heightfield_contact",
    "/sampler/augmentation": "maxpool_and_boxes",
    "/loss": "squared_l2",
    "/trainer": "default",
    "/logger": "wandb",
}
_GENERATION_OPTIONS = {
    "/terrain": "boxes",
    "/path": "shortest",
    "/rollout": "paper",
    "/selection": "paper",
    "/refinement": "least_squares",
    "/tidying": "near_the_motion",
}


@dataclass(frozen=True)
class SettingsFromParc:
    """What one of PARC's configs says, in our terms.

    Attributes:
        options: of groups ("/loss"), by their names.
        values: of settings, by dotted key.
        without_counterpart: a line for each key that says nothing here: "key: has no counterpart (why)".
    """

    options: dict[str, str]
    values: dict[str, Any]
    without_counterpart: list[str]


@dataclass(frozen=True)
class Experiment:
    """An option of the group `experiment`, to be written to `FOLDER/experiment/NAME.yaml`.

    A training is composed with `--config-dir FOLDER experiment=NAME`, motions with `--config-dir FOLDER +experiment=NAME`.

    Attributes:
        text: of the file.
        without_counterpart: see `SettingsFromParc`.
    """

    text: str
    without_counterpart: list[str]


def is_parc_training_config(content: Any) -> bool:
    """Say whether the content of a YAML file is a training config of PARC's."""
    names = [path[-1] for path, _ in _leaves(content)]
    return _is_not_ours(content) and any(name in _ONLY_IN_TRAINING or name.startswith("_w_") for name in names)


def is_parc_generation_config(content: Any) -> bool:
    """Say whether the content of a YAML file is a config of PARC's for generating: it has two settings or more of that."""
    if not _is_not_ours(content) or is_parc_training_config(content):
        return False
    found = [path[-1] for path, value in _leaves(content) if _counterpart(path, value, GENERATION)]
    return len({name for name in found if name not in _IN_ANY_RUN}) >= 2


def training_experiment(path: Path) -> Experiment:
    """Return the experiment of a training config of PARC's.

    Raises:
        UserError: it is none, or a value is of another kind than expected; names the key.
    """
    content = _read(path)
    if not is_parc_training_config(content):
        raise UserError(
            f"{path}: no training config of PARC's; expected a mapping with {', '.join(_ONLY_IN_TRAINING)} or _w_... in it"
        )
    found = settings_from_parc(content, str(path), TRAINING)
    return _experiment(
        found, _TRAINING_OPTIONS, f"A training of PARC's, from {path.name}: the paper's where it says nothing"
    )


def generation_experiment(path: Path) -> Experiment:
    """Return the experiment of a config of PARC's for generating (kin_gen).

    Raises:
        UserError: it is none, or a value is of another kind than expected; names the key.
    """
    content = _read(path)
    if not is_parc_generation_config(content):
        raise UserError(
            f"{path}: no config of PARC's for generating; expected a mapping with at least two settings of terrain, path, "
            "rollout or selection"
        )
    found = settings_from_parc(content, str(path), GENERATION)
    options = dict(_GENERATION_OPTIONS)
    if found.options.get("/terrain") == "file":
        options["/tidying"] = "whole_terrain"  # as there: parts of a file are not cut to the motion
    return _experiment(
        found, options, f"Motions as PARC makes them, from {path.name}: the paper's where it says nothing"
    )


def settings_from_parc(content: Settings, source: str, names: Names) -> SettingsFromParc:
    """Return what one of PARC's configs says, in our terms.

    Args:
        content: of the config.
        source: where it was, for messages.
        names: of its settings.

    Raises:
        UserError: a value is of another kind than expected, or two keys contradict each other; names the key.
    """
    leaves = list(_leaves(content))
    if len(leaves) > MOST_KEYS:
        raise UserError(f"{source}: has {len(leaves)} keys, expected at most {MOST_KEYS}; is it a config?")
    found, told_by, without = {}, {}, []
    for path, value in leaves:
        key = _shown(".".join(path))
        counterpart = _counterpart(path, value, names)
        if counterpart is None:
            without.append(f"{key}: has no counterpart ({names.without.get(path[-1], _UNKNOWN)})")
            continue
        try:
            read = counterpart.read(value)
        except ValueError as error:
            raise UserError(f"{source}: {key} is {_shown(repr(value))}, expected {error}") from error
        if found.setdefault(counterpart.key, read) != read:
            other = told_by[counterpart.key]
            raise UserError(
                f"{source}: {key} and {other} contradict each other (both are {counterpart.key.lstrip('/')} here); remove one"
            )
        told_by[counterpart.key] = key
    options = {key: value for key, value in found.items() if key.startswith("/")}
    return SettingsFromParc(options, {key: found[key] for key in found if key not in options}, without)


def training_config_in_parc_names(config: Settings) -> Settings:
    """Return what PARC calls the settings of a training run's model, windows, losses and trainer.

    Args:
        config: of a training run of ours.
    """
    values = flat(config)
    named: Settings = {}
    told: set[str] = set()
    for name, counterpart in TRAINING.counterparts.items():
        key = counterpart.key
        is_shared = key.startswith(("model.", "sampler.", "loss.", "trainer.")) and key != "sampler.sampler_save_folder"
        if is_shared and key in values and key not in told:
            told.add(key)
            _put(named, name, values[key])
    return named


def _experiment(found: SettingsFromParc, options: dict[str, str], purpose: str) -> Experiment:
    nested: Settings = {}
    for key, value in found.values.items():
        _put(nested, key, value)
    content = {"defaults": [{f"override {group}": option} for group, option in {**options, **found.options}.items()]}
    text = yaml.safe_dump({**content, **nested}, sort_keys=False, allow_unicode=True)
    return Experiment(f"# @package _global_\n# {as_one_line(purpose)}\n{text}", found.without_counterpart)


def _put(settings: Settings, key: str, value: Any) -> None:
    *groups, name = key.split(".")
    for group in groups:
        settings = settings.setdefault(group, {})
    settings[name] = value


def _counterpart(path: tuple[str, ...], value: Any, names: Names) -> Counterpart | None:
    """Return what a setting is here, by the last one or two names of its path, or by its value."""
    if path[-1] in names.without:
        return None
    for name in (".".join(path[-2:]), path[-1]):
        if name in names.counterparts:
            return names.counterparts[name]
    for choice in names.choices:
        if choice.part in path[-1].lower() and choice.knows(value):
            return Counterpart(choice.key, choice.read)
    return None


def _is_not_ours(content: Any) -> bool:
    return isinstance(content, dict) and not any(key in content for key in _OURS)


def _leaves(content: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of each setting."""
    if isinstance(content, dict) and content:
        for name, value in content.items():
            yield from _leaves(value, (*above, str(name)))
    elif above:
        yield above, content


def _read(path: Path) -> Any:
    return read_yaml(path, read_text(path))


def _shown(text: str) -> str:
    text = as_one_line(text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
