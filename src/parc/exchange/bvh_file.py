"""Reading and writing BVH files."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from parc.anim.character import Triple
from parc.configuration.errors import UserError
from parc.configuration.files import refuse_too_large
from parc.exchange.bvh_document import POSITION, ROTATION, BvhDocument, BvhJoint

LARGEST_BVH = 2**26  # bytes: an hour of a captured body
MOST_LINES = 2_000_000
MOST_JOINTS = 1000
LARGEST_NUMBER = 1e7  # of offsets, positions and angles; beyond it nobody moves

_AXES = {"X", "Y", "Z"}


def read_bvh_file(path: Path) -> BvhDocument:
    """Read a BVH file.

    Raises:
        UserError: the file cannot be read, is too large, or is no whole BVH file; names the line.
    """
    try:
        refuse_too_large(path, LARGEST_BVH)
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    if max(data.count(b"\n"), data.count(b"\r")) > MOST_LINES:
        raise UserError(
            f"{path}: has more than {MOST_LINES:,} lines, expected a BVH file; cut the take into shorter ones"
        )
    lines = data.splitlines()
    joints, line = _read_hierarchy(path, lines)
    frames, line = _read_setting(path, lines, line, "Frames")
    frame_time, line = _read_setting(path, lines, line, "Frame Time")
    if not 1e-6 < frame_time < 1e6:
        raise UserError(
            f"{path}: line {line}: Frame Time is {frame_time:g}, expected seconds a frame, such as 0.033333"
        )
    width = sum(len(joint.channels) for joint in joints)
    values = _read_values(path, lines, line, frames, width)
    return BvhDocument(tuple(joints), values, frame_time)


def write_bvh_file(path: Path, document: BvhDocument) -> None:
    """Write a BVH file; lengths and angles with six decimals.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\n".join(_hierarchy_lines(document.joints)))
        stream.write(f"\nMOTION\nFrames: {len(document.values)}\nFrame Time: {document.frame_time:.9g}\n")
        np.savetxt(stream, document.values, fmt="%.6f")


def _hierarchy_lines(joints: Sequence[BvhJoint]) -> Iterator[str]:
    yield "HIERARCHY"
    open_joints: list[int] = []
    for number, joint in enumerate(joints):
        while open_joints and open_joints[-1] != joint.parent:
            open_joints.pop()
            yield "\t" * len(open_joints) + "}"
        indent = "\t" * len(open_joints)
        yield f"{indent}{'JOINT' if open_joints else 'ROOT'} {joint.name}"
        yield indent + "{"
        yield f"{indent}\tOFFSET {_numbers(joint.offset)}"
        yield f"{indent}\tCHANNELS {len(joint.channels)} {' '.join(joint.channels)}"
        if joint.end_site is not None:
            yield from (f"{indent}\tEnd Site", f"{indent}\t{{", f"{indent}\t\tOFFSET {_numbers(joint.end_site)}")
            yield f"{indent}\t}}"
        open_joints.append(number)
    while open_joints:
        open_joints.pop()
        yield "\t" * len(open_joints) + "}"


def _numbers(values: Triple) -> str:
    return " ".join(f"{value:.6f}" for value in values)


@dataclass
class _Block:
    """What stands between a pair of braces, as far as it has been read: a joint, or an end site, whose name is empty."""

    name: str
    parent: int
    offset: Triple | None = None
    channels: tuple[str, ...] | None = None
    end_site: Triple | None = None


def _read_hierarchy(path: Path, lines: list[bytes]) -> tuple[list[BvhJoint], int]:
    """Return the joints, and the number of the line (from 1) that says MOTION."""
    joints: list[_Block] = []
    around: list[_Block] = []  # blocks that are open
    announced: _Block | None = None  # one whose brace is yet to come
    for number, words in _statements(lines):
        where, keyword = f"{path}: line {number}", words[0].upper()
        inside = around[-1] if around else None
        if (keyword == "{") != (announced is not None):
            raise UserError(
                f"{where}: '{words[0][:40]}', expected a '{{' after each ROOT, JOINT and End Site, and only there"
            )
        if announced is not None:
            around.append(announced)
            announced = None
        elif keyword == "}" and inside is not None:
            _close(where, around.pop(), joints)
        elif keyword == "OFFSET" and inside is not None and inside.offset is None:
            inside.offset = _read_offset(where, words[1:])
        elif keyword == "CHANNELS" and inside is not None and inside.name and inside.channels is None:
            inside.channels = _read_channels(where, words[1:])
        elif keyword in ("ROOT", "JOINT", "END") and (keyword == "ROOT") == (inside is None):
            announced = _announce(where, keyword, " ".join(words[1:]), inside, joints)
        elif keyword == "MOTION" and inside is None and joints:
            return [BvhJoint(*_whole(joint)) for joint in joints], number
        elif keyword != "HIERARCHY" or joints:
            raise UserError(
                f"{where}: '{' '.join(words)[:40]}' has no place there, expected the HIERARCHY of a BVH file"
            )
    raise UserError(f"{path}: ends within its HIERARCHY, expected a MOTION section after it; is the file whole?")


def _statements(lines: list[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each statement with the number of its line; braces are statements, wherever they are."""
    for number, line in enumerate(lines, 1):
        for part in re.split("([{}])", line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")):
            if words := part.split():
                yield number, words


def _announce(where: str, keyword: str, name: str, inside: _Block | None, joints: list[_Block]) -> _Block:
    if keyword == "ROOT" and joints:
        raise UserError(f"{where}: a second ROOT, expected one skeleton a file")
    if inside is not None and (not inside.name or inside.offset is None or inside.channels is None):
        raise UserError(
            f"{where}: a {keyword} within a joint that has no OFFSET and CHANNELS yet, expected those first"
        )
    parent = next((number for number, joint in enumerate(joints) if joint is inside), -1)
    if keyword == "END":
        return _Block("", parent)
    if not name:
        raise UserError(f"{where}: a {keyword} without a name, expected one")
    if len(joints) == MOST_JOINTS:
        raise UserError(f"{where}: more than {MOST_JOINTS} joints, expected a skeleton")
    joints.append(_Block(name, parent))
    return joints[-1]


def _close(where: str, block: _Block, joints: list[_Block]) -> None:
    if block.offset is None or (block.name and block.channels is None):
        missing = "an OFFSET" if block.offset is None else "CHANNELS"
        raise UserError(f"{where}: ends {block.name or 'an End Site'} without {missing}, expected one in each")
    if not block.name:
        joints[block.parent].end_site = block.offset


def _whole(joint: _Block) -> tuple[str, int, Triple, tuple[str, ...], Triple | None]:
    assert joint.offset is not None and joint.channels is not None  # `_close` has seen to it
    return joint.name, joint.parent, joint.offset, joint.channels, joint.end_site


def _read_offset(where: str, words: list[str]) -> Triple:
    try:
        x, y, z = (float(word) for word in words)
    except ValueError:
        raise UserError(f"{where}: OFFSET {' '.join(words)[:40]}, expected three numbers") from None
    if not all(abs(value) <= LARGEST_NUMBER for value in (x, y, z)):
        raise UserError(f"{where}: OFFSET {x:g} {y:g} {z:g}, expected numbers up to {LARGEST_NUMBER:g}")
    return x, y, z


def _read_channels(where: str, words: list[str]) -> tuple[str, ...]:
    channels = tuple(word[:1].upper() + word[1:].lower() for word in words[1:])
    turned = {channel[0] for channel in channels if channel[1:] == ROTATION}
    moved = {channel[0] for channel in channels if channel[1:] == POSITION}
    as_many = words[:1] == [str(len(channels))] and len(channels) == len(turned) + len(moved)
    if not as_many or turned != _AXES or moved not in (set(), _AXES):
        raise UserError(
            f"{where}: CHANNELS {' '.join(words)[:80]}, expected 3 and three rotations, or 6 and three positions beside them"
        )
    return channels


def _read_setting(path: Path, lines: list[bytes], line: int, name: str) -> tuple[float, int]:
    """Return the number on the next line that is not empty, and the number of that line."""
    line += 1
    while line <= len(lines) and not lines[line - 1].strip():
        line += 1
    text = lines[line - 1].decode("utf-8", errors="replace") if line <= len(lines) else ""
    before, _, number = text.partition(":")
    try:
        if before.split() != name.split():
            raise ValueError
        return float(number), line
    except ValueError:
        raise UserError(f"{path}: line {line}: '{text.strip()[:40]}', expected '{name}:' and a number") from None


def _read_values(
    path: Path, lines: list[bytes], line: int, frames: float, width: int
) -> Float[np.ndarray, "frames channels"]:
    """Return the numbers below a line, after checking that they are as many as the file says."""
    rows = [row for row in lines[line:] if row.strip()]
    if frames != len(rows) or not rows:
        raise UserError(
            f"{path}: Frames is {frames:g}, but {len(rows)} lines of channels follow, expected as many and at least one; "
            "is the file whole?"
        )
    try:
        values = np.loadtxt([row.decode("ascii") for row in rows], dtype=np.float64, comments=None, ndmin=2)
    except (ValueError, UnicodeDecodeError):
        values = np.zeros((0, 0))
    if values.shape == (len(rows), width) and (np.abs(values) <= LARGEST_NUMBER).all():
        return values
    raise _broken_line(path, lines, line, width)


def _broken_line(path: Path, lines: list[bytes], line: int, width: int) -> UserError:
    """Say which of the lines of channels is not as the others; looked for only once it is known that there is one."""
    for number, row in enumerate(lines[line:], line + 1):
        words = row.split()
        if words and len(words) != width:
            return UserError(
                f"{path}: line {number}: {len(words)} numbers, expected the {width} channels of the skeleton"
            )
        for column, word in enumerate(words, 1):
            if not re.fullmatch(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", word) or abs(float(word)) > LARGEST_NUMBER:
                text = word[:40].decode(errors="replace")
                return UserError(
                    f"{path}: line {number}: '{text}' in column {column}, expected numbers up to {LARGEST_NUMBER:g}"
                )
    return UserError(
        f"{path}: line {line + 1} and following: not lines of {width} numbers, expected the skeleton's channels"
    )
