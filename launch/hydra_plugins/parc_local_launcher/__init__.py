"""Hydra's launcher for parc on one machine: jobs one after another, each in a process of its own."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalLauncher(Launcher):
    """Runs the jobs of a sweep here; the work is in `parc.cluster.local`."""

    def __init__(self) -> None:
        """Take no settings: Hydra refuses all there are."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives every launcher."""
        del task_function  # jobs are started from their configs
        self.hydra_context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; leaves the process with an exit code that is not 0 if any failed."""
        from parc.cluster.local import run_jobs
        from parc.cluster.sweeping import composed_sweep

        del initial_job_idx
        sweep, _ = composed_sweep(self.config, self.hydra_context.config_loader, job_overrides)
        run_jobs(sweep)
        return []
