"""Captured climbs on boxes, from the PyPI package `holosoma-retargeting`: its wheel as downloaded, or a folder with its files.

The package (version 0.1.0, Apache-2.0) holds five takes of people who climb on boxes, `demo_data/climb/mocap_climb_seq_*/`, each
with the positions of 53 joints (`*_joint_positions_*.npy`, float32, metres, z up), and in the same world the boxes
(`box_models/*.obj`).

No file says how many frames a second a take has. It is 120: the steepest fall of hips, a hop down in the third take, is at
4.8e-4 m a frame^2, which is 6.9 m/s^2 at 120 frames a second and more than gravity from 143 on; and the people walk between the
boxes at up to 0.8 to 0.95 m/s at 120, at half of that at 60.
"""

import io
import math
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import Float
from numpy.lib import format as npy
from torch import Tensor

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.rotations import rotate_xy
from parc.configuration.errors import UserError
from parc.exchange.boxes import box_corners, rasterised
from parc.exchange.fitted_clips import clips_of_take, with_mirror_images
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.landmarks import scale_by_legs
from parc.exchange.resampling import resampled
from parc.exchange.source_files import file_names, read_file, read_text_file

CLIMB_FOLDERS = "mocap_climb_seq_*"
FPS_OF_TAKES = 120  # measured: see above
JOINTS = 53
# Where the landmarks are among the joints; the package's config_types/data_type.py names all of them.
LANDMARK_JOINTS = {
    "spine": 1, "neck": 3, "head": 4,
    "left_shoulder": 6, "left_elbow": 7, "left_hand": 8, "right_shoulder": 25, "right_elbow": 26, "right_hand": 27,
    "left_hip": 43, "left_knee": 44, "left_ankle": 45, "left_toe": 46,
    "right_hip": 47, "right_knee": 48, "right_ankle": 49, "right_toe": 50,
}  # fmt: skip
FARTHEST = 1000.0  # metres from the origin
LARGEST_POSITIONS = 2**26  # bytes: 15 minutes
LARGEST_BOX = 2**20  # bytes of an OBJ file
MOST_BOXES = 100
# What makes a clip's class: metres between the lowest and the highest ground that it touches, and the share of time of a hand.
CLIMB, BLOCKS = 0.6, 0.1
CRAWL = 0.3


@dataclass(frozen=True)
class ClimbTake:
    """A take that was found.

    Attributes:
        source: the wheel or folder.
        name: of the take.
        positions: name, within the source, of the file of its joints' positions.
        boxes: of the files of its boxes.
    """

    source: Path
    name: str
    positions: str
    boxes: tuple[str, ...]

    @property
    def file(self) -> Path:
        """The file that changes when the take does: the wheel, or the positions."""
        return self.source / self.positions if self.source.is_dir() else self.source


def climb_takes(source: Path) -> list[ClimbTake]:
    """Return the takes of a wheel or folder, by name; none where it holds none. Their content is not read yet.

    Raises:
        UserError: there is no such wheel or folder, or it cannot be read.
    """
    names = file_names(source)
    takes = []
    for name in names:
        path = PurePosixPath(name)
        if path.match(f"{CLIMB_FOLDERS}/*_joint_positions_*.npy") or path.match(
            f"{CLIMB_FOLDERS}_joint_positions_*.npy"
        ):
            folder = path.parent / "box_models"
            boxes = tuple(box for box in names if PurePosixPath(box).parent == folder and box.endswith(".obj"))
            takes.append(ClimbTake(source, path.name.partition("_joint_positions_")[0], name, boxes))
    return takes


def read_climb(take: ClimbTake, character: Character) -> list[ImportedClip]:
    """Return the clips of a take, each followed by its mirror image: our humanoid where the captured person was, on cells.

    Person and boxes are scaled so that the legs are as long as ours, and turned together so that boxes lie along the cells (see
    `clips_of_take`).

    Args:
        take: one of `climb_takes`.
        character: the humanoid.

    Raises:
        UserError: the take has no boxes, a file of it is broken, or the character is none of ours.
    """
    if not 1 <= len(take.boxes) <= MOST_BOXES:
        raise UserError(
            f"{take.file}: {len(take.boxes)} OBJ files in box_models beside {take.positions}, expected the boxes that it is on"
        )
    landmarks = read_positions(take)
    scale = scale_by_legs(character, landmarks)
    landmarks = {name: places * scale for name, places in landmarks.items()}
    touching = torch.cat([landmarks[f"{side}_{end}"] for side in ("left", "right") for end in ("toe", "hand")])
    boxes = [
        box_corners(f"{take.source}: {name}", read_text_file(take.source, name, LARGEST_BOX)) * scale
        for name in take.boxes
    ]
    ground = rasterised(boxes, touching)
    angle = torch.tensor(ground.turn)
    for name, places in landmarks.items():
        turned = torch.cat([rotate_xy(places[:, :2], angle), places[:, 2:]], dim=1)
        landmarks[name] = resampled(turned, FPS_OF_TAKES)
    of_boxes = {"tops off (cm)": 100 * ground.tops_off, "edges off (cm)": 100 * ground.edges_off}
    imported = [
        replace(each, motion_class=motion_class_of(each.clip, character), measures={**each.measures, **of_boxes})
        for each in clips_of_take(take.name, landmarks, ground.terrain, character)
    ]
    return with_mirror_images(imported, character)


def read_positions(take: ClimbTake) -> dict[str, Float[Tensor, "frames 3"]]:
    """Return the positions of a take's landmarks, metres, z up, `FPS_OF_TAKES` frames a second.

    Raises:
        UserError: the file is no array of that many joints' positions.
    """
    where = f"{take.source}: {take.positions}"
    content = read_file(take.source, take.positions, LARGEST_POSITIONS)
    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, kind = read_header(stream)
    except (ValueError, EOFError) as error:
        raise UserError(f"{where} is not an array of numpy ({' '.join(str(error).split())[:100]})") from error
    if kind.kind != "f" or by_columns or len(shape) != 3 or shape[0] < 2 or shape[1:] != (JOINTS, 3):
        raise UserError(
            f"{where} holds {kind} in the shape {list(shape)}, expected numbers in the shape [frames, {JOINTS}, 3]"
        )
    # Read as it is, not by numpy, which would first make room for as many numbers as the file says that it has.
    if len(content) - stream.tell() != math.prod(shape) * kind.itemsize:
        raise UserError(f"{where} has {len(content)} bytes, expected {shape[0]} frames; is it whole?")
    values = np.frombuffer(content, kind, offset=stream.tell()).reshape(shape).astype(np.float32)
    if not (np.abs(values) <= FARTHEST).all():
        raise UserError(f"{where} holds positions that are not within {FARTHEST:.0f} m, expected metres")
    return {name: torch.from_numpy(values[:, joint].copy()) for name, joint in LANDMARK_JOINTS.items()}


def motion_class_of(clip: MotionClip, character: Character) -> str:
    """Return what a clip is called by the ground under the bodies that touch it: climbing, crawling, blocks, or walking."""
    body_pos, _ = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    touched = clip.terrain.heights_at(body_pos[..., :2])[clip.contacts > 0.5]
    hands = clip.contacts[:, [character.body_index("left_hand"), character.body_index("right_hand")]]
    height = float(touched.max() - touched.min()) if len(touched) else 0.0
    if height >= CLIMB:
        return "climbing"
    if float(hands.mean()) >= CRAWL:
        return "crawling"
    return "blocks" if height >= BLOCKS else "walking"
