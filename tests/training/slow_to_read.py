"""A dataset for tests of processes that read at different speeds. They import it by name."""

import datetime
import os
import time

from parc.anim.dataset import ClipDataset, ClipEntry
from parc.training import ranks

ranks.TIMEOUT = datetime.timedelta(seconds=5)


class SlowToRead(ClipDataset):
    """Takes all processes but the first longer than processes wait for each other, as a cold disk may."""

    def entries(self) -> list[ClipEntry]:
        if os.environ.get("RANK", "0") != "0":
            time.sleep(10)
        return super().entries()
