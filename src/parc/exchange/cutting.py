"""Cutting long takes into clips: where the body stands still, which is between what it does."""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SHORTEST, LONGEST = 3.0, 12.0  # seconds of a clip
SMOOTHED = 0.5  # seconds over which the speed is averaged
BENT = 2.0  # metres/s that a body whose hips are at its feet counts as; one that stands upright as none
PER_CUT = 0.3  # metres/s: what a cut costs beside that, so that clips are no shorter than they have to be
_BY_FAR = 1e3  # metres/s a second by which a clip is too long, or too short: more than all else


def cut_where_standing(positions: dict[str, Float[Tensor, "frames 3"]], fps: float) -> list[slice]:
    """Return the parts of a take that are clips: one after the other, of `SHORTEST` to `LONGEST` seconds where that can be.

    Cuts are at frames in which the body stands stiller and more upright than in those around; of all ways to cut there, the one
    with the least sum of (speed + stoop + `PER_CUT`). Clips that follow each other share the frame between them.

    Args:
        positions: of the landmarks, metres, z up.
        fps: frames a second.
    """
    unrest = _unrest(positions, fps)
    last = len(unrest) - 1
    width = 2 * round(SMOOTHED * fps / 2) + 1
    lowest = -F.max_pool1d(-unrest[None], width, stride=1, padding=width // 2)[0]
    calmest = (unrest == lowest).nonzero()[:, 0].tolist()
    frames = [0, *(frame for frame in calmest if SHORTEST * fps <= frame <= last - SHORTEST * fps), last]
    # The least cost of clips up to each of these frames, and where the last of those clips begins.
    costs, starts = [0.0], [0]
    for end in range(1, len(frames)):
        options = []
        for start in range(end):
            seconds = (frames[end] - frames[start]) / fps
            too_much = _BY_FAR * (max(0.0, seconds - LONGEST) + max(0.0, SHORTEST - seconds))
            options.append((costs[start] + too_much, start))
        cost, start = min(options)
        costs.append(cost + float(unrest[frames[end]]) + PER_CUT)
        starts.append(start)
    ends = [place := len(frames) - 1]
    while place := starts[place]:
        ends.append(place)
    cuts = [0, *(frames[place] for place in reversed(ends))]
    return [slice(start, end + 1) for start, end in itertools.pairwise(cuts)]


def _unrest(positions: dict[str, Float[Tensor, "frames 3"]], fps: float) -> Float[Tensor, " frames"]:
    """Return how far each frame is from standing still: the landmarks' mean speed, and how low the hips are, metres/s."""
    speeds = torch.stack(list(positions.values())).diff(dim=1).norm(dim=-1).mean(0) * fps
    hips = (positions["left_hip"] + positions["right_hip"])[:, 2] / 2
    above_feet = hips - (positions["left_ankle"] + positions["right_ankle"])[:, 2] / 2
    stoop = BENT * (1 - above_feet / above_feet.quantile(0.95).clamp(min=1e-3))
    unrest = F.pad(speeds[None], (0, 1), mode="replicate")[0] + stoop
    width = 2 * round(SMOOTHED * fps / 2) + 1
    return F.avg_pool1d(unrest[None], width, stride=1, padding=width // 2, count_include_pad=False)[0]
