"""Forward and backward pass of the paper's step on a GPU, as far as a machine without one can say.

torch's meta device has shapes and no numbers: whatever would have the host wait for a number of a GPU's fails there.
"""

import contextlib
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_runs import composed

from paper_settings import AUGMENTATION, paper_sampler
from parc.anim.motion_library import library_of
from parc.motion_generator.feature_statistics import compute_statistics
from parc.motion_generator.features import MotionFeatures
from parc.stages.stage import read_run
from parc.training.batches import batch_at
from parc.training.ranks import Ranks
from parc.training.train import initial_state
from synthetic_clips import preprocessed, random_clip

META = torch.device("meta")
MOST_OPERATIONS = 1800  # 1725 when this was written
# Operations that only look at memory in another way.
VIEWS = ["view", "select.int", "slice.", "squeeze", "expand", "permute", "transpose", "as_strided", "split", "unbind"]
VIEWS += ["alias", "detach", "aten.t."]


class Operations(TorchDispatchMode):
    """Counts operations that compute or move something, and those of them that are given numbers of the host's."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[str]()
        self.from_the_host: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not any(view in str(operation) for view in VIEWS):
            self.counts[str(operation)] += 1
            given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
            self.from_the_host += [str(operation) for value in given if value.device.type == "cpu"]
        return operation(*args, **(kwargs or {}))


@pytest.fixture
def step_on_meta(humanoid, monkeypatch):
    """Forward and backward pass of the paper's step, its network narrow, on the meta device."""
    settings = read_run(composed("dataset=demo", "model.denoiser.num_layers=4")).settings
    library = library_of(preprocessed(humanoid, [random_clip(humanoid, 0, frames=60)]), [1.0])
    sampler = paper_sampler(library, augmentation=AUGMENTATION)
    statistics = compute_statistics(sampler, MotionFeatures(humanoid, settings.model.rotation_type))
    state = initial_state(settings, sampler, humanoid, statistics, None, META)
    windows, draws = batch_at(0, seed=0, sampler=sampler, model=state.model, batch_size=4, ranks=Ranks())
    windows, draws = windows.to(META), draws.to(META)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # which knows no meta device
    state.model.train()

    def run() -> Operations:
        with Operations() as operations:
            state.model(windows, draws).sum().backward()
        return operations

    return run


def test_the_paper_step_asks_a_gpu_for_no_number_and_sends_it_none(step_on_meta, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a tensor is made of numbers that the host has")

    for maker in ("tensor", "as_tensor", "from_numpy"):  # on a GPU, a copy that no mode sees
        monkeypatch.setattr(torch, maker, refuse)
    monkeypatch.setattr(torch.Tensor, "new_tensor", refuse)
    assert step_on_meta().from_the_host == []


def test_the_paper_step_has_no_more_operations_than_it_had(step_on_meta):
    counts = step_on_meta().counts
    assert 1000 < counts.total() <= MOST_OPERATIONS, counts.most_common(20)
