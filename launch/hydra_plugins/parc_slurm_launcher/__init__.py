"""Hydra's launcher for parc on a SLURM cluster: the jobs of a sweep become one job array."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """Sends the jobs of a sweep to SLURM; the work is in `parc.cluster.slurm`, which also says what the settings are."""

    def __init__(self, **settings: Any) -> None:
        """Take the settings; `parc.cluster.slurm.SlurmSettings` checks them."""
        del settings  # the sweep reads them from the config, where every value knows its origin

    @staticmethod
    def check_settings(settings: dict[str, Any]) -> None:
        """Check the settings, before the sweeper deletes or starts anything."""
        from parc.cluster.slurm import slurm_settings

        slurm_settings(settings)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives every launcher."""
        del task_function  # jobs are started from their configs
        self.hydra_context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Send the jobs, and wait for them if asked to; exits with a code that is not 0 if any failed."""
        from parc.cluster.slurm import run_sweep
        from parc.cluster.sweeping import composed_sweep

        del initial_job_idx
        run_sweep(*composed_sweep(self.config, self.hydra_context.config_loader, job_overrides))
        return []
