"""The processes of one training: which of them this is, and how they agree."""

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from parc.configuration.errors import UserError

# A rank that dies takes the others down after this long at the latest.
TIMEOUT = datetime.timedelta(seconds=45)
# What rank 0 prepares before all meet, statistics over all clips, may take this long; then it waits so long for the others.
PREPARATION = datetime.timedelta(days=1)
MEETING = datetime.timedelta(minutes=10)
_PREPARED = "parc/prepared"


@dataclass(frozen=True)
class Ranks:
    """The process at hand among those of a run.

    Attributes:
        rank: its number; rank 0 alone writes.
        count: how many there are.
        local_rank: its number on its machine, which is its GPU there.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def part(self, batch_size: int) -> tuple[int, int]:
        """Return first and last + 1 of this process's samples of a batch."""
        share = batch_size // self.count
        return self.rank * share, (self.rank + 1) * share

    def from_first(self, values: Tensor) -> Tensor:
        """Return rank 0's values on every process; they are of one shape and type on all."""
        if self.count > 1:
            dist.broadcast(values, 0)
        return values

    def meet(self, device: torch.device) -> None:
        """Wait until all processes are here."""
        self.mean(torch.zeros(1, device=device)).item()

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of each value over all processes, the same on each."""
        if self.count > 1:
            dist.all_reduce(values)
            values /= self.count
        return values


def find_ranks() -> Ranks:
    """Read this process's place from the environment that torchrun (or our SLURM launcher) sets."""
    environment = os.environ
    return Ranks(
        int(environment.get("RANK", 0)), int(environment.get("WORLD_SIZE", 1)), int(environment.get("LOCAL_RANK", 0))
    )


def join_ranks(ranks: Ranks, device: torch.device) -> None:
    """Meet the other processes (gloo on CPUs, nccl on GPUs). They wait for rank 0 here, whatever it has to prepare.

    Raises:
        UserError: they do not come.
    """
    if ranks.count == 1:
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        patience = MEETING if ranks.is_first else PREPARATION
        store, _, _ = next(dist.rendezvous("env://", ranks.rank, ranks.count, timeout=patience))
        if ranks.is_first:
            store.set(_PREPARED, "yes")
        store.wait([_PREPARED], PREPARATION)
        dist.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.count, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"rank {ranks.rank} of {ranks.count} cannot meet the others at {os.environ.get('MASTER_ADDR')}:"
            f"{os.environ.get('MASTER_PORT')} ({reason})"
        ) from error


def leave_ranks(ranks: Ranks) -> None:
    """Part from the other processes."""
    if ranks.count > 1 and dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def naming_lost_ranks(ranks: Ranks) -> Iterator[None]:
    """Say in one line that another process has gone, where what is left of it is an error deep in torch.

    Raises:
        UserError: the connection to another process was lost.
    """
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        if not isinstance(error, dist.DistError) and not any(word in reason for word in _CONNECTION_WORDS):
            raise
        raise UserError(
            f"rank {ranks.rank} of {ranks.count} has lost another rank, whose own message says why ({reason}); up to the last "
            "checkpoint everything is saved, the same command goes on from there"
        ) from error


_CONNECTION_WORDS = ("gloo", "NCCL", "Connection closed", "Connection reset")
