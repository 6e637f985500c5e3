"""train(config): from settings to a trained model in a run's folder. Knows neither Hydra nor SLURM."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from parc.anim.character import Character
from parc.anim.dataset import Dataset
from parc.anim.mjcf import CharacterFile
from parc.anim.surface_points import collision_points
from parc.configuration.errors import UserError
from parc.configuration.pieces import make
from parc.configuration.provenance import continue_command, provenance
from parc.configuration.run_folder import (
    CONFIG_FILE,
    lock_run_folder,
    read_config,
    refuse_other_config,
    write_config,
)
from parc.motion_generator.features import (
    FeatureStatistics,
)
from parc.motion_generator.losses import MotionLosses
from parc.motion_generator.mdm import MDM
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    FEWEST_CLIPS_WITH_HELDOUT,
    MDMHeightfieldContactMotionSampler,
)
from parc.pictures.metrics import METRICS_FILE
from parc.training.checkpoint import (
    FINAL_CHECKPOINT,
    read_checkpoint,
)
from parc.training.evaluation import HeldoutLoss
from parc.training.grown_dataset import settled
from parc.training.loop import Outputs, run_loop, save_final
from parc.training.randomness import seed_of
from parc.training.ranks import Ranks, find_others, find_ranks, join_ranks, leave_ranks, naming_lost_ranks
from parc.training.run_log import (
    Display,
    LogFile,
    Metrics,
    WandbLogger,
    heldout_before_and_after,
    read_metrics,
)
from parc.training.run_settings import check_form
from parc.training.starting import Start, find_start, find_statistics, refuse_other_clips
from parc.training.state import TrainingState
from parc.training.stopping import StopRequest
from parc.training.trainer import Trainer

log = logging.getLogger(__name__)


def train(config: dict[str, Any]) -> None:
    """Train a model as `config` says (see `RunSettings`), or go on with it where its folder is.

    Raises:
        UserError: the config, an input or the folder is not as it should be.
        Interrupted: a signal came; the state is saved, and the same config continues.
    """
    check_form(config)
    config = settled(config)
    folder = Path(config["output_dir"])
    if is_finished(folder, config):
        log.info("%s: finished, there is nothing left to do (%s)", folder, folder / FINAL_CHECKPOINT)
        return
    ranks = find_ranks()
    device = find_device(config["device"], ranks)
    use_processor(config["threads"])
    trainer: Trainer = make(config["trainer"], Trainer, "trainer")
    if trainer.batch_size % ranks.count:
        raise UserError(
            f"trainer.batch_size is {trainer.batch_size}, which {ranks.count} processes cannot share; expected a multiple"
        )
    with StopRequest() as stop, _run_folder(folder, ranks), naming_lost_ranks(ranks):
        character = make(config["character"], CharacterFile, "character").read()
        dataset: Dataset = make(config["dataset"], Dataset, "dataset")
        sampler: MDMHeightfieldContactMotionSampler = make(
            config["sampler"], MDMHeightfieldContactMotionSampler, "sampler"
        )
        start = find_start(folder, config, character)
        others = None if ranks.is_first else find_others(ranks)  # once rank 0 has prepared everything: it alone writes
        clips = sampler.prepare(dataset.entries(), dataset.limits, character).digests
        if start and start.own:
            refuse_other_clips(folder, clips, start.own.clips)
        statistics = find_statistics(folder, config, sampler, character, start, ranks)
        if ranks.is_first:
            write_config(folder, config)
            others = find_others(ranks)
        join_ranks(ranks, device, others)
        # One rank's sums serve all, to the last bit.
        statistics = FeatureStatistics(
            *(ranks.from_first(each.to(device)).cpu() for each in (statistics.mean, statistics.std))
        )
        state = initial_state(config, trainer, sampler, character, statistics, start, device)
        _refuse_other_step(folder, state.step, ranks, device)
        _describe(config, sampler, state, device, ranks)
        with _outputs(folder, config, trainer, character, clips, state, ranks) as outputs:
            heldout = HeldoutLoss(sampler, state.model, trainer.heldout_windows, device)
            run_loop(state, trainer, sampler, heldout, outputs, stop, seed=config["seed"], ranks=ranks, device=device)
            if outputs:
                save_final(state, outputs)
                rows = read_metrics(folder / METRICS_FILE)
                log.info("trained: %s%s", folder / FINAL_CHECKPOINT, heldout_before_and_after(rows))
        leave_ranks(ranks)


def is_finished(folder: Path, config: dict[str, Any]) -> bool:
    """Say whether the run of this config is finished.

    Raises:
        UserError: the folder holds a run of another config.
    """
    if not (folder / CONFIG_FILE).is_file():
        return False
    refuse_other_config(folder, config, read_config(folder / CONFIG_FILE))
    final = folder / FINAL_CHECKPOINT
    total = config["trainer"]["epochs"] * config["trainer"]["iters_per_epoch"]
    try:
        return final.is_file() and read_checkpoint(final).state["step"] >= total
    except UserError:
        return False  # `newest_checkpoint` reports it


def find_device(name: str, ranks: Ranks) -> torch.device:
    """Return the device that a config names.

    Raises:
        UserError: this machine does not have it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and count == 0):
        return torch.device("cpu")
    number = int(name.partition(":")[2] or ranks.local_rank)
    if number >= count:
        raise UserError(
            f"device is {name}, but this machine has {count} GPUs that torch {torch.__version__} can use; "
            "give device=cpu, or device=auto for the GPU where there is one"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def use_processor(threads: int | None) -> None:
    """Set the number of threads, and make every computation give the same numbers each time."""
    if threads is not None:
        torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling fresh memory costs time, and no computation here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]


def _refuse_other_step(folder: Path, step: int, ranks: Ranks, device: torch.device) -> None:
    """Check that all ranks start from the same checkpoint."""
    first = int(ranks.from_first(torch.tensor([step], device=device)))
    if step != first:
        raise UserError(
            f"{folder}: rank {ranks.rank} goes on from step {step}, rank 0 from step {first}; expected the same checkpoints "
            "on every machine, so give an output_dir that they share"
        )


def initial_state(
    config: dict[str, Any],
    trainer: Trainer,
    sampler: MDMHeightfieldContactMotionSampler,
    character: Character,
    statistics: FeatureStatistics,
    start: Start | None,
    device: torch.device,
) -> TrainingState:
    """Make the model with its losses, and load what training starts from."""
    character = character.to(device)
    losses = make(
        config["loss"],
        MotionLosses,
        "loss",
        character=character,
        collision_points=collision_points(character).to(device),
        fps=sampler.fps,
        num_previous=sampler.num_previous,
    )
    torch.manual_seed(seed_of(config["seed"], "initial weights", 0))
    model = make(
        config["model"],
        MDM,
        "model",
        character=character,
        statistics=statistics,
        num_frames=sampler.num_frames,
        num_previous=sampler.num_previous,
        heightmap=sampler.grid,
        losses=losses,
    ).to(device)
    state = TrainingState(model, trainer)
    if start and start.own:
        state.restore(start.path, start.own)
        log.info("going on from %s, step %d of %d", start.path, state.step, trainer.total_steps)
    elif start:
        state.start_from(start.path, start.weights, start.averaged)
        log.info("starting from %s", start.path)
    return state


@contextmanager
def _outputs(
    folder: Path,
    config: dict[str, Any],
    trainer: Trainer,
    character: Character,
    clips: dict[str, str],
    state: TrainingState,
    ranks: Ranks,
) -> Iterator[Outputs | None]:
    """Open where results go, on rank 0."""
    if not ranks.is_first:
        yield None
        return
    made_by = provenance()
    logger: WandbLogger = make(config["logger"], WandbLogger, "logger")
    state.wandb_id = logger.start(folder, state.wandb_id, config, made_by)
    display = Display(trainer.epochs, state.step // trainer.iters_per_epoch)
    try:
        yield Outputs(
            folder=folder,
            metrics=Metrics(folder, state.step),
            logger=logger,
            display=display,
            checkpoint=lambda state: state.checkpoint(config, character, clips, made_by),
            continue_command=continue_command(),
        )
    finally:
        display.close()
        logger.close()


def _describe(
    config: dict[str, Any],
    sampler: MDMHeightfieldContactMotionSampler,
    state: TrainingState,
    device: torch.device,
    ranks: Ranks,
) -> None:
    if not ranks.is_first:
        return
    library = sampler.library
    weights = sum(weight.numel() for weight in state.model.denoiser.parameters())
    heldout = len(sampler.heldout_clips)
    few = library.num_clips < FEWEST_CLIPS_WITH_HELDOUT
    why_none = f"below {FEWEST_CLIPS_WITH_HELDOUT} clips" if few else "no name's hash is in the held-out share"
    log.info(
        "%s: %d clips (%.0f s) in training, %s held out; a model of %s weights on %s%s",
        config["output_dir"],
        len(sampler.training_clips),
        float((library.num_frames / library.fps)[sampler.training_clips].sum()),
        heldout or f"none ({why_none})",
        f"{weights:,}",
        device if ranks.count == 1 else f"{ranks.count} x {device.type}",
        f", {torch.get_num_threads()} threads" if device.type == "cpu" else "",
    )


@contextmanager
def _run_folder(folder: Path, ranks: Ranks) -> Iterator[None]:
    """Hold the run's folder and write its log file, on rank 0; the other ranks write nothing."""
    if not ranks.is_first:
        logging.getLogger("parc").setLevel(logging.ERROR)
        yield
        return
    with lock_run_folder(folder):
        handler = LogFile(folder)
        logger = logging.getLogger("parc")
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            handler.close()
