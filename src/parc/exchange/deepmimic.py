"""DeepMimic's motions of a humanoid (`humanoid3d_*.txt`): files, or the PyPI package `pybullet` with fifteen of them.

A file is JSON: `Loop` ("wrap" or "none") and `Frames`, rows of 44 numbers: the duration of the frame in seconds, the root's
position in metres (y up, x forward), then rotations: quaternions (w first) of root, chest, neck, hips, ankles and shoulders,
angles in radians of knees and elbows, in the order of `COLUMNS`. The humanoid is ours with y up, and with arms that hang down
at rest; so nothing has to be fitted, and joints that are turned beyond the limits of ours stay so.

The package's files under `walker/` are five more of this layout; they are read when they are named, and not listed.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.contact_labels import with_contacts_from_geometry
from parc.anim.frames import Frames
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.anim.rotations import angle_between, slerp
from parc.anim.surface_points import BodyPoints, surface_points
from parc.configuration.errors import UserError
from parc.exchange.clip_measures import measured
from parc.exchange.fitted_clips import with_mirror_images
from parc.exchange.flat_ground import flat_ground
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.landmarks import refuse_other_characters
from parc.exchange.resampling import FPS
from parc.exchange.source_files import file_names, read_text_file

DEEPMIMIC_NAMES = "humanoid3d_*.txt"
NUMBERS = 44  # of a row
# First column of each body's rotation: of a quaternion, of a knee's angle, of an elbow's angle.
COLUMNS = {
    "torso": 8, "head": 12,
    "right_thigh": 16, "right_shin": 20, "right_foot": 21, "right_upper_arm": 25, "right_lower_arm": 29,
    "left_thigh": 30, "left_shin": 34, "left_foot": 35, "left_upper_arm": 39, "left_lower_arm": 43,
}  # fmt: skip
LARGEST_MOTION = 2**25  # bytes
LONGEST = 3600.0  # seconds
FARTHEST = 1000.0  # metres of the root from the origin
SHORTEST_QUATERNION = 0.1  # below which it has no direction; those of the package's kick have down to 0.58
NEAR, SLOW = (
    0.03,
    0.25,
)  # metres and metres/s up to which a body touches the ground: in these motions it floats a little
AT_GROUND = 0.1  # share of the frames whose lowest point is on the ground, or below
SAME_PLACE, SAME_ANGLE = 0.03, math.radians(6)  # metres of height and radians between the ends of a motion that goes on


@dataclass(frozen=True)
class DeepMimicTake:
    """A motion that was found.

    Attributes:
        source: the file itself, or the wheel or folder that it is in.
        name: of the motion.
        member: name of its file within the source.
    """

    source: Path
    name: str
    member: str


def deepmimic_takes(source: Path) -> list[DeepMimicTake]:
    """Return the humanoid's motions of a wheel or folder, by name; none where it holds none. Their content is not read yet.

    Raises:
        UserError: there is no such wheel or folder, or it cannot be read.
    """
    paths = (PurePosixPath(name) for name in file_names(source))
    return [DeepMimicTake(source, path.stem, str(path)) for path in paths if path.match(DEEPMIMIC_NAMES)]


def read_deepmimic(path: Path, character: Character) -> list[ImportedClip]:
    """Return the clips of one motion's file (see `read_deepmimic_take`)."""
    return read_deepmimic_take(DeepMimicTake(path.parent, path.stem, path.name), character)


def read_deepmimic_take(take: DeepMimicTake, character: Character) -> list[ImportedClip]:
    """Return the clip of a motion and its mirror image: on level ground at height 0, at 30 frames a second.

    Time is stretched by half a frame at most, so that the last frame is the motion's end. The motion is raised or lowered so that
    it is on the ground. It goes on where it ends only if its last pose is its first one. Bodies are in contact where they are
    near the ground and slow.

    Args:
        take: one of `deepmimic_takes`.
        character: the humanoid.

    Raises:
        UserError: the file is no such motion, or the character is none of ours.
    """
    refuse_other_characters(character)
    where = f"{take.source / take.member}"
    rows, wraps = _read_rows(where, read_text_file(take.source, take.member, LARGEST_MOTION))
    frames = _resampled(_poses(where, rows, character), rows[:, 0])
    surface = surface_points(character)
    frames = replace(frames, root_pos=frames.root_pos - _ground_height(frames, character, surface))
    clip = MotionClip(
        name=take.name,
        **vars(frames),
        fps=FPS,
        loop_mode=LoopMode.WRAP if wraps and _ends_where_it_began(frames) else LoopMode.CLAMP,
        terrain=flat_ground(frames.root_pos),
    )
    clip = with_contacts_from_geometry(clip, character, surface, NEAR, SLOW)
    imported = ImportedClip(clip, take.name.removeprefix("humanoid3d_"), measured(clip, character))
    return with_mirror_images([imported], character)


def _read_rows(where: str, text: str) -> tuple[Float[Tensor, "rows numbers"], bool]:
    """Return the rows of a motion's file, and whether it says that the motion goes on."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where}: not JSON ({' '.join(str(error).split())[:100]}), expected a DeepMimic motion"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("Frames"), list):
        raise UserError(f"{where}: has no list 'Frames', expected a DeepMimic motion")
    loop, rows = content.get("Loop", "none"), content["Frames"]
    if loop not in ("wrap", "none"):
        raise UserError(f"{where}: Loop is {loop!r:.40}, expected 'wrap' or 'none'")
    if len(rows) < 2:
        raise UserError(f"{where}: Frames has {len(rows)} rows, expected at least 2")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != NUMBERS:
            found = f"{len(row)} numbers" if isinstance(row, list) else f"{row!r:.40}"
            raise UserError(
                f"{where}: row {number} of Frames has {found}, expected the {NUMBERS} of humanoid3d; other skeletons are not read"
            )
        if not all(type(value) in (int, float) and abs(value) <= FARTHEST for value in row):
            raise UserError(
                f"{where}: row {number} of Frames holds what is no number up to {FARTHEST:.0f}, expected metres and radians"
            )
        # The last frame's duration counts for nothing; most files say 0.
        if row[0] <= 0 and number < len(rows) - 1:
            raise UserError(f"{where}: row {number} of Frames lasts {row[0]} s, expected more than 0")
    rows = torch.tensor(rows, dtype=torch.float64)
    if float(rows[:-1, 0].sum()) > LONGEST:
        raise UserError(f"{where}: lasts {float(rows[:-1, 0].sum()):.0f} s, expected at most {LONGEST:.0f} s")
    return rows, loop == "wrap"


def _poses(where: str, rows: Float[Tensor, "rows numbers"], character: Character) -> Frames:
    """Return the poses of rows: ours are theirs with y up turned to z up, arms raised from hanging to our rest."""

    def quaternion(first: int) -> Float[Tensor, "rows 4"]:
        w, x, y, z = rows[:, first : first + 4].unbind(-1)
        turned = torch.stack([x, -z, y, w], dim=-1)
        length = turned.norm(dim=-1, keepdim=True)
        if float(length.min()) < SHORTEST_QUATERNION:
            worst = int(length.argmin())
            raise UserError(
                f"{where}: row {worst} of Frames has a quaternion of length {float(length[worst]):.2f} at number {first}"
                ", expected 1"
            )
        return (turned / length).float()

    joint_rot = torch.zeros(len(rows), character.num_joints, 4)
    joint_rot[..., 3] = 1
    for name, column in COLUMNS.items():
        side, _, part = name.partition("_")
        if part == "shin":  # their axis points left to right, ours right to left
            rotation = _about("y", -rows[:, column])
        elif part == "lower_arm":
            rotation = _about("z", rows[:, column] * (1 if side == "right" else -1))
        elif part == "upper_arm":
            hanging = _about("x", torch.full((len(rows),), math.pi / 2 * (1 if side == "right" else -1)))
            rotation = roma.quat_product(quaternion(column), hanging)
        else:
            rotation = quaternion(column)
        joint_rot[:, character.body_index(name) - 1] = rotation
    x, y, z = rows[:, 1:4].float().unbind(-1)
    root_pos = torch.stack([x, -z, y], dim=-1)
    return Frames(root_pos, quaternion(4), joint_rot, torch.zeros(len(rows), character.num_bodies))


def _about(axis: str, angle: Float[Tensor, " rows"]) -> Float[Tensor, "rows 4"]:
    """Return rotations about x, y or z (radians)."""
    return roma.rotvec_to_unitquat(angle[:, None].float() * torch.eye(3)["xyz".index(axis)])


def _resampled(frames: Frames, durations: Float[Tensor, " rows"]) -> Frames:
    """Return frames of equal duration, from the first one to the last one."""
    times = torch.cat([durations.new_zeros(1), durations[:-1].cumsum(0)])
    count = max(1, round(float(times[-1]) * FPS))
    at = torch.linspace(0, 1, count + 1, dtype=times.dtype) * times[-1]
    after = torch.searchsorted(times, at).clamp(1, len(times) - 1)
    share = ((at - times[after - 1]) / (times[after] - times[after - 1])).float()

    def blended(values: Tensor) -> Tensor:
        return torch.lerp(values[after - 1], values[after], share.reshape(-1, *[1] * (values.ndim - 1)))

    return Frames(
        blended(frames.root_pos),
        slerp(frames.root_rot[after - 1], frames.root_rot[after], share),
        slerp(frames.joint_rot[after - 1], frames.joint_rot[after], share[:, None]),
        blended(frames.contacts),
    )


def _ground_height(frames: Frames, character: Character, surface: BodyPoints) -> Float[Tensor, "3"]:
    """Return the height of the ground, metres along z: of the body's lowest point, but for the few frames with a lower one."""
    body_pos, body_rot = character.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    lowest = surface.placed(body_pos, body_rot)[..., 2].amin(1)
    return torch.stack([torch.zeros(()), torch.zeros(()), lowest.quantile(AT_GROUND)])


def _ends_where_it_began(frames: Frames) -> bool:
    """Say whether the last pose is the first one, somewhere else on the ground."""
    height = abs(float(frames.root_pos[-1, 2] - frames.root_pos[0, 2]))
    rotations = torch.cat([frames.root_rot[:, None], frames.joint_rot], dim=1)
    return height <= SAME_PLACE and float(angle_between(rotations[0], rotations[-1]).max()) <= SAME_ANGLE
