"""The command line of `python -m parc.evaluate`, which takes paths and --preset beside what every verb takes."""

import os
import re
from pathlib import Path

from parc.configuration.errors import UserError

_FLAGS_WITH_A_VALUE = (
    "--config",
    "--config-dir",
    "--config-path",
    "--config-name",
    "--cfg",
    "-c",
    "--package",
    "-p",
    "-cd",
)


def as_overrides(arguments: list[str]) -> list[str]:
    """Return the arguments as Hydra takes them.

    PATH becomes `of=PATH`, several become the sweep `-m of=PATH,PATH`, and `--preset NAME` becomes `preset=NAME`. A file has no
    folder of its own for its results, and those of several paths are to lie together: where no `output_dir=` is given, one in the
    folder that they lie in is.

    Raises:
        UserError: --preset has no name, or paths are given in two ways.
    """
    paths: list[str] = []
    others: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--preset":
            name = next(left, None)
            if name is None:
                raise UserError("--preset: expected a name after it: quick, paper, or one of your own")
            others.append(f"preset={name}")
        elif argument.startswith("--preset="):
            others.append(argument.removeprefix("--"))
        elif argument in _FLAGS_WITH_A_VALUE:
            others += [argument, *filter(None, [next(left, None)])]
        elif not os.path.exists(argument) and (argument.startswith(("-", "~")) or "=" in argument):  # noqa: PTH110
            others.append(argument)  # folders of a sweep's runs have = in their names
        else:
            paths.append(argument)
    given = [each for each in others if each.startswith("of=")]
    if paths and given:
        raise UserError(f"{paths[0]}: there is {given[0]} too; expected PATHs, or of=, not both")
    if "--config" in others or any(each.startswith("--config=") for each in others):
        if paths:
            raise UserError(f"{paths[0]}: the config of --config says what is evaluated; expected no PATH beside it")
        return others
    several = paths or (_split(given[0].removeprefix("of=")) if given else [])
    if paths:
        others.append(f"of={','.join(map(_quoted, paths))}")
    if len(paths) > 1 and not {"-m", "--multirun"} & set(others):
        others.append("-m")
    if several and not any(each.startswith("output_dir=") for each in others):
        others += _output_dir(several)
    return others


def _output_dir(paths: list[str]) -> list[str]:
    """Return the override that chooses a folder; none where the one in the config will do: in the folder that is evaluated."""
    if len(paths) > 1:
        together = os.path.commonpath([Path(path).absolute().parent for path in paths])
        return [_output_dir_in(together, "")]
    path = Path(paths[0])
    if path.is_dir() or not path.suffix:
        return []
    return [_output_dir_in(str(path.parent), f"_{path.stem}")]


def _output_dir_in(folder: str, ending: str) -> str:
    quote = "" if _is_plain(folder) and _is_plain(f"x{ending}") else "'"
    return f"output_dir={quote}{_escaped(f'{folder}/evaluation/')}${{preset.name}}{_escaped(ending)}{quote}"


def _split(value: str) -> list[str]:
    """Return the paths of `of=`; a sweep has several with commas between them."""
    return [path.strip("'\"") for path in value.split(",")] if value[:1] not in "'\"" else [value.strip("'\"")]


def _quoted(path: str) -> str:
    """Return a path as a value that Hydra's grammar takes as it is."""
    return path if _is_plain(path) else f"'{_escaped(path)}'"


def _is_plain(path: str) -> bool:
    """Say whether Hydra's grammar reads a path as a string without quotes: it may be no number, truth value or null."""
    is_word = re.fullmatch(r"\.{0,2}/?[A-Za-z_/][A-Za-z0-9_/.-]*", path) is not None
    return path == "." or (is_word and path.lower() not in ("true", "false", "null", "nan", "inf"))


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace("'", "\\'")
