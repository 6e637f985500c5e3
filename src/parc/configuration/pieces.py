"""Making the pieces of a run from settings: the signature of what `_target_` names is the schema of its settings.

Parameters that a constructor takes by position or name are settings, and live in YAML; keyword-only ones are live objects,
which the caller passes. Nested settings are pieces themselves (`_target_`) or dataclasses.
"""

import dataclasses
import enum
import importlib
import inspect
import math
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from parc.configuration.errors import SettingsError, nearest_name
from parc.configuration.schema import Settings, options_of, setting_types, values_of, without_marks
from parc.configuration.trusted import refuse_untrusted

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Recipe(Generic[T]):
    """A piece whose settings are checked, and which is made once its live objects are there.

    What a setting is can be asked of the recipe: `settings.model.diffusion_timesteps`.

    Attributes:
        constructor: the class.
        arguments: its settings, checked and of the types that its constructor takes.
    """

    constructor: Callable[..., T]
    arguments: Mapping[str, Any]

    def make(self, **live: Any) -> T:
        """Make the piece.

        Args:
            live: what there is; the constructor is given what its keyword-only arguments name, or all where it takes **any.

        Raises:
            UserError: from the constructor.
        """
        parameters = inspect.signature(self.constructor).parameters
        if not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            live = {name: each for name, each in live.items() if name in parameters}
        return self.constructor(**self.arguments, **live)

    def __getattr__(self, name: str) -> Any:
        """Return a setting."""
        arguments = vars(self).get("arguments", {})  # there are none yet while a copy is being made
        if name not in arguments:
            raise AttributeError(f"there is no setting '{name}'")
        return arguments[name]


def make(settings: Settings, expected: type, key: str, **live: Any) -> Any:
    """Check settings and make the piece that their `_target_` names.

    Args:
        settings: `_target_` and the arguments of its constructor.
        expected: class or protocol that the piece is of.
        key: where the settings stand in the config, for messages.
        live: the keyword-only arguments of the constructor.

    Raises:
        SettingsError: names the key, what is wrong with it and what was expected.
        UserError: from the constructor.
    """
    target = located(settings, expected, key)
    return target(**checked_arguments(target, settings, key), **live)


def recipe(settings: Settings, expected: type[T], key: str) -> Recipe[T]:
    """Check settings as far as that goes without live objects.

    A piece that needs no live object is made and thrown away; of others, `check_settings(**arguments)` is called where
    they have it.

    Args:
        settings: `_target_` and the arguments of its constructor.
        expected: class or protocol that the piece is of.
        key: where the settings stand in the config, for messages.

    Raises:
        SettingsError: names the key, what is wrong with it and what was expected.
        UserError: from the constructor, or from `check_settings`.
    """
    target = located(settings, expected, key)
    arguments = checked_arguments(target, settings, key)
    check_settings = getattr(target, "check_settings", None)
    if check_settings:
        check_settings(**arguments)
    elif not live_arguments(target):
        target(**arguments)
    return Recipe(target, arguments)


def located(settings: Settings, expected: type, key: str) -> type:
    """Return the class that `_target_` names.

    Raises:
        SettingsError: there is no `_target_`, or it names no class of an importable module.
    """
    name = settings.get("_target_")
    if not isinstance(name, str) or "." not in name:
        raise SettingsError(f"{key}._target_", f"is {name!r}, expected the dotted name of a class")
    module_name, _, class_name = name.rpartition(".")
    refuse_untrusted(module_name, f"{key}._target_")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a module does that is no part of this project
        reason = " ".join(str(error).split())
        raise SettingsError(
            f"{key}._target_", f"'{name}' cannot be imported ({reason}); expected the name of a class"
        ) from error
    found = getattr(module, class_name, None)
    if not inspect.isclass(found):
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        raise SettingsError(
            f"{key}._target_", f"'{name}' is no class of {module_name}{nearest_name(class_name, classes)}"
        )
    # A config may come with somebody else's checkpoint: nothing is called that is not a piece of the kind asked for.
    if not _is_kind_of(found, expected):
        raise SettingsError(f"{key}._target_", f"'{name}' is no {expected.__name__}; expected a class of that kind")
    return found


def unknown_key(key: str, name: str, known: list[str]) -> SettingsError:
    """Return the error for a key that no schema has."""
    near = nearest_name(str(name), known)
    return SettingsError(_join(key, name), f"there is no such key{near or '; expected one of ' + ', '.join(known)}")


def _is_kind_of(found: type, expected: type) -> bool:
    if getattr(expected, "_is_protocol", False):
        members = [name for name in vars(expected) if callable(getattr(expected, name)) and not name.startswith("_")]
        return all(callable(getattr(found, name, None)) for name in members)
    return issubclass(found, expected)


def is_piece(annotation: Any) -> bool:
    """Say whether values of a type are made from settings of their own."""
    plain = annotation in (int, float, bool, str, list, dict) or typing.get_origin(annotation) is not None
    return inspect.isclass(annotation) and not plain and not issubclass(annotation, (enum.Enum, Recipe))


def _is_made(annotation: Any) -> bool:
    """Say whether a type is, or may be, that of values that are made: by pydantic none of them could be."""
    return any(is_piece(option) for option in options_of(annotation))


def live_arguments(target: Callable[..., Any]) -> list[str]:
    """Return the names of the live objects that a constructor needs."""
    parameters = inspect.signature(target).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty]


def checked_arguments(target: Callable[..., Any], settings: Settings, key: str) -> dict[str, Any]:
    """Return settings as arguments of `target`: every key known, none missing, every value of its type."""
    types = setting_types(target)
    given = {name: value for name, value in settings.items() if name != "_target_"}
    for name in given:
        if name not in types:
            raise unknown_key(key, name, list(types))
    for name, setting in types.items():
        if setting.required and name not in given:
            raise SettingsError(_join(key, name), "is missing; expected a value")
    return {name: checked_value(value, types[name].annotation, _join(key, name)) for name, value in given.items()}


def checked_value(value: Any, annotation: Any, key: str) -> Any:
    """Return a setting as the type that is asked for; nested pieces and dataclasses are made."""
    if value == "???":
        raise SettingsError(key, "has no value yet; give it one")
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(key, f"is {value}, expected a finite number")
    annotation = without_marks(annotation)
    if typing.get_origin(annotation) is Recipe:
        (annotation,) = typing.get_args(annotation)
        if isinstance(value, dict):
            return recipe(value, annotation, key)
    inner = values_of(annotation)
    if isinstance(value, dict) and inner is not None and _is_made(inner):
        return {str(name): checked_value(each, inner, _join(key, str(name))) for name, each in value.items()}
    for option in options_of(annotation):
        if (
            isinstance(value, dict)
            and is_piece(option)
            and ("_target_" in value or not dataclasses.is_dataclass(option))
        ):
            return make(value, option, key)
        if dataclasses.is_dataclass(option) and isinstance(value, dict):
            return option(**checked_arguments(option, value, key))  # type: ignore[operator]
        if inspect.isclass(option) and issubclass(option, enum.Enum) and value is not None:
            return _checked_choice(value, option, key)
    if inspect.isclass(annotation) and getattr(annotation, "_is_protocol", False):
        expected = f"expected the settings of a {annotation.__name__}, with its _target_"
        raise SettingsError(key, f"is {_as_written(value)}, {expected}{_as_option(value, annotation, key)}")
    try:
        return _type_adapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        raise SettingsError(
            key, f"is {_as_written(value)}, expected {_in_words(annotation)}{_as_option(value, annotation, key)}"
        ) from error


def _checked_choice(value: Any, options: type[enum.Enum], key: str) -> enum.Enum:
    try:
        return options(value)
    except ValueError as error:
        names = [str(option.value) for option in options]
        raise SettingsError(
            key, f"is {value!r}, expected one of {', '.join(names)}{nearest_name(str(value), names)}"
        ) from error


@cache
def _type_adapter(annotation: Any) -> Any:
    # pydantic takes no configuration for classes that it knows how to check, and needs one for all others.
    try:
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))


def _in_words(annotation: Any) -> str:
    annotation = without_marks(annotation)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) is list:
        return f"a list, each {_in_words(typing.get_args(annotation)[0])}"
    if (inner := values_of(annotation)) is not None:
        return f"a mapping from names, each to {_in_words(inner)}"
    if typing.get_args(annotation):
        return " or ".join(_in_words(option) for option in typing.get_args(annotation))
    if dataclasses.is_dataclass(annotation):
        return f"a mapping of {', '.join(field.name for field in dataclasses.fields(annotation))}"
    return words.get(annotation, f"the settings of a {getattr(annotation, '__name__', annotation)} (with _target_)")


def _as_written(value: Any) -> str:
    """Return a value as YAML has it."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else repr(value)


def _as_option(value: Any, annotation: Any, key: str) -> str:
    """Tell who set a group as if it were a value how options are chosen."""
    if isinstance(value, str) and value and inspect.isclass(annotation) and annotation not in (int, float, bool, str):
        return f"; an option of that name is chosen with {key.replace('.', '/')}={value}"
    return ""


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else str(name)
