"""The command line of `python -m parc.evaluate`, which takes paths and --preset beside what every verb takes."""

import os
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
        elif argument.startswith(("-", "~")) or "=" in argument:
            others.append(argument)
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
        return [f"output_dir={_quoted(f'{together}/evaluation/${{preset.name}}')}"]
    path = Path(paths[0])
    if path.is_dir() or not path.suffix:
        return []
    return [f"output_dir={_quoted(f'{path.parent}/evaluation/${{preset.name}}_{path.stem}')}"]


def _split(value: str) -> list[str]:
    """Return the paths of `of=`; a sweep has several with commas between them."""
    return [path.strip("'\"") for path in value.split(",")] if value[:1] not in "'\"" else [value.strip("'\"")]


def _quoted(path: str) -> str:
    """Return a path as a value that Hydra's grammar takes as it is."""
    plain = path and all(letter.isalnum() or letter in "/-_.+~${}" for letter in path)
    return path if plain else "'" + path.replace("\\", "\\\\").replace("'", "\\'") + "'"
