"""Measuring durations in turns, so that a machine whose speed changes does so for all of them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

Action = Callable[[], object]


@dataclass(frozen=True)
class Durations:
    """What an action took, turn by turn.

    Attributes:
        seconds: of each turn.
    """

    seconds: list[float]

    @property
    def median(self) -> float:
        """The middle one, seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The durations that a quarter of all lie below and above, seconds."""
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third

    def ratio_to(self, other: "Durations") -> float:
        """Return the median of the ratios to what another action took in the same turn."""
        return statistics.median(own / others for own, others in zip(self.seconds, other.seconds, strict=True))


def measure_in_turns(actions: dict[str, Action], turns: int, device: torch.device) -> dict[str, Durations]:
    """Run each action once to warm up, then all of them in turns.

    Args:
        actions: by name.
        turns: how often each is measured, at least 2.
        device: where the actions compute; on a GPU, its own clock measures them.
    """
    for action in actions.values():
        action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(turns):
        for name, action in actions.items():
            seconds[name].append(duration(action, device))
    return {name: Durations(each) for name, each in seconds.items()}


def duration(action: Action, device: torch.device) -> float:
    """Return how long an action takes, seconds: to the end of the work that it gives a GPU, by CUDA events."""
    if device.type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        begin.record()
        action()
        end.record()
        torch.cuda.synchronize(device)
        return begin.elapsed_time(end) / 1000
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def waiting_share(action: Action, device: torch.device) -> float:
    """Return the share of an action's time in which the GPU has nothing to do."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        seconds = duration(action, device)
    busy = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    return max(0.0, 1 - busy / seconds)
