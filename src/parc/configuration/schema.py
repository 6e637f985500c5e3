"""What the signature of a constructor says of its settings: their names and types, and what else is marked in the types."""

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, TypeAlias, TypeVar

Settings = dict[str, Any]
T = TypeVar("T")


class Mark(Enum):
    """What may become of a setting when a run is resumed; every other one has to stay as it was.

    PATH: a file or folder. It is made absolute when it is read, and what lies below `data_dir` moves with it.
    OUTPUT: a folder that runs write into. It is named, and neither the root of the file system nor the home folder.
    MAY_CHANGE: it may be any other value.
    MAY_GROW: it may be a larger number.
    FOUND_AT_START: what is null is found out when a run first starts, and read from the run's own config ever after.
    """

    PATH = "path"
    OUTPUT = "output"
    MAY_CHANGE = "may change"
    MAY_GROW = "may grow"
    FOUND_AT_START = "found at the start"


@dataclass(frozen=True)
class Known:
    """A mark beside `Mark.PATH`: values that `is_name` knows are names, and stay as they are."""

    is_name: Callable[[str], bool]


Marks: TypeAlias = frozenset[Mark | Known]

FilePath: TypeAlias = Annotated[str, Mark.PATH]
OutputFolder: TypeAlias = Annotated[str, Mark.PATH, Mark.OUTPUT]
MayChange: TypeAlias = Annotated[T, Mark.MAY_CHANGE]
MayGrow: TypeAlias = Annotated[T, Mark.MAY_GROW]
FoundAtStart: TypeAlias = Annotated[T, Mark.FOUND_AT_START]


@dataclass(frozen=True)
class Setting:
    """A parameter of a constructor that is a setting.

    Attributes:
        annotation: its type, with its marks.
        required: whether it has no default.
        default: where it has one.
    """

    annotation: Any
    required: bool
    default: Any


@cache
def setting_types(target: Callable[..., Any]) -> dict[str, Setting]:
    """Return the settings of a constructor by name."""
    constructor = target.__init__ if inspect.isclass(target) and not is_dataclass(target) else target
    hints = typing.get_type_hints(constructor, include_extras=True)
    return {
        each.name: Setting(hints[each.name], each.default is each.empty, each.default)
        for each in inspect.signature(target).parameters.values()
        if each.kind is each.POSITIONAL_OR_KEYWORD
    }


def without_marks(annotation: Any) -> Any:
    """Return a type without the marks at its top."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation


def marks_of(annotation: Any) -> Marks:
    """Return the marks of a type, those of the types that it is made of included."""
    marks = frozenset(each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, (Mark, Known)))
    return marks.union(*(marks_of(part) for part in typing.get_args(annotation)))


def options_of(annotation: Any) -> list[Any]:
    """Return the types that a value may be of, None apart."""
    annotation = without_marks(annotation)
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return [each for each in typing.get_args(annotation) if each is not type(None)] if union else [annotation]


def values_of(annotation: Any) -> Any:
    """Return the type of the values of a mapping from names, `dict[str, TYPE]`; None for any other type."""
    annotation = without_marks(annotation)
    return typing.get_args(annotation)[1] if typing.get_origin(annotation) is dict else None


def as_setting(value: Any) -> Any:
    """Return a checked value as settings have it."""
    if isinstance(value, Enum):
        return value.value
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
