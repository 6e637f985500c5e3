"""Motions that no forces can make, told from the motion alone, so that nobody computes for minutes to find out."""

import numpy as np
from jaxtyping import Bool, Float

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.motion_synthesis.candidates import batch_of
from parc.motion_synthesis.quality import quality_of_frames
from parc.physics.measures import FAR_ROOT
from parc.physics.simulation import GRAVITY
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
    for first, last in _runs(in_air):
        heights = clip.root_pos[first : last + 1, 2].double().numpy()
        missed = _off_a_throw(heights, clip.fps)
        if missed > OFF:
            seconds = (last - first) / clip.fps
            return (
                f"frames {first} to {last}: nothing comes near the ground for {seconds:.1f} s, and whatever is thrown there "
                f"misses the motion by {missed:.2f} m"
            )
    return ""


def _runs(true: Bool[np.ndarray, " frames"]) -> list[tuple[int, int]]:
    """Return the first and the last frame of each run of true values."""
    edges = np.flatnonzero(np.diff(np.r_[False, true, False].astype(int)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def _off_a_throw(heights: Float[np.ndarray, " frames"], fps: float) -> float:
    """Return how far heights (metres) are from those of the throw that fits best, metres."""
    seconds = np.arange(len(heights)) / fps
    rising = heights + GRAVITY / 2 * seconds**2  # a straight line in a throw
    line = np.polyfit(seconds, rising, 1) if len(heights) > 1 else np.array([0.0, rising[0]])
    return float(np.abs(rising - np.polyval(line, seconds)).max())
