"""Training batches by step, each prepared while the step before it runs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

from parc.motion_generator.mdm import MDM, DiffusionDraws
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    MDMHeightfieldContactMotionSampler,
    MotionWindows,
)
from parc.stages.randomness import generator_for
from parc.training.ranks import Ranks

Batch = tuple[MotionWindows, DiffusionDraws]


def batch_at(
    step: int,
    *,
    seed: int,
    sampler: MDMHeightfieldContactMotionSampler,
    model: MDM,
    batch_size: int,
    ranks: Ranks,
) -> Batch:
    """Make this process's part of the batch of a step: all draw the whole batch, each works out its own part."""
    first, last = ranks.part(batch_size)
    windows = sampler.windows(sampler.draw(generator_for(seed, "windows", step), batch_size).part(first, last))
    return windows, model.draw(generator_for(seed, "diffusion", step), batch_size).part(first, last)


def batches(
    steps: range,
    *,
    seed: int,
    sampler: MDMHeightfieldContactMotionSampler,
    model: MDM,
    batch_size: int,
    ranks: Ranks,
    device: torch.device,
) -> Iterator[Batch]:
    """Yield this process's part of each step's batch, on `device`; the next one is made by a thread meanwhile."""

    def prepare(step: int) -> Batch:
        windows, draws = batch_at(step, seed=seed, sampler=sampler, model=model, batch_size=batch_size, ranks=ranks)
        if device.type != "cuda":
            return windows, draws
        # From pinned memory a GPU fetches the batch by itself, while the step before it goes on.
        return windows.each(Tensor.pin_memory), draws.each(Tensor.pin_memory)

    # On a CPU, more cores than one would be taken from the step that runs meanwhile.
    keep_to_one_core = partial(torch.set_num_threads, 1) if device.type == "cpu" else None
    with ThreadPoolExecutor(1, thread_name_prefix="batches", initializer=keep_to_one_core) as thread:
        coming = thread.submit(prepare, steps.start) if steps else None
        for step in steps:
            assert coming is not None
            windows, draws = coming.result()
            coming = thread.submit(prepare, step + 1) if step + 1 < steps.stop else None
            yield windows.to(device), draws.to(device)
