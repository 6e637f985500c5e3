"""Hydra's launcher for parc on a SLURM cluster: the jobs of a sweep become one job array."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from parc.cluster.sweep_plan import Sweep


class SlurmLauncher(Launcher):
    """Sends the jobs of a sweep to SLURM; the work is in `parc.cluster.slurm`."""

    def __init__(self, **settings: Any) -> None:
        """Take the settings; `parc.cluster.slurm_settings.SlurmSettings` checks them."""
        del settings  # the sweeper reads them from the config, where every value knows its origin

    @staticmethod
    def check_settings(settings: dict[str, Any]) -> None:
        """Check the settings, before the sweeper deletes or starts anything."""
        from parc.cluster.slurm_settings import slurm_settings

        slurm_settings(settings)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep nothing of what Hydra gives every launcher: jobs come composed."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Refuse jobs of another sweeper, which have not been checked."""
        from parc.cluster.sweeping import refuse_other_sweeper

        return refuse_other_sweeper()

    def launch_sweep(self, sweep: "Sweep", settings: dict[str, Any]) -> Sequence[JobReturn]:
        """Send the jobs, and wait for them if asked to; exits with a code that is not 0 if any failed."""
        from parc.cluster.slurm import run_sweep

        run_sweep(sweep, settings)
        return []

    def launch_chain(self, chain: "Sweep", settings: list[dict[str, Any]]) -> None:
        """Send the stages of a chain as jobs that wait for one another; `settings` are those of each."""
        from parc.cluster.slurm import run_chain

        run_chain(chain, settings)
