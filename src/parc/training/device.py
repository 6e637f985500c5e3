"""What a run computes on."""

import ctypes
import os

import torch

from parc.configuration.errors import UserError
from parc.training.ranks import Ranks

# Of the C library's mallopt (malloc.h), and bytes.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_FREE, LARGEST_KEPT = 2**28, 2**25


def refuse_device(name: str, threads: int | None) -> None:
    """Check the form of what a config says a run computes on.

    Raises:
        UserError: names the key that is wrong.
    """
    if threads is not None and threads < 1:
        raise UserError(f"threads is {threads}, expected at least 1, or null")
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise UserError(f"device is {name!r}, expected auto, cpu, cuda or cuda:N")


def find_device(name: str, ranks: Ranks) -> torch.device:
    """Return the device that a config names; each of several processes on a machine takes the visible GPU of its local rank.

    Where each process is bound to GPUs of its own, as SLURM does it, it sees no others, and takes one of these.

    Raises:
        UserError: this machine does not have it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and count == 0):
        return torch.device("cpu")
    number = int(name.partition(":")[2] or ranks.local_rank % max(1, count))
    if number >= count:
        raise UserError(
            f"device is {name}, but this machine has {count} GPUs that torch {torch.__version__} can use; "
            "give device=cpu, or device=auto for the GPU where there is one"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def configure_torch(
    device: torch.device, threads: int | None, *, deterministic: bool = True, tf32: bool = False
) -> None:
    """Say how this process computes.

    Args:
        device: that computes.
        threads: of the CPU; None for all cores.
        deterministic: every computation gives the same numbers each time; otherwise a GPU may add them up in any order.
        tf32: a GPU rounds what it multiplies to 10 bits (TensorFloat-32); otherwise it keeps the 23 bits of single precision,
            in convolutions too, where torch would round.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As use_deterministic_algorithms does, but that loads all of torch.compile.
    torch.set_deterministic_debug_mode("warn" if deterministic else "default")
    # Filling fresh memory costs time, and no computation here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    _keep_freed_memory()
    if device.type == "cpu":
        _multiply_by_onednn()
    else:
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32


def _keep_freed_memory() -> None:
    """Have this process keep freed memory, up to 256 MB, for its next tensors.

    glibc gives it back to the system at once; fetching it anew was a quarter of the time of ground guidance, and a twentieth of a
    training step in bf16.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, KEPT_FREE)
        mallopt(MMAP_THRESHOLD, LARGEST_KEPT)


def _multiply_by_onednn() -> None:
    """Have oneDNN multiply matrices of single precision on the CPU, where it does not round them.

    Torch leaves them to MKL, which takes twice as long on AMD's CPUs. Where rounding to bfloat16 is allowed, it hands them to
    oneDNN on CPUs with AVX-512. Of these only such with AMX, which has instructions for rounded products, do round: they stay
    with MKL.
    """
    torch.set_float32_matmul_precision("medium")
    numbers = torch.arange(2.0**16).reshape(256, 256)  # most of them more than bfloat16 can hold
    if not torch.equal(numbers @ torch.eye(256), numbers):
        torch.set_float32_matmul_precision("highest")
