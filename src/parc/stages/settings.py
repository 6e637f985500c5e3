"""The settings of a run, read once: a frozen dataclass whose pieces are made, or are recipes for what needs live objects."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from parc.configuration.errors import UserError
from parc.configuration.marks import absolute, with_paths, with_values
from parc.configuration.output_folders import refuse_folders_of_others
from parc.configuration.pieces import checked_arguments
from parc.configuration.saved_config import versioned, write_saved_config
from parc.configuration.schema import MayChange, OutputFolder, Settings

STAGE_KEY = "stage"  # of a config: which stage it is for


@dataclass(frozen=True)
class Record:
    """The plain config that settings were read from, for a run to keep.

    Attributes:
        config: resolved, every path absolute.
        verb: the program that runs it, as it is called.
    """

    config: Settings
    verb: str

    @property
    def versioned(self) -> Settings:
        """The config with the version that wrote it."""
        return versioned(self.config)

    def write(self, path: Path) -> None:
        """Write the config to a file."""
        write_saved_config(path, self.config, self.verb)


@dataclass(frozen=True)
class Length:
    """How long a run is: so many of what is counted (epochs, motions)."""

    total: int
    unit: str


@dataclass(frozen=True)
class RunSettings:
    """The settings that the runs of every stage have.

    Attributes:
        data_dir: where runs and prepared motions live.
        output_dir: the run's folder.
        record: the config that the settings were read from.
    """

    data_dir: MayChange[OutputFolder]
    output_dir: MayChange[OutputFolder]
    record: Record = field(kw_only=True, compare=False, repr=False)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output_dir)

    @property
    def length(self) -> Length:
        """How long the run is."""
        raise NotImplementedError

    def refuse_processes(self, count: int) -> None:
        """Check that so many processes can share the run.

        Raises:
            UserError: they cannot.
        """
        if count > 1:
            raise UserError(f"{count} processes cannot share this run; expected one")

    def fixed_keys(self) -> tuple[str, ...]:
        """Return keys that may not change on resume although their types say so: what else is set decides."""
        return ()


S = TypeVar("S", bound=RunSettings)


def refuse_shard(shard: int, num_shards: int) -> None:
    """Check which part of a stage's work a run does.

    Raises:
        UserError: there are no such parts; names the key.
    """
    if num_shards < 1:
        raise UserError(f"num_shards is {num_shards}, expected at least 1")
    if not 0 <= shard < num_shards:
        raise UserError(f"shard is {shard}, expected 0 to {num_shards - 1}: one of the {num_shards} of num_shards")


def read_settings(kind: type[S], config: Settings, verb: str) -> S:
    """Read a resolved config, checking its form: names, types, ranges, combinations. No files are looked at.

    Args:
        kind: of settings.
        config: plain values; its paths become absolute.
        verb: the program that runs it, as it is called.

    Raises:
        SettingsError: names the key, what is wrong with it and what was expected.
        UserError: values contradict each other.
    """
    own = with_paths(kind, without_stage(config), absolute)
    refuse_folders_of_others(kind, own)
    return kind(**checked_arguments(kind, own, ""), record=Record({**config, **own}, verb))


def without_stage(config: Settings) -> Settings:
    """Return the settings of a config, without the name of the stage that they are for."""
    return {name: value for name, value in config.items() if name != STAGE_KEY}


def with_what_is_found(settings: S) -> S:
    """Return settings with what was left null to be found out when a run first starts.

    A piece that finds something has a method `find_at_start`, which returns plain values of keys of its own.

    Raises:
        UserError: something cannot be found.
    """
    found: dict[str, Any] = {}
    for name in vars(settings):
        find = getattr(getattr(settings, name), "find_at_start", None)
        found |= {f"{name}.{key}": value for key, value in find().items()} if find else {}
    return with_changed(settings, found)


def with_changed(settings: S, values: dict[str, Any]) -> S:
    """Return settings with other values at some dotted keys, checked like all others."""
    if not values:
        return settings
    return read_settings(type(settings), with_values(settings.record.config, values), settings.record.verb)
