"""The options of every config group, a line each, for `--help`."""

import re
from pathlib import Path

import yaml

from parc.configuration.files import read_text

HELP_FOLDER = "help"
_BEGINNING = 4096  # characters, among which a file's first comment is
_SHOWN_HYDRA_GROUPS = ("hydra/launcher",)


def conf_folder() -> Path:
    """Return the folder of configs: inside the installed package, or beside `src` in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def options_of(folders: list[Path]) -> list[str]:
    """Return the options of all groups, as `group/option`."""
    paths = [path.relative_to(folder) for folder in folders if folder.is_dir() for path in folder.rglob("*.yaml")]
    return sorted({path.with_suffix("").as_posix() for path in paths if len(path.parts) > 1})


def options_for(config_name: str, folders: list[Path]) -> list[str]:
    """Return the options of the groups that a primary config composes, as `group/option`.

    Args:
        config_name: of the primary config.
        folders: of configs: the project's, and the user's own.
    """
    composed = {group.partition("/")[0] for group in _chosen(config_name, folders)}
    return [option for option in options_of(folders) if option.partition("/")[0] in composed]


def iteration_overrides(name: str, folders: list[Path], before: str | None = None) -> list[str]:
    """Return the overrides that choose an iteration: its option, or `iteration=next` and its name where it has none.

    Args:
        name: of the iteration.
        folders: of configs: the project's, and the user's own.
        before: the iteration that it follows; None for that of the number before its own.
    """
    number = re.fullmatch(r"iter([1-9]\d*)", name)
    if number and not before:
        before = f"iter{int(number[1]) - 1}"
    if f"iteration/{name}" in options_of(folders) or not before:
        return [f"iteration={name}"]
    return ["iteration=next", f"iteration.name={name}", f"iteration.previous={before}"]


def help_text(config_name: str, folders: list[Path]) -> str:
    """Return what --help shows: Hydra's own takes twice as long, for lists that are not shown.

    Args:
        config_name: of the primary config. What is said of it is in the folder `help` beside it, or else its first comment.
        folders: of configs: the project's, and the user's own.
    """
    for folder in folders:
        if (path := folder / HELP_FOLDER / f"{config_name}.txt").is_file():
            return read_text(path).replace("{options}", _option_lines(config_name, folders))
    path = next(folder / f"{config_name}.yaml" for folder in folders if (folder / f"{config_name}.yaml").is_file())
    options = _option_lines(config_name, folders)
    return f"{_first_comment(path)}\n\nGroups and their options (* is the default):\n{options}\n"


def _option_lines(config_name: str, folders: list[Path]) -> str:
    chosen, options = _chosen(config_name, folders), set(options_for(config_name, folders))
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            group = path.parent.relative_to(folder).as_posix()
            shown = not group.startswith("hydra") or group in _SHOWN_HYDRA_GROUPS
            if shown and f"{group}/{path.stem}" in options:
                groups.setdefault(group, []).append(path)
    width = max((len(path.stem) for paths in groups.values() for path in paths), default=0) + 2
    lines = []
    for group, paths in sorted(groups.items()):
        lines.append(f"  {group}")
        for path in paths:
            mark = "*" if chosen.get(group) == path.stem else " "
            lines.append(f"   {mark} {path.stem:<{width}}{_first_comment(path)}")
    return "\n".join(lines)


def _chosen(config_name: str, folders: list[Path]) -> dict[str, str]:
    """Return the default option of each group that a primary config composes."""
    primary = [folder / f"{config_name}.yaml" for folder in folders]
    return _defaults(folders[0], next(path for path in primary if path.is_file()))


def _defaults(conf: Path, primary: Path) -> dict[str, str]:
    """Return the default option of each group: of the primary config, and of the options that it takes."""
    chosen: dict[str, str] = {}
    waiting = [("", primary)]
    while waiting:
        folder, path = waiting.pop()
        content = yaml.safe_load(read_text(path)) or {}
        for entry in content.get("defaults", []):
            if isinstance(entry, dict):
                name, option = next(iter(entry.items()))
                group = f"{folder}{name.removeprefix('override ').removeprefix('/')}"
                chosen[group] = option
                if option and (conf / group / f"{option}.yaml").is_file():
                    waiting.append((f"{group}/", conf / group / f"{option}.yaml"))
    # An option may go by that of another group, and lie in a folder of its own: dataset: of/${iteration}
    for group, option in list(chosen.items()):
        folder, _, name = re.sub(r"\$\{(\w+)\}", lambda other: chosen[other[1]], option or "").rpartition("/")
        if folder:
            chosen[f"{group}/{folder}"] = name
    return chosen


def _first_comment(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        beginning = file.read(_BEGINNING)  # of whatever is called so
    for line in beginning.splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            return line.lstrip("# ")
    return ""
