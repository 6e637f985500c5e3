"""train(settings): from settings to a trained model in a run's folder. Knows neither Hydra nor SLURM."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from parc.anim.character import Character
from parc.anim.heldout_clips import FEWEST_CLIPS, HeldoutSplit
from parc.anim.surface_points import collision_points
from parc.configuration.errors import UserError
from parc.configuration.provenance import continue_command, provenance
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT
from parc.motion_generator.features import FeatureStatistics
from parc.motion_generator.heldout_error import HeldoutError
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler
from parc.stages.log_file import logged_to
from parc.stages.metrics import Metrics
from parc.stages.randomness import seed_of
from parc.stages.run_folder import lock_run_folder
from parc.stages.stopping import StopRequest
from parc.training.device import configure_torch, find_device
from parc.training.loop import Outputs, run_loop, save_final
from parc.training.previews import Previews
from parc.training.ranks import (
    Ranks,
    await_others,
    find_others,
    find_ranks,
    join_ranks,
    leave_ranks,
    naming_lost_ranks,
)
from parc.training.run_log import Display, WandbLogger, heldout_before_and_after
from parc.training.settings import CONFIG_FILE, LOG_FILE, TrainSettings
from parc.training.starting import Start, find_start, find_statistics, refuse_other_clips
from parc.training.state import TrainingState
from parc.training.trainer import Precision

log = logging.getLogger(__name__)


def train(settings: TrainSettings) -> None:
    """Train a model, or resume the training that its folder holds.

    Raises:
        UserError: an input or the folder is not as it should be.
        Interrupted: a signal came; the state is saved, and the same settings continue.
    """
    folder, trainer = settings.folder, settings.trainer
    ranks = find_ranks()
    settings.refuse_processes(ranks.count)
    device = find_device(settings.device, ranks)
    compute_as_set(settings, device)
    with StopRequest() as stop, _run_folder(settings, ranks), naming_lost_ranks(ranks):
        with stop.at_once(f"before the first step, nothing is lost; to resume: {continue_command()}"):
            character = settings.character.read()
            sampler = settings.sampler.make()
            start = find_start(settings, character)
            if not ranks.is_first:
                ranks = find_others(ranks)  # once rank 0 has prepared everything: it alone writes
            split = start.split if start else HeldoutSplit()
            clips = sampler.prepare(settings.dataset.entries(), settings.dataset.limits, character, split).digests
            if start and start.own:
                refuse_other_clips(folder, clips, start.own.clips)
            statistics = find_statistics(settings, sampler, character, start, ranks)
            if ranks.is_first:
                settings.record.write(folder / CONFIG_FILE)
                ranks = find_others(ranks)
            await_others(ranks, device)
        join_ranks(ranks, device)
        # One rank's sums serve all, to the last bit.
        statistics = FeatureStatistics(
            *(ranks.from_first(each.to(device)).cpu() for each in (statistics.mean, statistics.std))
        )
        state = initial_state(settings, sampler, character, statistics, start, device)
        _refuse_other_step(settings, state.step, ranks, device)
        _describe(settings, sampler, state, device, ranks)
        split = split.after_training_on(sampler.clip_names, sampler.heldout)
        with _outputs(settings, sampler, character, clips, split, state, ranks, stop) as outputs:
            run_loop(state, trainer, sampler, outputs, stop, seed=settings.seed, ranks=ranks, device=device)
            if outputs:
                save_final(state, trainer, outputs)
                outputs.previews.draw_final()
                log.info("trained: %s%s", folder / FINAL_CHECKPOINT, heldout_before_and_after(outputs.metrics.summary))
            ranks.wait_for_first(trainer.total_steps + 1)
            ranks.meet(device)
        leave_ranks(ranks)


def compute_as_set(settings: TrainSettings, device: torch.device) -> None:
    """Have this process compute as the settings of a training say (see `configure_torch`)."""
    trainer = settings.trainer
    tf32 = trainer.precision is Precision.TF32
    configure_torch(device, settings.threads, deterministic=trainer.deterministic, tf32=tf32)


def _refuse_other_step(settings: TrainSettings, step: int, ranks: Ranks, device: torch.device) -> None:
    """Check that all ranks start from the same checkpoint."""
    first = int(ranks.from_first(torch.tensor([step], device=device)))
    if step != first:
        raise UserError(
            f"{settings.folder}: rank {ranks.rank} resumes from step {step}, rank 0 from step {first}; expected the same "
            "checkpoints on every machine, so give an output_dir that they share"
        )


def initial_state(
    settings: TrainSettings,
    sampler: MDMHeightfieldContactMotionSampler,
    character: Character,
    statistics: FeatureStatistics,
    start: Start | None,
    device: torch.device,
) -> TrainingState:
    """Make the model with its losses, and load what training starts from."""
    character = character.to(device)
    losses = settings.loss.make(
        character=character,
        collision_points=collision_points(character).to(device),
        fps=sampler.fps,
        num_previous=sampler.num_previous,
    )
    torch.manual_seed(seed_of(settings.seed, "initial weights", 0))
    model = settings.model.make(
        character=character,
        statistics=statistics,
        num_frames=sampler.num_frames,
        num_previous=sampler.num_previous,
        heightmap=sampler.grid,
        losses=losses,
    ).to(device)
    state = TrainingState(model, settings.trainer)
    if start and start.own:
        state.restore(start.path, start.own)
        log.info("resuming from %s, step %d of %d", start.path, state.step, settings.trainer.total_steps)
    elif start:
        state.start_from(start.path, start.weights, start.averaged)
        log.info("starting from %s", start.path)
    return state


@contextmanager
def _outputs(
    settings: TrainSettings,
    sampler: MDMHeightfieldContactMotionSampler,
    character: Character,
    clips: dict[str, str],
    split: HeldoutSplit,
    state: TrainingState,
    ranks: Ranks,
    stop: StopRequest,
) -> Iterator[Outputs | None]:
    """Open where results go, on rank 0."""
    if not ranks.is_first:
        yield None
        return
    made_by, config = provenance(), settings.record.config
    logger: WandbLogger = settings.logger.make()
    state.wandb_id = logger.start(settings.folder, settings.iteration.name, state.wandb_id, config, made_by)
    display = Display(settings.trainer.epochs, state.step // settings.trainer.iters_per_epoch)
    try:
        yield Outputs(
            folder=settings.folder,
            metrics=Metrics(settings.folder, state.step),
            logger=logger,
            display=display,
            heldout=HeldoutError(sampler, state.model),
            previews=Previews(
                settings.preview, settings.trainer, settings.folder, logger, stop, state.model.mean.device
            ),
            checkpoint=lambda state: state.checkpoint(config, character, clips, split, made_by),
            continue_command=continue_command(),
        )
    finally:
        display.close()
        logger.close()


def _describe(
    settings: TrainSettings,
    sampler: MDMHeightfieldContactMotionSampler,
    state: TrainingState,
    device: torch.device,
    ranks: Ranks,
) -> None:
    if not ranks.is_first:
        return
    library = sampler.library
    parameters = sum(parameter.numel() for parameter in state.model.denoiser.parameters())
    heldout = len(sampler.heldout_clips)
    few = library.num_clips < FEWEST_CLIPS
    why_none = f"below {FEWEST_CLIPS} clips" if few else "no untrained motion's hash is in the held-out share"
    log.info(
        "%s: %d clips (%.0f s) in training, %s held out; a model of %s parameters on %s%s",
        settings.folder,
        len(sampler.training_clips),
        float((library.num_frames / library.fps)[sampler.training_clips].sum()),
        heldout or f"none ({why_none})",
        f"{parameters:,}",
        device if ranks.count == 1 else f"{ranks.count} x {device.type}",
        f", {torch.get_num_threads()} threads" if device.type == "cpu" else "",
    )


@contextmanager
def _run_folder(settings: TrainSettings, ranks: Ranks) -> Iterator[None]:
    """Hold the run's folder and write its log file, on rank 0; the other ranks write nothing."""
    if not ranks.is_first:
        logging.getLogger("parc").setLevel(logging.ERROR)
        yield
        return
    with lock_run_folder(settings.folder), logged_to(settings.folder / LOG_FILE):
        yield
