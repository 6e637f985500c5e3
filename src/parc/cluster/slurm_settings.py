"""What a job asks of SLURM: the settings of hydra/launcher=slurm."""

from dataclasses import dataclass
from typing import Any

from parc.configuration.errors import UserError
from parc.configuration.pieces import checked_arguments


@dataclass(frozen=True)
class SlurmSettings:
    """What a job asks of SLURM, by submitit's names.

    Attributes:
        partition, account, qos, constraint: where jobs may run; None leaves it to the cluster.
        timeout_min: time limit, minutes.
        nodes: nodes a job.
        tasks_per_node: processes of a training on each node.
        gpus_per_node: GPUs on each node.
        cpus_per_task: processor cores of a process.
        mem_gb: memory of a node, GB.
        array_parallelism: jobs of a sweep at a time.
        setup: shell commands before a job.
        dependency: what jobs wait for, in sbatch's words.
        max_num_timeout: times that a job may be requeued after its time is over.
        signal_delay_s: seconds before its end that a job is told to save and requeue.
        additional_parameters: further ones of sbatch.
        wait: whether the command stays until all jobs have ended.
    """

    partition: str | None
    account: str | None
    qos: str | None
    timeout_min: int
    nodes: int
    tasks_per_node: int
    gpus_per_node: int | None
    cpus_per_task: int
    mem_gb: float
    constraint: str | None
    array_parallelism: int
    setup: list[str]
    dependency: str | None
    max_num_timeout: int
    signal_delay_s: int
    additional_parameters: dict[str, Any] | None
    wait: bool

    def __post_init__(self) -> None:
        for name in ("timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "array_parallelism", "mem_gb"):
            if getattr(self, name) <= 0:
                raise UserError(f"hydra.launcher.{name} is {getattr(self, name)}, expected a number above 0")
        for name in ("gpus_per_node", "max_num_timeout", "signal_delay_s"):
            if (getattr(self, name) or 0) < 0:
                raise UserError(f"hydra.launcher.{name} is {getattr(self, name)}, expected 0 or more")
        if self.signal_delay_s >= 60 * self.timeout_min:
            raise UserError(
                f"hydra.launcher.signal_delay_s is {self.signal_delay_s}, expected less than the job's time, "
                f"hydra.launcher.timeout_min = {self.timeout_min} minutes: a job would be told to stop at its start"
            )

    @property
    def tasks(self) -> int:
        """Processes of a training."""
        return self.nodes * self.tasks_per_node


def slurm_settings(launcher: dict[str, Any]) -> SlurmSettings:
    """Check a launcher's settings.

    Raises:
        UserError: names the key, what is wrong with it and what was expected.
    """
    return SlurmSettings(**checked_arguments(SlurmSettings, launcher, "hydra.launcher"))
