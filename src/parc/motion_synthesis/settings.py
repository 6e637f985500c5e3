"""The settings of a run that generates motions, and what has to fit together in them."""

import re
from dataclasses import dataclass

from parc.anim.mirror import MIRRORED
from parc.configuration.errors import UserError
from parc.configuration.schema import FilePath, MayChange, MayGrow
from parc.motion_synthesis.refinement import Refiner
from parc.motion_synthesis.rollout import Rollout
from parc.motion_synthesis.selection import Selection
from parc.motion_synthesis.tidying import Tidying
from parc.stages.iteration import Iteration
from parc.stages.settings import Length, RunSettings, refuse_shard
from parc.terrain.path_planner import PathPlanner
from parc.terrain.terrain_generator import TerrainGenerator
from parc.training.device import refuse_device

CONFIG_FILE, LOG_FILE = "generate_config.yaml", "generate.log"  # of a run, in its folder
CLIP_NAME = re.compile(rf".+_seed\d+_\d{{6,}}({MIRRORED})?\.safetensors")  # of the files that it saves


@dataclass(frozen=True)
class GenerateSettings(RunSettings):
    """The settings of a run that generates motions.

    Motions are numbered from 0. Each path gives `selection.keep` motions in a row; `paths_at_once` paths in a row are a group,
    whose candidates are one batch. A motion depends on its number and on the settings, and on no other group: shards and runs
    that were stopped give what one run gives.

    Attributes:
        device: auto (the GPU if there is one), cpu, cuda or cuda:N.
        threads: CPU threads; None for as many as there are cores.
        seed: of all randomness.
        iteration: which round this is.
        model_path: the trained model: a run's folder, or a checkpoint.
        model_packages: of denoisers of one's own, which the checkpoint may name; they count where a command line or an option of
            one's own gives them (see `parc.configuration.trusted`), not in a file that came from elsewhere.
        num_motions: to be made by all shards together, mirror images not counted.
        shard: which part of them this run makes, from 0.
        num_shards: how many parts there are.
        paths_at_once: paths whose candidates are one batch.
        max_terrains: how many terrains are drawn for a path before it is given up.
        max_rollouts: how often a path that lacks motions is drawn anew, with its terrain, and rolled out.
        terrain: what the motions go over.
        path: where they go.
        rollout: how candidates are made.
        selection: how candidates are chosen.
        refinement: how chosen motions are corrected.
        tidying: what is done with a motion before it is saved.
    """

    device: MayChange[str]
    threads: MayChange[int | None]
    seed: int
    iteration: Iteration
    model_path: FilePath
    model_packages: MayChange[list[str]]
    num_motions: MayGrow[int]
    shard: int
    num_shards: int
    paths_at_once: int
    max_terrains: int
    max_rollouts: int
    terrain: TerrainGenerator
    path: PathPlanner
    rollout: Rollout
    selection: Selection
    refinement: Refiner
    tidying: Tidying

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}, expected 0 or more")
        refuse_device(self.device, self.threads)
        for name in ("num_motions", "paths_at_once", "max_terrains", "max_rollouts"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, expected at least 1")
        refuse_shard(self.shard, self.num_shards)
        if self.selection.keep > self.rollout.candidates:
            raise UserError(
                f"selection.keep is {self.selection.keep}, expected at most the {self.rollout.candidates} of "
                "rollout.candidates"
            )

    @property
    def length(self) -> Length:
        """How many motions this shard makes."""
        return Length(sum(len(self.wanted_of(group)) for group in self.groups), "motions")

    def refuse_processes(self, count: int) -> None:
        """Check that so many processes can share the run.

        Raises:
            UserError: they cannot.
        """
        if count > 1:
            raise UserError(
                f"{count} processes cannot share this run; expected one, and a sweep over parts of the motions for more of "
                f"them: -m num_shards={count} shard={','.join(map(str, range(count)))}"
            )

    @property
    def group_size(self) -> int:
        """How many motions a group has."""
        return self.paths_at_once * self.selection.keep

    @property
    def groups(self) -> range:
        """The groups of this shard: with several, every `num_shards`-th."""
        return range(self.shard, -(-self.num_motions // self.group_size), self.num_shards)

    def numbers_of(self, group: int) -> range:
        """Return the numbers of a group's motions."""
        return range(group * self.group_size, (group + 1) * self.group_size)

    def wanted_of(self, group: int) -> range:
        """Return the numbers of those of a group's motions that are wanted: the last group may be made for a few of them."""
        numbers = self.numbers_of(group)
        return range(numbers.start, min(numbers.stop, self.num_motions))

    @property
    def terrain_name(self) -> str:
        """The kind of terrain, which is the class of the motions: the name of what makes it, in snake case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self.terrain).__name__).lower()

    def clip_name(self, number: int) -> str:
        """Return the name of a motion's clip: no two of an experiment's iterations, terrains or seeds share one."""
        return f"{self.iteration.name}_{self.terrain_name}_seed{self.seed}_{number:06d}"
