"""What a model would be told if it went on from a frame of a clip, in the world: to be drawn over the clip."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.frames import Frames
from parc.anim.motion_clip import MotionClip
from parc.anim.rotations import rotate_xy
from parc.configuration.composing import pieces_of_option
from parc.configuration.errors import UserError
from parc.configuration.pieces import recipe
from parc.motion_generator.canonical_frame import RelativeZStyle, to_world
from parc.motion_generator.local_heightmap import HeightmapGrid
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    MDMHeightfieldContactMotionSampler,
    TargetSettings,
)
from parc.motion_synthesis.candidates import paths_of
from parc.motion_synthesis.rollout import Rollout
from parc.motion_synthesis.surroundings import Sight, surroundings_at
from parc.terrain.path_planner import PlannedPath


@dataclass(frozen=True)
class WhatTheModelSees:
    """What a window that goes on from a frame is told, in the world.

    Attributes:
        heightmap: the points of the local heightmap, z being the height that is told, clamped as it is, metres.
        target: the node of the path that it is sent to, metres; None where the clip has no path.
        direction: unit x, y direction that is told; zeros where the target is so near that none is, or there is none.
        previous: the frames that it goes on from, the last one being the clip's frame; fewer than the model has where the clip
            has none before.
    """

    heightmap: Float[Tensor, "rows columns 3"]
    target: Float[Tensor, "3"] | None
    direction: Float[Tensor, "2"]
    previous: Frames


@dataclass(frozen=True)
class SightOfSettings:
    """What models see by that settings describe (see `Sight`)."""

    heightmap: HeightmapGrid
    relative_z_style: RelativeZStyle
    target: TargetSettings
    num_previous: int


def default_sight() -> SightOfSettings:
    """Return what a model would see by that was trained with the default settings."""
    settings = pieces_of_option("train", [], ["sampler"])["sampler"]
    sampler = recipe(settings, MDMHeightfieldContactMotionSampler, "sampler")
    return SightOfSettings(sampler.heightmap, sampler.relative_z_style, sampler.target, sampler.num_previous_states)


def what_the_model_sees(sight: Sight, clip: MotionClip, frame: int, rollout: Rollout) -> WhatTheModelSees:
    """Return what a model would be told if it went on from a frame of a clip.

    Args:
        sight: a trained model, or `default_sight()`.
        clip: on its terrain; its path says where to go.
        frame: from 0.
        rollout: says which node of the path is the target.

    Raises:
        UserError: the clip has no such frame.
    """
    if not 0 <= frame < clip.num_frames:
        raise UserError(f"{clip.name} has no frame {frame}, expected 0 to {clip.num_frames - 1}")
    root_pos, root_rot = clip.root_pos[frame, None], clip.root_rot[frame, None]
    has_path = clip.path_nodes is not None and len(clip.path_nodes) > 0
    nodes = clip.path_nodes if clip.path_nodes is not None and has_path else root_pos
    paths, path = paths_of([PlannedPath(clip.terrain, nodes)]), torch.zeros(1, dtype=torch.long)
    node = rollout.target_node(paths, path, root_pos)
    around = surroundings_at(sight, paths, path, root_pos, root_rot, node)
    points = torch.cat([sight.heightmap.points(), around.heightmap[0, ..., None]], dim=-1)
    in_world = to_world(points.flatten(0, 1)[None], around.origin, around.turn)[0]
    return WhatTheModelSees(
        heightmap=in_world.unflatten(0, sight.heightmap.shape),
        target=nodes[int(node)] if has_path else None,
        direction=rotate_xy(around.target, around.turn)[0],
        previous=clip.frames.each(lambda values: values[max(0, frame + 1 - sight.num_previous) : frame + 1]),
    )
