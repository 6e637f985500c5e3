"""Captured bodies made of our own motions: where a motion capture system would see their joints."""

import roma
import torch

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip

JOINTS = {
    "shoulder": "upper_arm",
    "elbow": "lower_arm",
    "hand": "hand",
    "hip": "thigh",
    "knee": "shin",
    "ankle": "foot",
}
TOE = (0.12, 0.0, -0.03)  # in the foot's frame: 2 cm above its sole
MIDDLE = {"spine": ("pelvis", 0.1), "neck": ("torso", 0.28), "head": ("head", 0.2)}  # heights in the bodies' frames


def landmarks_of(character: Character, clip: MotionClip) -> dict[str, torch.Tensor]:
    body_pos, body_rot = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)

    def point(body: str, place: tuple[float, float, float]) -> torch.Tensor:
        index = character.body_index(body)
        return body_pos[:, index] + roma.quat_action(body_rot[:, index], torch.tensor(place).expand(len(body_pos), 3))

    places = {name: point(body, (0.0, 0.0, height)) for name, (body, height) in MIDDLE.items()}
    for side in ("left", "right"):
        for joint, body in JOINTS.items():
            places[f"{side}_{joint}"] = point(f"{side}_{body}", (0.0, 0.0, 0.0))
        places[f"{side}_toe"] = point(f"{side}_foot", TOE)
    return places
