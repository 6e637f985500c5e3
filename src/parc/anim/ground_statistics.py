"""How much of a set of clips goes over uneven ground, and how much of its ups and downs only the ground ahead tells.

A denoiser looks at its terrain only where that tells it what it does not know already: in a set where the previous states
give away every step up and down, there is nothing to look for.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace

import roma
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.anim.heldout_clips import motion_of, place_of
from parc.anim.motion_clip import MotionClip
from parc.anim.rotations import heading, rotate_xy, slerp, turn_about_z

# Windows as the sampler's shipped options make them (conf/sampler).
WINDOW_FRAMES, PREVIOUS_FRAMES, FPS = 15, 2, 30.0
WINDOW_SECONDS = WINDOW_FRAMES / FPS
CHANGE = 0.1  # metres between the highest and the lowest ground of a window, from which on it changes
LOOKAHEAD = 0.4  # metres ahead of the last frame's root that belong to a window's ground: about a foot that lands there
# Before or after the last previous frame, seconds: the ground that explains the rise is read where the root is then, if it goes
# on as it went between the last two previous frames.
AHEAD = torch.arange(-2, 9) / 10
FOLDS = 5  # the clips are held out in turn, a fold of them at a time
RIDGE = 1e-3  # share of each feature's own variance that is added to it: features that say the same share their part


@dataclass(frozen=True)
class GroundWindows:
    """All windows of a clip.

    Attributes:
        changes: whether the ground under the root's way, and `LOOKAHEAD` further, changes by over `CHANGE`.
        rise: of the root from the last previous frame to the last frame, metres.
        pose: the previous frames, in the canonical frame of the last of them: places, rotation vectors, contact labels.
        ground: heights where the root goes (see `AHEAD`), relative to the last previous frame's root, metres.
    """

    changes: Bool[Tensor, " windows"]
    rise: Float[Tensor, " windows"]
    pose: Float[Tensor, "windows states"]
    ground: Float[Tensor, "windows points"]


def windows_of(clip: MotionClip) -> GroundWindows | None:
    """Return the windows of a clip, one a frame; None where it is shorter than one."""
    clip = _at_window_rate(clip)
    count = clip.num_frames - WINDOW_FRAMES + 1
    if count < 1:
        return None
    starts = torch.arange(count)
    turn = heading(clip.root_rot)
    ahead = clip.root_pos[:, :2] + LOOKAHEAD * torch.stack([turn.cos(), turn.sin()], dim=-1)
    frames = starts[:, None] + torch.arange(WINDOW_FRAMES)
    below = clip.terrain.heights_at(clip.root_pos[:, :2])[frames]
    below = torch.cat([below, clip.terrain.heights_at(ahead)[frames[:, -1:]]], dim=1)
    now = starts + PREVIOUS_FRAMES - 1
    velocity = (clip.root_pos[now] - clip.root_pos[now - 1])[:, None, :2] * FPS
    way = clip.root_pos[now, None, :2] + velocity * AHEAD[:, None]
    return GroundWindows(
        changes=below.amax(1) - below.amin(1) > CHANGE,
        rise=clip.root_pos[frames[:, -1], 2] - clip.root_pos[now, 2],
        pose=_poses(clip, frames[:, :PREVIOUS_FRAMES], turn[now]),
        ground=clip.terrain.heights_at(way) - clip.root_pos[now, 2, None],
    )


class GroundStatistics:
    """Figures of the windows of a set of clips, which are added one after the other and not kept."""

    def __init__(self) -> None:
        self._changing = Counter[str]()
        self._windows = Counter[str]()
        self._folds: dict[int, Tensor] = {}
        self._pose_size = 0

    def add(self, clip: MotionClip, motion_class: str) -> None:
        """Count the windows of a clip, every one of them alike."""
        windows = windows_of(clip)
        if windows is None:
            return
        self._windows[motion_class] += len(windows.changes)
        self._changing[motion_class] += int(windows.changes.sum())
        one = torch.ones(len(windows.rise), 1)
        rows = torch.cat([one, windows.pose, windows.ground, windows.rise[:, None]], dim=1).double()
        # A clip and its mirror image are held out together: one would give away the other.
        fold = int(place_of(motion_of(clip.name)) * FOLDS)
        self._folds[fold] = self._folds.get(fold, 0) + rows.T @ rows
        self._pose_size = windows.pose.shape[1]

    def share_changing(self, motion_class: str | None = None) -> float:
        """Return the share of the windows, of a class or of all, in which the ground changes by over `CHANGE`; NaN of none."""
        windows, changing = self._windows, self._changing
        if motion_class is None:
            total, changed = windows.total(), changing.total()
        else:
            total, changed = windows[motion_class], changing[motion_class]
        return changed / total if total else math.nan

    def rise_explained(self, with_ground: bool) -> float:
        """Return the share of the variance of the rise over a window that a linear prediction explains on clips held out.

        Args:
            with_ground: from the ground ahead too, not from the previous frames' pose alone.

        Returns:
            At most 1; NaN where all clips fall into one fold or nothing rises.
        """
        if len(self._folds) < 2:
            return math.nan
        total = sum(self._folds.values(), torch.zeros(1))
        used = 1 + self._pose_size + (len(AHEAD) if with_ground else 0)
        errors = sum(_squared_error(total - held_out, held_out, used) for held_out in self._folds.values())
        variance = float(total[-1, -1] - total[0, -1] ** 2 / total[0, 0])
        return 1 - errors / variance if variance > 1e-12 else math.nan


def _squared_error(seen: Float[Tensor, "all all"], held_out: Float[Tensor, "all all"], used: int) -> float:
    """Fit the last column by the first `used` ones where it is seen, and return the squared error where it is held out.

    Both are sums of products of all columns with one another, the first of them being 1: all that least squares needs.
    """
    products = seen[:used, :used]
    variances = products.diagonal() - products[0] ** 2 / products[0, 0]
    # What never changes (the labels of hands, say) gets no part.
    slack = torch.diag(RIDGE * variances + 1e-9 * products[0, 0])
    slack[0, 0] = 0.0
    weights = torch.linalg.solve(products + slack, seen[:used, -1])
    fit = torch.cat([weights, weights.new_tensor([-1.0])])
    place = [*range(used), len(held_out) - 1]
    return float(fit @ held_out[place][:, place] @ fit)


def _poses(
    clip: MotionClip, frames: Int[Tensor, "windows previous"], turn: Float[Tensor, " windows"]
) -> Float[Tensor, "windows states"]:
    """Return the last of some frames and, since neighbours hardly differ, how the others differ from it."""
    places = clip.root_pos[frames] - clip.root_pos[frames[:, -1:]]
    places = torch.cat([rotate_xy(places[..., :2], -turn[:, None]), places[..., 2:]], dim=-1)
    root_rot = roma.quat_product(turn_about_z(-turn)[:, None].expand(*frames.shape, 4), clip.root_rot[frames])
    rotations = torch.cat([root_rot[:, :, None], clip.joint_rot[frames]], dim=2)
    parts = (places, roma.unitquat_to_rotvec(rotations), clip.contacts[frames])
    states = torch.cat([part.flatten(2) for part in parts], dim=2)
    return torch.cat([states[:, -1], (states[:, :-1] - states[:, -1:]).flatten(1)], dim=1)


def _at_window_rate(clip: MotionClip) -> MotionClip:
    """Return a clip with `FPS` frames a second."""
    if clip.fps == FPS:
        return clip
    place = torch.arange(0, (clip.num_frames - 1) / clip.fps + 1e-6, 1 / FPS) * clip.fps
    before = place.long().clamp(max=clip.num_frames - 2)
    share, after = place - before, before + 1
    return replace(
        clip,
        root_pos=torch.lerp(clip.root_pos[before], clip.root_pos[after], share[:, None]),
        root_rot=slerp(clip.root_rot[before], clip.root_rot[after], share),
        joint_rot=slerp(clip.joint_rot[before], clip.joint_rot[after], share[:, None]),
        contacts=torch.lerp(clip.contacts[before], clip.contacts[after], share[:, None]),
        fps=FPS,
    )
