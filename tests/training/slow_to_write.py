"""A trainer for tests of processes whose first one writes slowly. They import it by name."""

import datetime
import time

from parc.motion_generator.checkpoint import write_checkpoint
from parc.training import loop, ranks
from parc.training.trainer import TrainerSettings

ranks.TIMEOUT = datetime.timedelta(seconds=6)


class SlowToWrite(TrainerSettings):
    """Its first checkpoint takes rank 0 longer than processes wait for each other, as on a slow disk."""


def _write_slowly(*arguments):
    loop.write_checkpoint = write_checkpoint
    print("writing slowly", flush=True)  # noqa: T201
    time.sleep(12)
    write_checkpoint(*arguments)


loop.write_checkpoint = _write_slowly
