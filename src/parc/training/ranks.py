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
# What rank 0 prepares before all meet, statistics over all clips, may take this long; then it waits so long for the others
# to come, and they for each other to read it.
PREPARATION = datetime.timedelta(days=1)
MEETING = datetime.timedelta(minutes=10)
_PREPARED = "parc/prepared"
_READY = "parc/ready"


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


def find_others(ranks: Ranks) -> dist.Store | None:
    """Return where the processes leave word for each other: rank 0's word is that it has prepared everything.

    The others wait for that here, however long it takes, and then find prepared what they need.

    Raises:
        UserError: they do not come.
    """
    if ranks.count == 1:
        return None
    with _naming_where(ranks):
        patience = MEETING if ranks.is_first else PREPARATION
        store, _, _ = next(dist.rendezvous("env://", ranks.rank, ranks.count, timeout=patience))
        if ranks.is_first:
            store.set(_PREPARED, "yes")
        store.wait([_PREPARED], PREPARATION)
        return store


def join_ranks(ranks: Ranks, device: torch.device, store: dist.Store | None) -> None:
    """Meet the other processes (gloo on CPUs, nccl on GPUs), once each has read what rank 0 prepared.

    Raises:
        UserError: they do not come.
    """
    if store is None:
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    with _naming_where(ranks):
        # From here on `TIMEOUT` holds, and a cold disk may take longer to read prepared data from.
        store.set(f"{_READY}/{ranks.rank}", "yes")
        store.wait([f"{_READY}/{rank}" for rank in range(ranks.count)], MEETING)
        dist.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.count, timeout=TIMEOUT)


@contextmanager
def _naming_where(ranks: Ranks) -> Iterator[None]:
    """Say in one line where this process looked for the others, if it does not meet them."""
    try:
        yield
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
            "checkpoint everything is saved; the same command resumes from there"
        ) from error


_CONNECTION_WORDS = ("gloo", "NCCL", "Connection closed", "Connection reset")
