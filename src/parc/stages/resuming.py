"""Going on with a run: only with the config that it was started with, but for what may change."""

from pathlib import Path
from typing import Any, TypeVar

from parc.configuration.errors import UserError
from parc.configuration.marks import Leaf, leaves, moved, with_paths
from parc.configuration.schema import Mark, Settings
from parc.stages.run_folder import free_name
from parc.stages.settings import RunSettings, with_changed, without_stage

S = TypeVar("S", bound=RunSettings)
_ABSENT = Leaf("absent", frozenset())


def resumed(settings: S, kept: Settings) -> S:
    """Return the settings of a run that has begun, with what it found out when it first started.

    Args:
        settings: with which it is to go on.
        kept: the config in its folder. What lies below its `data_dir` may have moved along with that.

    Raises:
        UserError: the run was started with another config; shows the differences and how to go on.
    """
    kind, here = type(settings), settings.data_dir
    old, new = without_stage(kept), without_stage(settings.record.config)
    there = old.get("data_dir", here)
    along = with_paths(kind, old, lambda path: moved(path, there, here))
    before, before_along, now = leaves(kind, old), leaves(kind, along), leaves(kind, new)
    found = [key for key, leaf in now.items() if Mark.FOUND_AT_START in leaf.marks and leaf.value is None]
    changed = []
    for key in sorted(before.keys() | now.keys()):
        was, is_now = before.get(key, _ABSENT), now.get(key, _ABSENT)
        same = is_now.value in (was.value, before_along.get(key, _ABSENT).value)
        to_be_found = any(f"{key}.".startswith(f"{each}.") for each in found)
        if not same and not to_be_found and (key in settings.fixed_keys() or not _may_differ(was, is_now)):
            changed.append(f"{key}: {was.value} -> {is_now.value}")
    if changed:
        raise _other_config(settings.folder, changed)
    return with_changed(settings, {key: _value_at(along, key) for key in found if _value_at(along, key) is not None})


def _value_at(settings: Settings, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _may_differ(was: Leaf, is_now: Leaf) -> bool:
    marks = was.marks | is_now.marks
    if Mark.MAY_GROW in marks:
        return type(was.value) is type(is_now.value) is int and is_now.value >= was.value
    return Mark.MAY_CHANGE in marks


def _other_config(folder: Path, changed: list[str]) -> UserError:
    shown = "; ".join(changed[:8]) + (f"; and {len(changed) - 8} more" if len(changed) > 8 else "")
    return UserError(
        f"{folder} was started with another config ({shown}); give output_dir={free_name(folder)} for a new run, "
        "or overwrite=true to start this one over"
    )
