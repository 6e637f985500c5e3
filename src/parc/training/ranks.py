"""The processes of one training: which of them this is, and how they agree."""

import datetime
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
import torch.distributed as dist
from torch import Tensor

from parc.configuration.errors import UserError

# A rank that dies takes the others down after this long at the latest: so long they wait for one that computes with them.
TIMEOUT = datetime.timedelta(seconds=45)
# What rank 0 prepares before all meet, statistics over all clips, may take this long; then it waits so long for the others
# to come, and they for each other to read it.
PREPARATION = datetime.timedelta(days=1)
MEETING = datetime.timedelta(minutes=10)
_HERE = "parc/here"
_PREPARED = "parc/prepared"
_READY = "parc/ready"
_DONE = "parc/done"
_SHORTEST_LOOK, _LONGEST_LOOK = 0.001, 0.2  # seconds between looks at what others have left word of


@dataclass(frozen=True)
class Ranks:
    """The process at hand among those of a run.

    Attributes:
        rank: its number; rank 0 alone writes.
        count: how many there are.
        local_rank: its number on its machine, which is its GPU there.
        store: where the processes leave word for each other, once they have met.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    store: dist.Store | None = field(default=None, repr=False, compare=False)

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

    def wait_for_first(self, number: int) -> None:
        """Wait until rank 0 is done with what it does alone, however long that takes: a slow disk is no dead process.

        Processes that compute together wait `TIMEOUT` for a late one, and then take it for dead. Here the others look at the
        store instead. Where rank 0 serves it, it ends with rank 0; where torchrun does, torchrun ends the others.

        Args:
            number: grows from call to call, and is the same on all processes.
        """
        if self.store is None:
            return
        if self.is_first:
            self.store.set(_DONE, str(number))
            return
        pause = _SHORTEST_LOOK
        while not self.store.check([_DONE]) or int(self.store.get(_DONE)) < number:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    def wait_for_all(self, what: str) -> None:
        """Wait until all processes have done something that may take one of them far longer than another.

        Args:
            what: a name for it, of its own.

        Raises:
            UserError: they have not after `MEETING`.
        """
        if self.store is None:
            return
        with _naming_where(self):
            _words_of_all(self, self.store, what, "yes")

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


def find_others(ranks: Ranks) -> Ranks:
    """Return this process with the store in which all leave word for each other: rank 0's word is that it has prepared all.

    The others wait for that here, however long it takes, and then find prepared what they need.

    Raises:
        UserError: they do not come.
    """
    if ranks.count == 1:
        return ranks
    with _naming_where(ranks):
        store = _open_store(ranks)
        store.set(f"{_HERE}/{ranks.rank}", "yes")
        if ranks.is_first:
            _wait(store, [f"{_HERE}/{rank}" for rank in range(ranks.count)], MEETING)
            store.set(_PREPARED, "yes")
        _wait(store, [_PREPARED], PREPARATION)
        return replace(ranks, store=store)


def _open_store(ranks: Ranks) -> dist.Store:
    """Return the store that torchrun serves, or else rank 0, as torch's own rendezvous finds it.

    Unlike that, it waits in Python, whose signal handlers have no turn while torch waits.
    """
    host, port = (os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
    if not host or not port:
        raise ValueError("MASTER_ADDR and MASTER_PORT are not set in its environment")
    serves = ranks.is_first and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    until = time.monotonic() + PREPARATION.total_seconds()
    while not serves and not _is_served(host, int(port)) and time.monotonic() < until:
        time.sleep(_LONGEST_LOOK)
    store = dist.TCPStore(host, int(port), ranks.count, serves, MEETING, wait_for_workers=False)
    # torchrun keeps one store when it starts processes again, and with it what those before have said.
    return dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)


def _is_served(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5.0):
            return True
    except OSError:
        return False


def _wait(store: dist.Store, keys: list[str], patience: datetime.timedelta) -> None:
    """Wait for words of other processes.

    Raises:
        TimeoutError: they are not there yet.
        RuntimeError: who serves the store has gone.
    """
    until, pause = time.monotonic() + patience.total_seconds(), _SHORTEST_LOOK
    while not store.check(keys):
        if time.monotonic() > until:
            raise TimeoutError(f"nobody there after {patience}")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_LOOK)


def _words_of_all(ranks: Ranks, store: dist.Store, about: str, word: str) -> list[str]:
    """Leave word about something, wait so long as `MEETING` for that of all processes, and return them by rank.

    Raises:
        TimeoutError: not all are there.
        RuntimeError: who serves the store has gone.
    """
    keys = [f"{about}/{rank}" for rank in range(ranks.count)]
    store.set(keys[ranks.rank], word)
    _wait(store, keys, MEETING)
    return [store.get(key).decode() for key in keys]


def await_others(ranks: Ranks, device: torch.device) -> None:
    """Wait until each process has read what rank 0 prepared: a cold disk may make that slow.

    Raises:
        UserError: they do not come, or two of them would compute on one GPU.
    """
    if ranks.store is None:
        return
    with _naming_where(ranks):
        first_of: dict[str, int] = {}
        for rank, name in enumerate(_words_of_all(ranks, ranks.store, _READY, _name_of(device))):
            if name and (other := first_of.setdefault(name, rank)) != rank:
                raise UserError(
                    f"ranks {other} and {rank} would both compute on {name}; expected a GPU for each, so start as many "
                    "processes as there are GPUs, or give device=cpu"
                )


def _name_of(device: torch.device) -> str:
    """Return a name for a GPU that no other has; nothing for CPUs, which processes may share."""
    if device.type != "cuda":
        return ""
    return f"GPU {torch.cuda.get_device_properties(device).uuid} of {socket.gethostname()}"


def join_ranks(ranks: Ranks, device: torch.device) -> None:
    """Begin to compute with the other processes (gloo on CPUs, nccl on GPUs): from here on `TIMEOUT` holds.

    Raises:
        UserError: they do not come.
    """
    if ranks.store is None:
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    with _naming_where(ranks):
        dist.init_process_group(backend, store=ranks.store, rank=ranks.rank, world_size=ranks.count, timeout=TIMEOUT)


@contextmanager
def _naming_where(ranks: Ranks) -> Iterator[None]:
    """Say in one line where this process looked for the others, if it does not meet them."""
    try:
        yield
    except (RuntimeError, ValueError, TimeoutError) as error:
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
