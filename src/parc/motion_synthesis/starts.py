"""What motions begin from: nothing but a place above their path's first node, or the end of a clip."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.clip_files import read_clip
from parc.anim.frames import Frames
from parc.anim.rotations import heading, turn_about_z
from parc.configuration.errors import UserError
from parc.motion_generator.canonical_frame import frames_to_canonical, frames_to_world
from parc.motion_generator.trained_model import TrainedModel
from parc.motion_synthesis.candidates import Paths


class StartHeading(str, Enum):
    """Where a motion looks first: along its path, or anywhere."""

    ALONG_THE_PATH = "along_the_path"
    ANY = "any"


@dataclass(frozen=True)
class BlankStart:
    """A start without a pose: the first window is generated from noise alone, above the first node.

    Attributes:
        min_height: lowest root position above the node, metres.
        max_height: highest, metres.
        heading: where the motion looks first.
    """

    min_height: float
    max_height: float
    heading: StartHeading

    def __post_init__(self) -> None:
        if not 0 < self.min_height <= self.max_height:
            raise UserError(
                f"rollout.blank_start: min_height {self.min_height} and max_height {self.max_height}; expected metres above 0, "
                "the first no more than the second"
            )

    def poses(
        self, paths: Paths, path: Int[Tensor, " batch"], generators: Sequence[torch.Generator]
    ) -> tuple[Float[Tensor, "batch 3"], Float[Tensor, "batch 4"]]:
        """Draw root positions (metres) and rotations (x, y, z, w) at the beginning of each candidate's path."""
        device = paths.nodes.device
        drawn = torch.stack([torch.rand(2, generator=generator) for generator in generators]).to(device)
        above = self.min_height + (self.max_height - self.min_height) * drawn[:, 0]
        turn = 2 * math.pi * drawn[:, 1] if self.heading is StartHeading.ANY else direction_of_paths(paths, path)
        return paths.nodes[path, 0] + torch.stack([0 * above, 0 * above, above], dim=-1), turn_about_z(turn)


def end_of_clip(path: Path, model: TrainedModel) -> Frames:
    """Return the last frames of a clip, one batch, for motions of a model to go on from.

    Returns:
        As many frames as the model has previous states. The last one stands above x = y = 0, where the ground is at z = 0, and
        looks along x.

    Raises:
        UserError: there is no such clip of the model's character and frame rate, or it is too short.
    """
    try:
        clip = read_clip(path, model.character)
    except UserError as error:
        raise UserError(f"rollout.start {error}") from error
    if clip.fps != model.fps:
        raise UserError(
            f"rollout.start {path}: has {clip.fps:g} frames a second, expected the {model.fps:g} of the model"
        )
    if clip.num_frames < model.num_previous:
        raise UserError(
            f"rollout.start {path}: has {clip.num_frames} frames, expected at least the {model.num_previous} that the model "
            "goes on from"
        )
    frames = clip.frames.each(lambda values: values[None, -model.num_previous :])
    at = frames.root_pos[:, -1]
    ground = torch.cat([at[:, :2], clip.terrain.heights_at(at[:, :2])[:, None]], dim=1)
    return frames_to_canonical(frames, ground, heading(frames.root_rot[:, -1]))


def placed_on_paths(frames: Frames, paths: Paths, path: Int[Tensor, " batch"]) -> Frames:
    """Return the end of a clip at the beginning of each candidate's path, looking along it.

    Args:
        frames: as from `end_of_clip`.
        paths: where they lead.
        path: each candidate's.
    """
    moved = frames.each(lambda values: values.to(paths.nodes.device).expand(len(path), *values.shape[1:]))
    return frames_to_world(moved, paths.nodes[path, 0], direction_of_paths(paths, path))


def direction_of_paths(paths: Paths, path: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Return the heading (radians) from the first node of each candidate's path to the second."""
    way = paths.nodes[path, min(1, paths.nodes.shape[1] - 1)] - paths.nodes[path, 0]
    return torch.atan2(way[:, 1], way[:, 0])
