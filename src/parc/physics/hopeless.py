"""Motions that no forces can make, told from the motion alone, so that nobody computes for minutes to find out."""

import numpy as np

from parc.anim.character import Character
from parc.anim.flight import off_a_throw, runs_of
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.candidates import batch_of
from parc.motion_synthesis.quality import quality_of_frames
from parc.physics.measures import FAR_ROOT
from parc.terrain.heightfield import laid_end_to_end

FASTEST = 15.0  # metres/s of the root
DEEPEST = 0.5  # metres below ground
# Metres that what can be done may be off the motion: a throw, or standing on the ground below. Where it is, nobody follows.
OFF = FAR_ROOT + 0.1


def why_hopeless(clip: MotionClip, character: Character) -> str:
    """Say from which frame on no simulation can follow a motion, and why; nothing where it may."""
    steps = clip.root_pos.diff(dim=0).norm(dim=-1).numpy() * clip.fps
    if steps.max() > FASTEST:
        frame = int(np.argmax(steps > FASTEST))
        return f"frame {frame}: the root moves at {steps[frame]:.0f} m/s to the next one, over {FASTEST:.0f}"
    motions = batch_of([clip.frames])
    frames = quality_of_frames(motions, laid_end_to_end([clip.terrain]), character, surface_points(character))
    deepest = frames.deepest[0].numpy()
    if deepest.max() > DEEPEST:
        frame = int(np.argmax(deepest > DEEPEST))
        return f"frame {frame}: a body is {deepest[frame]:.2f} m in the ground, over {DEEPEST}"
    in_air = frames.distances[0].amin(-1).numpy() > OFF
    for first, last in runs_of(in_air):
        heights = clip.root_pos[first : last + 1, 2].double().numpy()
        missed = off_a_throw(heights, clip.fps)
        if missed > OFF:
            seconds = (last - first) / clip.fps
            return (
                f"frames {first} to {last}: nothing comes near the ground for {seconds:.1f} s, and whatever is thrown there "
                f"misses the motion by {missed:.2f} m"
            )
    return ""
