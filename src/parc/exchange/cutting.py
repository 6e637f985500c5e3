"""Cutting long takes into clips: where the body is slowest, which is between what it does."""

import torch
from jaxtyping import Float
from torch import Tensor

SHORTEST, LONGEST = 3.0, 12.0  # seconds of a clip
SMOOTHED = 0.5  # seconds over which the speed is averaged
PER_CUT = 0.3  # metres/s: what a cut costs beside the speed at it, so that clips are no shorter than they have to be


def cut_where_slow(positions: Float[Tensor, "frames joints 3"], fps: float) -> list[slice]:
    """Return the parts of a take that are clips: one after the other, of `SHORTEST` to `LONGEST` seconds.

    Cuts are at frames in which the joints are slower, on average, than a little before and after; of all ways to cut there, the
    one with the least sum of (speed + `PER_CUT`). A take that is shorter than two clips, or nowhere slower, stays whole; so may
    be clips longer than `LONGEST`, where there is no slower frame in between.

    Args:
        positions: of joints, metres.
        fps: frames a second.
    """
    last = len(positions) - 1
    speed = positions.diff(dim=0).norm(dim=-1).mean(-1) * fps
    width = 2 * (round(SMOOTHED * fps) // 2) + 1
    smooth = torch.nn.functional.avg_pool1d(speed[None], width, stride=1, padding=width // 2, count_include_pad=False)[
        0
    ]
    lowest = -torch.nn.functional.max_pool1d(-smooth[None], width, stride=1, padding=width // 2)[0]
    slowest = (smooth == lowest).nonzero()[:, 0].tolist()
    frames = [0, *(frame for frame in slowest if SHORTEST * fps <= frame <= last - SHORTEST * fps), last]
    # The least cost of clips up to each of these frames, and where the last of them begins.
    costs, starts = [0.0], [0]
    for end in range(1, len(frames)):
        at_end = float(smooth[frames[end]]) + PER_CUT if end < len(frames) - 1 else 0.0
        options = []
        for start in range(end):
            seconds = (frames[end] - frames[start]) / fps
            too_long = 1e3 * max(0.0, seconds - LONGEST)  # the least evil where nothing fits
            too_short = 1e6 * max(0.0, SHORTEST - seconds)
            options.append((costs[start] + at_end + too_long + too_short, start))
        cost, start = min(options)
        costs.append(cost)
        starts.append(start)
    cuts, place = [last], len(frames) - 1
    while place:
        place = starts[place]
        cuts.append(frames[place])
    cuts.reverse()
    # Clips that follow each other share the frame between them.
    return [slice(start, end + 1) for start, end in zip(cuts[:-1], cuts[1:], strict=True)]
