"""The settings of an evaluation, and what has to fit together in them."""

import re
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.configuration.pieces import Recipe
from parc.configuration.schema import FilePath, MayChange
from parc.evaluation.subject import is_of_clips
from parc.motion_synthesis.candidates import Candidates
from parc.motion_synthesis.quality import Quality
from parc.motion_synthesis.rollout import Rollout
from parc.motion_synthesis.selection import Selection
from parc.stages.settings import Length, RunSettings
from parc.terrain.path_planner import PathPlanner
from parc.terrain.terrain_generator import TerrainGenerator
from parc.training.device import refuse_device
from parc.training.run_log import WandbLogger

CONFIG_FILE, LOG_FILE = "evaluate_config.yaml", "evaluate.log"  # of an evaluation, in its folder
MOTIONS_FOLDER = "motions"  # in it, with a folder for each kind of terrain
_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Preset:
    """How much an evaluation measures.

    Attributes:
        name: of its folder.
        paths: of each kind of terrain, with `rollout.candidates` motions each.
        reference_clips: how many clips are measured beside a model at most, at equal distances in the list of all.
        bootstrap_draws: that the intervals come from.
    """

    name: str
    paths: int
    reference_clips: int
    bootstrap_draws: int

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.name):
            raise UserError(f"preset.name is {self.name!r}, expected a name of letters, digits, _ and -")
        for name, least in (("paths", 1), ("reference_clips", 0), ("bootstrap_draws", 1)):
            if getattr(self, name) < least:
                raise UserError(f"preset.{name} is {getattr(self, name)}, expected at least {least}")


@dataclass(frozen=True)
class CleanMotion:
    """What a motion that reaches the end of its path must keep to for counting as clean.

    Attributes:
        max_body_speed: of any body's origin, metres/s: what is lifted is faster.
        max_root_step: of the root from a frame to the next, metres.
        max_depth: of the deepest surface point below ground, metres.
    """

    max_body_speed: float
    max_root_step: float
    max_depth: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise UserError(f"clean.{name} is {value}, expected 0 or more")

    def holds(self, motions: Candidates, quality: Quality) -> Bool[Tensor, " batch"]:
        """Say which motions are clean."""
        is_slow = (quality.fastest_body <= self.max_body_speed) & (quality.largest_step <= self.max_root_step)
        return motions.finished & is_slow & (quality.deepest <= self.max_depth)


@dataclass(frozen=True)
class EvaluateSettings(RunSettings):
    """The settings of an evaluation.

    Terrain and path number N of a kind follow from the seed, the kind's name, its settings and those of the paths, and the noise
    of each candidate from seed, kind, N and its own number: all models meet the same.

    Attributes:
        device: auto (the GPU if there is one), cpu, cuda or cuda:N.
        threads: CPU threads; None for as many as there are cores.
        seed: of all randomness.
        of: what is evaluated: the folder of a training run, a checkpoint, a folder of clips, a manifest or a clip.
        reference: clips that are measured beside a model; None for those that it was trained on.
        model_packages: of denoisers of one's own, which the checkpoint may name (see `GenerateSettings`).
        character: of clips that are evaluated; a model has its own.
        preset: how much is measured.
        terrains: what the motions go over, by the name of the kind.
        path: where they go.
        rollout: how candidates are made.
        selection: which of them `parc.generate` would accept.
        clean: which of them count as clean.
        paths_at_once: paths whose candidates are one batch.
        max_terrains: how many terrains are drawn for a path before it is given up.
        logger: where the results go besides the folder.
    """

    device: MayChange[str]
    threads: MayChange[int | None]
    seed: int
    of: FilePath
    reference: FilePath | list[FilePath] | None
    model_packages: MayChange[list[str]]
    character: CharacterFile
    preset: Preset
    terrains: dict[str, TerrainGenerator]
    path: PathPlanner
    rollout: Rollout
    selection: Selection
    clean: CleanMotion
    paths_at_once: int
    max_terrains: int
    logger: MayChange[Recipe[WandbLogger]]

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}, expected 0 or more")
        refuse_device(self.device, self.threads)
        for name in ("paths_at_once", "max_terrains"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, expected at least 1")
        if not self.terrains:
            raise UserError("terrains is empty, expected a kind of terrain: +terrain@terrains.flat=flat")
        for kind in self.terrains:
            if not _KIND.fullmatch(kind):
                raise UserError(f"terrains.{kind}: expected a name of letters, digits, _ and -")

    @property
    def length(self) -> Length:
        """How many paths a model is to follow; clips are one set, however many there are."""
        if is_of_clips(Path(self.of)):
            return Length(1, "sets of clips")
        return Length(len(self.terrains) * self.preset.paths, "paths")

    @property
    def groups(self) -> list[tuple[str, range]]:
        """Paths whose candidates are one batch: their kind and their numbers."""
        numbers = range(self.preset.paths)
        starts = range(0, len(numbers), self.paths_at_once)
        return [(kind, numbers[start : start + self.paths_at_once]) for kind in self.terrains for start in starts]

    def motion_name(self, kind: str, number: int) -> str:
        """Return the name of the clip of a path's first candidate."""
        return f"{self.preset.name}_{kind}_seed{self.seed}_{number:06d}"
