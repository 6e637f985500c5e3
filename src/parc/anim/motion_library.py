"""The motion library: every clip of a dataset, laid end to end in arrays that can be read in batches."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.anim.frames import Frames
from parc.anim.motion_clip import LoopMode
from parc.anim.preprocessing import PreprocessedClip
from parc.anim.rotations import slerp
from parc.terrain.heightfield import Heightfields, laid_end_to_end


@dataclass(frozen=True)
class MotionLibrary:
    """Clips laid end to end. Tensors only, so that it can be written to one file and mapped into memory.

    Attributes:
        root_pos, root_rot, joint_rot, contacts: all frames (see `Frames`).
        first_frame: where each clip's frames begin.
        num_frames: frames of each clip.
        fps: frames a second of each clip.
        wraps: whether the clip begins again at its end.
        weights: sampling weight of each clip.
        heights: all terrain cells, row after row, metres.
        height_bounds: upper and lower height that augmentation may give each of these cells, metres.
        first_cell: where each clip's terrain begins.
        terrain_shape: cells along x and y.
        min_point: x, y of each terrain's cell (0, 0), metres.
        cell_size: side of a cell, metres.
        touched_cells: cells touched, frame after frame, as row x columns + column of the clip's terrain.
        touched_offsets: where each frame's touched cells begin; one more than there are frames.
    """

    root_pos: Float[Tensor, "frames 3"]
    root_rot: Float[Tensor, "frames 4"]
    joint_rot: Float[Tensor, "frames joints 4"]
    contacts: Float[Tensor, "frames bodies"]
    first_frame: Int[Tensor, " clips"]
    num_frames: Int[Tensor, " clips"]
    fps: Float[Tensor, " clips"]
    wraps: Bool[Tensor, " clips"]
    weights: Float[Tensor, " clips"]
    heights: Float[Tensor, " cells"]
    height_bounds: Float[Tensor, "cells 2"]
    first_cell: Int[Tensor, " clips"]
    terrain_shape: Int[Tensor, "clips 2"]
    min_point: Float[Tensor, "clips 2"]
    cell_size: Float[Tensor, " clips"]
    touched_cells: Int[Tensor, " touched"]
    touched_offsets: Int[Tensor, " boundaries"]

    @property
    def num_clips(self) -> int:
        """Number of clips."""
        return len(self.first_frame)

    @property
    def terrains(self) -> Heightfields:
        """The clips' terrains."""
        return Heightfields(self.heights, self.first_cell, self.terrain_shape, self.min_point, self.cell_size)

    @property
    def seconds(self) -> Float[Tensor, " clips"]:
        """Time from each clip's first to its last frame, seconds."""
        return (self.num_frames - 1) / self.fps

    def last_starts(self, window_seconds: float) -> Float[Tensor, " clips"]:
        """Return the latest time at which a window still fits (any time within a clip that wraps), seconds."""
        return torch.where(self.wraps, self.seconds, (self.seconds - window_seconds).clamp(min=0))

    def frames_at(self, clips: Int[Tensor, " batch"], times: Float[Tensor, "batch times"]) -> Frames:
        """Read clips at times (seconds), blending positions and contacts linearly and rotations the short way.

        The phase is time over the clip's length, held at its ends or, for clips that wrap, begun again; each loop then
        adds the way from the first to the last root position in x and y, not in z.
        """
        last = (self.num_frames[clips] - 1)[:, None]
        phase = times / self.seconds[clips][:, None]
        wraps = self.wraps[clips][:, None]
        loops = torch.where(wraps, torch.floor(phase), 0.0)
        phase = torch.where(wraps, phase - loops, phase.clamp(0, 1))
        place = phase * last
        before = torch.minimum(place.long(), last - 1)
        share = place - before
        first = self.first_frame[clips][:, None]
        before = before + first
        after = before + 1
        way = self.root_pos[first[:, 0] + last[:, 0]] - self.root_pos[first[:, 0]]
        way = way * torch.tensor([1.0, 1.0, 0.0])
        root_pos = torch.lerp(self.root_pos[before], self.root_pos[after], share[..., None])
        return Frames(
            root_pos + loops[..., None] * way[:, None],
            slerp(self.root_rot[before], self.root_rot[after], share),
            slerp(self.joint_rot[before], self.joint_rot[after], share[..., None]),
            torch.lerp(self.contacts[before], self.contacts[after], share[..., None]),
        )


def library_of(clips: list[PreprocessedClip], weights: list[float]) -> MotionLibrary:
    """Lay preprocessed clips end to end."""
    motions = [clip.clip for clip in clips]
    frames = [motion.num_frames for motion in motions]
    touched = [clip.touched for clip in clips]
    terrains = laid_end_to_end([motion.terrain for motion in motions])
    return MotionLibrary(
        root_pos=torch.cat([motion.root_pos for motion in motions]),
        root_rot=torch.cat([motion.root_rot for motion in motions]),
        joint_rot=torch.cat([motion.joint_rot for motion in motions]),
        contacts=torch.cat([motion.contacts for motion in motions]),
        first_frame=_starts(frames),
        num_frames=torch.tensor(frames),
        fps=torch.tensor([motion.fps for motion in motions]),
        wraps=torch.tensor([motion.loop_mode is LoopMode.WRAP for motion in motions]),
        weights=torch.tensor(weights, dtype=torch.float64),
        heights=terrains.heights,
        height_bounds=torch.cat([clip.height_bounds.flatten(0, 1) for clip in clips]),
        first_cell=terrains.first_cell,
        terrain_shape=terrains.shape,
        min_point=terrains.min_point,
        cell_size=terrains.cell_size,
        touched_cells=torch.cat(
            [
                (cells.cells[:, 0] * columns + cells.cells[:, 1]).int()
                for cells, columns in zip(touched, terrains.shape[:, 1].tolist(), strict=True)
            ]
        ),
        touched_offsets=torch.cat(
            [torch.zeros(1, dtype=torch.long), torch.cat([cells.offsets.diff() for cells in touched]).cumsum(0)]
        ),
    )


def library_tensors(library: MotionLibrary) -> dict[str, Tensor]:
    """Return the library's tensors by name."""
    return {field.name: getattr(library, field.name) for field in fields(library)}


def runs(first: Int[Tensor, " runs"], counts: Int[Tensor, " runs"]) -> Int[Tensor, " all"]:
    """Return first, first + 1, ... of so many numbers for each run, one run after the other."""
    return torch.arange(int(counts.sum())) + (first - (counts.cumsum(0) - counts)).repeat_interleave(counts)


def _starts(counts: list[int]) -> Int[Tensor, " items"]:
    return torch.tensor([0, *counts[:-1]]).cumsum(0)
