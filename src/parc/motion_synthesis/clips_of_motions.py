"""Motions as clips: with the terrain and the path that they follow, before and after refinement."""

from dataclasses import replace

import torch

from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.candidates import batch_of
from parc.motion_synthesis.refinement import Refiner
from parc.terrain.heightfield import laid_end_to_end
from parc.terrain.path_planner import PlannedPath


def clip_of_motion(
    name: str, frames: Frames, planned: PlannedPath, fps: float, *, unrefined: Frames | None = None
) -> MotionClip:
    """Return a motion as a clip, on the CPU.

    Args:
        name: of the clip.
        frames: of one motion [frames, ...].
        planned: the path that it follows, and its terrain.
        fps: frames a second.
        unrefined: what it was before refinement; frames that are the same are not kept twice.
    """
    frames = frames.each(torch.Tensor.cpu)
    before = None if unrefined is None else unrefined.each(torch.Tensor.cpu)
    return MotionClip(
        name=name,
        **vars(frames),
        fps=fps,
        loop_mode=LoopMode.CLAMP,
        terrain=planned.terrain,
        path_nodes=planned.nodes,
        unrefined=None if before is None or before.same_as(frames) else before,
    )


def refined_clip(clip: MotionClip, character: Character, refiner: Refiner) -> MotionClip:
    """Return a clip whose motion is refined on its terrain; `unrefined` says what it was before the first refinement.

    Args:
        clip: stays as it is.
        character: whose motion it is.
        refiner: as of a config's refinement.

    Returns:
        The clip with its path and terrain. Losses of how it was made are left out: they were those of another motion. A clip that
        the refiner leaves as it is, is the clip.

    Raises:
        UserError: the refiner does not fit the character.
    """
    refiner.check_with_character(character)
    terrains = laid_end_to_end([clip.terrain])
    motions = refiner.refine(batch_of([clip.frames]), terrains, character, surface_points(character), clip.fps)
    frames = motions.frames_of(0)
    if frames.same_as(clip.frames):
        return clip
    made = None if clip.made is None else replace(clip.made, losses={})
    before = clip.frames if clip.unrefined is None else clip.unrefined
    return replace(clip.with_frames(frames), unrefined=before, made=made)
