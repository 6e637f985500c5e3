"""Hydra's launcher for parc on one machine: jobs one after another, each in a process of its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from parc.cluster.sweep_plan import Sweep


class LocalLauncher(Launcher):
    """Runs the jobs of a sweep here; the work is in `parc.cluster.local`."""

    def __init__(self) -> None:
        """Take no settings: Hydra refuses all there are."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep nothing of what Hydra gives every launcher: jobs come composed."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Refuse jobs of another sweeper, which have not been checked."""
        from parc.cluster.sweeping import refuse_other_sweeper

        return refuse_other_sweeper()

    def launch_sweep(self, sweep: "Sweep", settings: dict[str, Any]) -> Sequence[JobReturn]:
        """Run the jobs; leaves the process with an exit code that is not 0 if any failed."""
        from parc.cluster.local import run_jobs

        del settings  # it has none
        run_jobs(sweep)
        return []

    def launch_chain(self, chain: "Sweep", settings: list[dict[str, Any]]) -> None:
        """Run the stages of a chain until one fails; leaves the process with an exit code that is not 0 then."""
        from parc.cluster.local import run_jobs

        del settings
        run_jobs(chain, stop_at_failure=True)
