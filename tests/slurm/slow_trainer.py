"""A trainer for tests that have to reach a run before it ends. Jobs import it by name."""

import time

from parc.training.trainer import TrainerSettings

SECONDS_A_STEP = 0.15


class SlowTrainer(TrainerSettings):
    """Trains as any other, waiting before each step."""

    def learning_rate_at(self, step: int) -> float:
        time.sleep(SECONDS_A_STEP)
        return super().learning_rate_at(step)


class FailsOnRankOne(TrainerSettings):
    """Fails in one process of several, before they meet."""

    def __post_init__(self) -> None:
        import os

        from parc.configuration.errors import UserError

        super().__post_init__()
        if os.environ.get("RANK") == "1":
            raise UserError("rank 1 is meant to fail")
