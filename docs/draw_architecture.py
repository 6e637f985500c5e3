"""Draw docs/architecture.svg from the code: python docs/draw_architecture.py, from anywhere.

Rooms are the folders of src/parc. A room's height in the picture follows from what it imports, an arrow that other arrows
imply is left out, and what is said in a room is the first line of its docstring.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "parc"
PLUGINS = REPOSITORY / "launch" / "hydra_plugins"
CONF = REPOSITORY / "conf"
PICTURE = REPOSITORY / "docs" / "architecture.svg"

# Where each room stands from left to right, in pixels: the only thing here that the code does not say.
CENTRES = {
    "training": 404, "motion_synthesis": 672, "exchange": 940, "cluster": 138, "pictures": 405, "motion_generator": 672,
    "demo_motions": 940, "evaluation": 404, "physics": 806, "studio": 672, "stages": 272, "anim": 672, "configuration": 272,
    "terrain": 672,
}  # fmt: skip
WIDTH, ROOM_WIDTH, ROOM_HEIGHT, STOREY, TOP = 1078, 244, 110, 164, 112
FILLS = (
    "#EEF1F4",
    "#E3EEF9",
    "#E1F3EA",
    "#FCEBD9",
    "#F5E6F1",
    "#E8E6F8",
    "#FFF6CC",
    "#FBE3E3",
)  # of the storeys, from the ground up
TEXT, FAINT, VERB, LINE = "#1F2328", "#5B6470", "#0B4F8A", "#6A737D"
LETTERS_A_LINE = 34  # of a room's description

Graph = dict[str, set[str]]


@cache
def imported_modules(path: Path) -> list[str]:
    """Return the dotted names of what a file imports, wherever in the file it does."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _rooms_in(names: list[str]) -> set[str]:
    parts = [name.split(".") for name in names]
    return {each[1] for each in parts if each[0] == "parc" and len(each) > 1}


def rooms() -> list[str]:
    """Return the names of the rooms."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def imports_of_rooms() -> Graph:
    """Return what each room imports of other rooms (a verb would be in it, too)."""
    files = {room: (PACKAGE / room).rglob("*.py") for room in rooms()}
    return {
        room: {other for path in paths for other in _rooms_in(imported_modules(path))} - {room}
        for room, paths in files.items()
    }


def imports_of_verbs() -> Graph:
    """Return which rooms each verb imports, and the room of the stage that its config in conf/ names."""
    graph = {}
    for path in PACKAGE.glob("[a-z]*.py"):
        graph[path.stem] = _rooms_in(imported_modules(path))
        config = CONF / f"{path.stem}.yaml"
        if config.is_file():
            stage = yaml.safe_load(config.read_text(encoding="utf-8")).get("stage", "")
            graph[path.stem] |= _rooms_in([stage])
    return graph


def groups_of_rooms() -> Graph:
    """Return the groups of options in conf/ whose `_target_`s are in each room, or in a plugin that imports it."""
    groups: Graph = {room: set() for room in rooms()}
    for path in CONF.rglob("*.yaml"):
        for target in re.findall(r"_target_: ([\w.]+)", path.read_text(encoding="utf-8")):
            group = path.parent.relative_to(CONF).as_posix()
            plugin = PLUGINS / target.split(".")[1] / "__init__.py"
            names = imported_modules(plugin) if target.startswith("hydra_plugins.") else [target]
            for room in highest(_rooms_in(names), imports_of_rooms()):
                groups[room].add(group if group.startswith("hydra") else group.split("/")[0])
    return groups


def below(room: str, graph: Graph) -> set[str]:
    """Return all that a room stands on, directly or not."""
    return graph[room].union(*(below(other, graph) for other in graph[room]))


def highest(some: set[str], graph: Graph) -> set[str]:
    """Return those of some rooms that no other one of them stands on."""
    return some - set().union(*(below(room, graph) for room in some))


def storeys(graph: Graph) -> dict[str, int]:
    """Return how high each room stands: above all that it imports.

    Raises:
        ValueError: rooms import each other in a circle.
    """
    heights: dict[str, int] = {}
    while len(heights) < len(graph):
        ready = [room for room in graph if room not in heights and graph[room] <= set(heights)]
        if not ready:
            raise ValueError(f"these import each other in a circle: {sorted(set(graph) - set(heights))}")
        heights |= {room: max((heights[other] + 1 for other in graph[room]), default=0) for room in ready}
    return heights


def drawn() -> str:
    """Return the picture as SVG."""
    graph = imports_of_rooms()
    heights = storeys(graph)
    tops = {room: float(TOP + STOREY * (max(heights.values()) - height)) for room, height in heights.items()}
    arrows = sorted((room, other) for room in graph for other in highest(graph[room], graph))
    verbs: dict[str, list[str]] = {room: [] for room in graph}
    for verb, used in sorted(imports_of_verbs().items()):
        for room in highest(used, graph):
            verbs[room].append(verb)
    groups = groups_of_rooms()
    height = TOP + STOREY * max(heights.values()) + ROOM_HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif">',
        "<title>The folders of src/parc: what each is for, and what it imports</title>",
        f'<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0,1 L10,5 L0,9 z" fill="{LINE}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#FFFFFF"/>',
        *_legend(),
        *_arrows(arrows, tops),
        *(
            line
            for room in sorted(graph)
            for line in _room(room, tops[room], FILLS[heights[room]], verbs[room], groups[room])
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, text: str, size: float, colour: str = TEXT, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}"{more}>{escape(text)}</text>'


def _legend() -> Iterator[str]:
    yield _text(16, 36, "src/parc", 22, more=' font-weight="bold"')
    yield _text(16, 60, "Rooms import only rooms below them.", 13, FAINT)
    x = WIDTH - 470
    yield from _pill(x - 62, 18, "verb")
    yield _text(x, 32, "python -m parc.VERB begins in this room", 13, FAINT)
    yield _text(x - 58, 58, "group", 12, FAINT, _MONO)
    yield _text(x, 58, "options of this group of conf/ name classes of this room", 13, FAINT)
    yield f'<path d="M{x - 62},79 h44" stroke="{LINE}" stroke-width="1.6" marker-end="url(#tip)"/>'
    yield _text(x, 84, "imports; what other arrows imply is left out", 13, FAINT)


_MONO = ' font-family="Menlo, Consolas, monospace"'


def _pill(x: float, y: float, word: str) -> Iterator[str]:
    width = _pill_width(word)
    yield f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="20" rx="10" fill="{VERB}"/>'
    yield _text(x + width / 2, y + 14, word, 12, "#FFFFFF", f'{_MONO} text-anchor="middle"')


def _pill_width(word: str) -> float:
    return 7.4 * len(word) + 18


def _room(room: str, top: float, fill: str, verbs: list[str], groups: set[str]) -> Iterator[str]:
    left = CENTRES[room] - ROOM_WIDTH / 2
    yield (
        f'<rect x="{left:g}" y="{top:g}" width="{ROOM_WIDTH}" height="{ROOM_HEIGHT}" rx="8" fill="{fill}" '
        f'stroke="{LINE}" stroke-width="1"/>'
    )
    yield _text(left + 12, top + 24, room, 16, more=' font-weight="bold"')
    x = left + ROOM_WIDTH - 10
    for verb in reversed(verbs):
        x -= _pill_width(verb)
        yield from _pill(x, top + 9, verb)
        x -= 4
    said = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    for number, line in enumerate(textwrap.wrap(said.splitlines()[0], LETTERS_A_LINE)):
        yield _text(left + 12, top + 46 + 16 * number, line, 12)
    yield _text(left + 12, top + ROOM_HEIGHT - 10, ", ".join(sorted(groups)), 12, FAINT, _MONO)


def _arrows(arrows: list[tuple[str, str]], tops: dict[str, float]) -> Iterator[str]:
    gaps = {(room, other): _gaps_passed(room, other, tops) for room, other in arrows}
    starts = _ports({(room, other): [*gaps[room, other].values(), CENTRES[other]][0] for room, other in arrows})
    ends = _ports({(other, room): [CENTRES[room], *gaps[room, other].values()][-1] for room, other in arrows})
    for room, other in arrows:
        points = [(starts[room, other], tops[room] + ROOM_HEIGHT)]
        for top, gap in gaps[room, other].items():
            points += [(gap, top), (gap, top + ROOM_HEIGHT)]
        points.append((ends[other, room], tops[other] - 2))
        way = f"M{points[0][0]:g},{points[0][1]:g}"
        for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
            bend = (to_y - y) * 0.55
            curve = f" C{x:g},{y + bend:g} {to_x:g},{to_y - bend:g} {to_x:g},{to_y:g}"
            way += f" L{to_x:g},{to_y:g}" if number % 2 else curve
        yield f'<path d="{way}" fill="none" stroke="{LINE}" stroke-width="1.6" marker-end="url(#tip)"/>'


def _gaps_passed(room: str, other: str, tops: dict[str, float]) -> dict[float, float]:
    """Return where an arrow goes between the rooms of the storeys that it passes: by the top of the storey, from above."""
    passed = sorted({top for top in tops.values() if tops[room] < top < tops[other]})
    gaps = {top: _gaps([CENTRES[each] for each in tops if tops[each] == top]) for top in passed}
    return {top: min(gaps[top], key=lambda x: abs(x - CENTRES[other])) for top in passed}


def _ports(towards: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Return where along its room's edge each arrow begins or ends: in the order of where they come from or go to."""
    ports = {}
    for room in {room for room, _ in towards}:
        others = sorted((each for each in towards if each[0] == room), key=towards.__getitem__)
        for number, each in enumerate(others):
            ports[each] = CENTRES[room] + 56 * (number - (len(others) - 1) / 2)
    return ports


def _gaps(centres: list[int]) -> list[float]:
    centres = sorted(centres)
    middles = [(left + right) / 2 for left, right in pairwise(centres)]
    return [centres[0] - ROOM_WIDTH / 2 - 16, *middles, centres[-1] + ROOM_WIDTH / 2 + 16]


if __name__ == "__main__":
    PICTURE.write_text(drawn(), encoding="utf-8")
