"""Work for processes to do: functions of a module, as they are handed them by name."""

import os
import time
from pathlib import Path

from parc.configuration.errors import UserError


def doubled(number: int) -> tuple[int, str, int]:
    """Return twice a number, and how many threads libraries compute with here."""
    import torch

    return 2 * number, os.environ["OMP_NUM_THREADS"], torch.get_num_threads()


def patient(folder: Path) -> int:
    """Leave word of being here, and stay."""
    (folder / str(os.getpid())).touch()
    time.sleep(600)
    return 0


def refused(item: tuple[Path, str]) -> int:
    """Do as an item says: raise an error, end the process, or stay."""
    folder, what = item
    if what == "stay":
        return patient(folder)
    if what == "end":
        os._exit(1)
    while not list(folder.iterdir()):
        time.sleep(0.01)
    raise UserError("clip.safetensors: broken")
