"""What is marked in the types of a config's settings, read off its values: which are paths, which may change on resume."""

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

from parc.configuration.errors import SettingsError, UserError
from parc.configuration.paths import refuse_undecodable, typed_path
from parc.configuration.pieces import Recipe, is_piece, located
from parc.configuration.schema import (
    Known,
    Mark,
    Marks,
    Settings,
    as_setting,
    marks_of,
    options_of,
    setting_types,
    values_of,
    without_marks,
)


@dataclass(frozen=True)
class Leaf:
    """A value of a config, with the marks of its type and of all that it lies in."""

    value: Any
    marks: Marks


def leaves(
    target: Callable[..., Any], settings: Settings, key: str = "", around: Marks = frozenset()
) -> dict[str, Leaf]:
    """Return every value of settings by its dotted key, defaults of what is not given included.

    Args:
        target: whose settings they are.
        settings: in form, or those of an older version, whose unknown keys have no marks.
        key: where they stand in the config.
        around: marks of what they lie in.
    """
    types = setting_types(target)
    given = {name: as_setting(setting.default) for name, setting in types.items() if not setting.required} | settings
    found: dict[str, Leaf] = {}
    for name, value in given.items():
        annotation = types[name].annotation if name in types else None
        found |= _leaves_of(annotation, value, f"{key}.{name}" if key else name, around | marks_of(annotation))
    return found


def _leaves_of(annotation: Any, value: Any, key: str, marks: Marks) -> dict[str, Leaf]:
    if not isinstance(value, dict):
        return {key: Leaf(value, marks)}
    if (inner := values_of(annotation)) is not None:
        several = [_leaves_of(inner, each, f"{key}.{name}", marks) for name, each in value.items()]
        return {place: leaf for found in several for place, leaf in found.items()}
    target = _target_of(annotation, value, key)
    return {key: Leaf(value, marks)} if target is None else leaves(target, value, key, marks)


def _target_of(annotation: Any, settings: Settings, key: str) -> Callable[..., Any] | None:
    """Return what is made from settings; None where they are plain values."""
    annotation = without_marks(annotation)
    for option in options_of(annotation):
        kind = option.__args__[0] if getattr(option, "__origin__", None) is Recipe else option
        if "_target_" in settings and is_piece(kind):
            return located(settings, kind, key)
        if is_dataclass(kind):
            return kind  # type: ignore[return-value]
    return None


def with_values(settings: Settings, values: dict[str, Any]) -> Settings:
    """Return settings with other values at some dotted keys."""
    changed = copy.deepcopy(settings)
    for key, value in values.items():
        *groups, name = key.split(".")
        place = changed
        for group in groups:
            place = place[group]
        place[name] = value
    return changed


def with_paths(target: Callable[..., Any], settings: Settings, change: Callable[[str], str]) -> Settings:
    """Return settings with every path changed; what cannot be one stays as it is.

    Raises:
        SettingsError: a path cannot be changed; names its key.
    """
    changed = {}
    for key, leaf in leaves(target, settings).items():
        if Mark.PATH in leaf.marks and leaf.value is not None:
            known = [mark.is_name for mark in leaf.marks if isinstance(mark, Known)]
            several = leaf.value if isinstance(leaf.value, list) else [leaf.value]
            try:
                paths = [
                    change(path) if _is_path(path) and not any(is_name(path) for is_name in known) else path
                    for path in several
                ]
            except UserError as error:
                raise SettingsError(key, str(error)) from error
            changed[key] = paths if isinstance(leaf.value, list) else paths[0]
    return with_values(settings, changed)


def _is_path(value: Any) -> bool:
    """Say whether a value can be a path; one that cannot stays as it is, for its check to refuse."""
    return isinstance(value, str) and value != ""


def absolute(path: str) -> str:
    """Return a path that means the same from any folder: variables and ~ expanded, from the root of the file system.

    What variables leave nothing of stays nothing: the current folder is not what they meant.

    Raises:
        UserError: no file can have it, or ~ stands for nobody's home.
    """
    if not os.path.expandvars(path).strip():
        return ""
    path = str(typed_path(path).absolute())
    refuse_undecodable(path)  # the folder that it begins in may have any name
    return path


def moved(path: str, old: str, new: str) -> str:
    """Return a path that has moved along with a folder, from `old` to `new`; others as they are."""
    return str(Path(new) / Path(path).relative_to(old)) if Path(path).is_relative_to(old) else path
