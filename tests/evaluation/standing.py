"""Motions whose measures are known: they stand on level ground, or do one thing wrong."""

import dataclasses

import torch

from paper_settings import standing_frames
from parc.anim.character import Character
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.candidates import Candidates
from parc.terrain.heightfield import Heightfield

FPS = 30.0
FEET = ["left_foot", "right_foot"]


def standing(character: Character, batch: int = 1, frames: int = 30, above: float = 0.0) -> Candidates:
    """Return motions that stand still with their lowest point so far above z = 0, both feet labelled."""
    pose = standing_frames(batch, character, frames)
    points = surface_points(character).placed(
        *character.forward_kinematics(pose.root_pos, pose.root_rot, pose.joint_rot)
    )
    root_pos = pose.root_pos - torch.tensor([0.0, 0.0, 1.0]) * (points[..., 2].min() - above)
    pose = dataclasses.replace(pose, root_pos=root_pos, contacts=torch.zeros(batch, frames, character.num_bodies))
    for foot in FEET:
        pose.contacts[..., character.body_index(foot)] = 1.0
    return Candidates(
        pose,
        torch.full((batch,), frames),
        torch.ones(batch, dtype=torch.bool),
        torch.zeros(batch, dtype=torch.long),
    )


def clip_of(motions: Candidates, name: str = "standing", last_node: list[float] | None = None) -> MotionClip:
    """Return the first motion as a clip on level ground, with a path that ends somewhere if that is given."""
    frames = motions.frames_of(0)
    nodes = None if last_node is None else torch.tensor([[0.0, 0.0, 0.0], last_node])
    return MotionClip(
        name, frames.root_pos, frames.root_rot, frames.joint_rot, frames.contacts, FPS, LoopMode.CLAMP, level(),
        path_nodes=nodes,
    )  # fmt: skip


def level(height: float = 0.0) -> Heightfield:
    return Heightfield(torch.full((20, 20), height), torch.tensor([-4.0, -4.0]), 0.4)
