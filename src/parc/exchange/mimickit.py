"""Clips for MimicKit, which trains trackers: motions, the ground as boxes, a config of each clip's environment, datasets.

MimicKit finds files from the folder that it is started in, its own checkout. So the files name each other by the place that they
have, or are linked to, there.
"""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

import pickle
from pathlib import Path, PurePosixPath
from typing import Any

import mujoco
import roma
import torch
import yaml

from parc.anim.character import Character
from parc.anim.dataset import ClipEntry
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.configuration.files import write_text_whole
from parc.exchange.mujoco_scene import MARGIN, REACH
from parc.terrain.merged_boxes import merged_boxes

PLACE = "data/parc"  # in MimicKit's checkout
PICKLE_PROTOCOL = 2  # of which every Python can read it
_LOOP_MODES = {LoopMode.CLAMP: 0, LoopMode.WRAP: 1}


def write_mimickit(folder: Path, clip: MotionClip, character: CharacterFile, place: str = PLACE) -> list[Path]:
    """Write `NAME_box_0.xml`, ..., the merged boxes of the ground near the motion; `NAME_env.yaml`; and the motion, `NAME.pkl`.

    A motion has a loop mode, frames a second and rows of root position (world, metres), exponential map of the root's rotation,
    and the DOFs of the joints, depth first (radians): exponential maps, and angles of hinges. There are no contact labels.

    The config has what is the clip's own of an environment "static_objects": the motion, and the boxes, which are the same in
    every environment, so that there is one config a clip. The rest is for MimicKit's own `vault_humanoid_env.yaml` to say.

    Args:
        folder: that the files are written to.
        clip: to be tracked.
        character: of the clip.
        place: of that folder for MimicKit: from where it is started, or absolute.

    Raises:
        UserError: the ground takes too many boxes.
    """
    bodies = character.read()
    body_pos, _ = bodies.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    boxes = merged_boxes(clip.terrain, body_pos[..., :2], margin=MARGIN, reach=REACH)
    files, objects = [], []
    for number, (centre, half_size) in enumerate(zip(boxes.centres.tolist(), boxes.half_sizes.tolist(), strict=True)):
        box = folder / f"{clip.name}_box_{number}.xml"
        box.write_text(_box_xml(half_size), encoding="utf-8")
        files.append(box)
        objects.append({"file": _found_at(place, box.name), "pos": centre, "rot": [0.0, 0.0, 0.0, 1.0]})
    motion, environment = folder / f"{clip.name}.pkl", folder / f"{clip.name}_env.yaml"
    config = {"env_name": "static_objects", "motion_file": _found_at(place, motion.name), "objects": objects}
    environment.write_text(yaml.safe_dump(config, sort_keys=False, default_flow_style=None), encoding="utf-8")
    motion.write_bytes(pickle.dumps(_motion(clip, bodies), protocol=PICKLE_PROTOCOL))
    return [*files, environment, motion]


def write_mimickit_dataset(path: Path, motions: list[ClipEntry]) -> None:
    """Write a dataset of motions in the folder that is at `PLACE`, and of folders in it: how likely each is drawn.

    Args:
        path: of the YAML file, in that folder.
        motions: with their weights (see `clip_weights`); classes have no place there.
    """
    named = [(motion.path.relative_to(path.parent).as_posix(), motion.weight) for motion in motions]
    content = [{"file": _found_at(PLACE, name), "weight": weight} for name, weight in named]
    write_text_whole(path, yaml.safe_dump({"motions": content}, sort_keys=False, default_flow_style=None))


def _motion(clip: MotionClip, character: Character) -> dict[str, Any]:
    """Return a motion as a dict of plain lists and numbers, so that unpickling it imports nothing."""
    root_rotvec = roma.unitquat_to_rotvec(clip.root_rot)
    rows = torch.cat([clip.root_pos, root_rotvec, character.dofs_from_rotations(clip.joint_rot)], dim=1)
    return {"loop_mode": _LOOP_MODES[clip.loop_mode], "fps": clip.fps, "frames": rows.tolist()}


def _box_xml(half_size: list[float]) -> str:
    """Return an MJCF file of one box (half its sides, metres) on a body without joints, around its origin."""
    spec = mujoco.MjSpec()
    spec.modelname = "box"
    spec.worldbody.add_body(name="box").add_geom(name="box", type=mujoco.mjtGeom.mjGEOM_BOX, size=half_size)
    spec.compile()
    return spec.to_xml()


def _found_at(place: str, name: str) -> str:
    return str(PurePosixPath(place, name))
