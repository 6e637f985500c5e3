"""The settings of a training run, and what has to fit together in them."""

from dataclasses import dataclass
from pathlib import Path

from parc.anim.dataset import Dataset
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.configuration.pieces import Recipe
from parc.configuration.schema import MayChange
from parc.motion_generator.losses import MotionLosses
from parc.motion_generator.mdm import MDM
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler
from parc.stages.iteration import Iteration
from parc.stages.settings import Length, RunSettings
from parc.training.device import refuse_device
from parc.training.previews import WITHOUT_PREVIEW, Preview
from parc.training.run_log import WandbLogger
from parc.training.trainer import LearningRateSchedule, TrainerSettings

CONFIG_FILE, LOG_FILE = "mdm_config.yaml", "train.log"  # of a run, in its folder


@dataclass(frozen=True)
class TrainSettings(RunSettings):
    """The settings of a training run.

    Attributes:
        device: auto (the GPU if there is one), cpu, cuda or cuda:N.
        threads: CPU threads; None for as many as there are cores.
        seed: of all randomness.
        iteration: which round this is, and what it starts from.
        dataset: the clips.
        character: whose clips they are.
        sampler: windows of the clips.
        model: the motion diffusion model.
        loss: what it is trained on.
        trainer: how it is trained.
        logger: where its metrics go besides its folder.
        preview: draws moving pictures of what the model does, at checkpoints.
    """

    device: MayChange[str]
    threads: MayChange[int | None]
    seed: int
    iteration: Iteration
    dataset: Dataset
    character: CharacterFile
    sampler: Recipe[MDMHeightfieldContactMotionSampler]
    model: Recipe[MDM]
    loss: Recipe[MotionLosses]
    trainer: TrainerSettings
    logger: MayChange[Recipe[WandbLogger]]
    preview: MayChange[Preview] = WITHOUT_PREVIEW  # as older configs were, which have no such key

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}, expected 0 or more")
        refuse_device(self.device, self.threads)
        MDM.check_with_sampler(self.model.denoiser, self.sampler.heightmap)
        previous = self.iteration.previous_run
        if previous is not None and Path(previous) == self.folder:
            raise UserError(
                f"iteration.previous_run {previous} is this run's own output_dir; expected the folder of an earlier run"
            )

    @property
    def length(self) -> Length:
        """How many epochs the run trains."""
        return Length(self.trainer.epochs, "epochs")

    def refuse_processes(self, count: int) -> None:
        """Check that so many processes can share each batch.

        Raises:
            UserError: they cannot.
        """
        if self.trainer.batch_size % count:
            raise UserError(
                f"trainer.batch_size is {self.trainer.batch_size}, which {count} processes cannot share; expected a multiple"
            )

    def fixed_keys(self) -> tuple[str, ...]:
        """Return keys that may not change on resume: a cosine ends where the epochs do, so more of them are another run."""
        return ("trainer.epochs",) if self.trainer.learning_rate_schedule is LearningRateSchedule.COSINE else ()
