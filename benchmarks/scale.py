"""A motion library of the size of PARC's released data: 26 600 clips of 150 frames."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.own_process import forget_peak_memory, megabytes_in_memory
from benchmarks.setting import draw_windows, paper_sampler
from benchmarks.timing import Durations, duration
from parc.anim.library_cache import PreparedClips, digests_of_clips, load_prepared, write_prepared
from parc.anim.motion_library import MotionLibrary, runs

FRAMES_A_CLIP = 150
KEY = "benchmark"
WARM_UP = 20  # batches


@dataclass(frozen=True)
class Scale:
    """What a library of many clips takes.

    Attributes:
        load_seconds: to load its prepared data, checked against its digest; the file was just written.
        megabytes: that the process held at most, its imports included.
        batch_seconds: to draw a batch of 64 windows, median.
    """

    load_seconds: float
    megabytes: float
    batch_seconds: float


def write_repeated(path: Path, library: MotionLibrary, clips: int) -> None:
    """Write prepared data of so many clips of 150 frames: the first frames of a library's, over and over.

    Raises:
        ValueError: the library holds no clip so long.
    """
    long_enough = (library.num_frames >= FRAMES_A_CLIP).nonzero()[:, 0]
    if not len(long_enough):
        raise ValueError(f"no clip has {FRAMES_A_CLIP} frames")
    chosen = long_enough[torch.arange(clips) % len(long_enough)]
    frames = (library.first_frame[chosen][:, None] + torch.arange(FRAMES_A_CLIP)).flatten()
    cell_counts = library.terrain_shape[chosen].prod(1)
    cells = runs(library.first_cell[chosen], cell_counts)
    touched_counts = library.touched_offsets[frames + 1] - library.touched_offsets[frames]
    repeated = MotionLibrary(
        root_pos=library.root_pos[frames],
        root_rot=library.root_rot[frames],
        joint_rot=library.joint_rot[frames],
        contacts=library.contacts[frames],
        first_frame=torch.arange(clips) * FRAMES_A_CLIP,
        num_frames=torch.full((clips,), FRAMES_A_CLIP),
        fps=library.fps[chosen],
        wraps=library.wraps[chosen],
        weights=library.weights[chosen],
        heights=library.heights[cells],
        height_bounds=library.height_bounds[cells],
        first_cell=cell_counts.cumsum(0) - cell_counts,
        terrain_shape=library.terrain_shape[chosen],
        min_point=library.min_point[chosen],
        cell_size=library.cell_size[chosen],
        touched_cells=library.touched_cells[runs(library.touched_offsets[frames], touched_counts)],
        touched_offsets=torch.cat([torch.zeros(1, dtype=torch.long), touched_counts.cumsum(0)]),
    )
    names = [f"clip_{number}" for number in range(clips)]
    write_prepared(path, KEY, PreparedClips(repeated, names, [""] * clips, [], digests_of_clips(repeated, names)))


def measure_scale(path: Path, batches: int) -> Scale:
    """Load prepared data and draw batches; for a process of its own."""
    forget_peak_memory()
    began = time.perf_counter()
    prepared = load_prepared(path, KEY)
    load_seconds = time.perf_counter() - began
    assert prepared is not None
    sampler = paper_sampler()
    sampler.use_library(prepared.library, prepared.names, prepared.classes, [False] * len(prepared.names))
    cpu = torch.device("cpu")
    seconds = [duration(partial(draw_windows, sampler, step, 64), cpu) for step in range(WARM_UP + batches)]
    return Scale(load_seconds, megabytes_in_memory(peak=True), Durations(seconds[WARM_UP:]).median)
