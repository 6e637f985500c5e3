"""The training loop, top to bottom."""

import logging
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from parc.configuration.errors import Interrupted, UserError
from parc.motion_generator.checkpoint import Checkpoint, write_checkpoint
from parc.motion_generator.checkpoint_files import (
    CHECKPOINT_FOLDER,
    FINAL_CHECKPOINT,
    LATEST_CHECKPOINT,
    epoch_checkpoint,
    epoch_checkpoints,
)
from parc.motion_generator.heldout_error import HeldoutError
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler
from parc.stages.metrics import HELDOUT_ERROR, HELDOUT_PREFIX, TRAIN_LOSS, Metrics
from parc.stages.progress import Progress, write_progress
from parc.stages.randomness import seed_of
from parc.stages.stopping import StopRequest
from parc.training.batches import batch_at, batches
from parc.training.compiling import compile_passes
from parc.training.previews import Previews
from parc.training.ranks import Ranks
from parc.training.run_log import Display, WandbLogger
from parc.training.state import TrainingState
from parc.training.trainer import Precision, TrainerSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outputs:
    """Where a run's results go.

    Attributes:
        folder: the run's.
        metrics: its rows.
        logger: Weights & Biases, on or off.
        display: the progress bar and the lines.
        heldout: the error on held-out clips, for its rows.
        previews: moving pictures at its checkpoints.
        checkpoint: turns the state into a checkpoint with its config and provenance.
        continue_command: what to type to go on.
    """

    folder: Path
    metrics: Metrics
    logger: WandbLogger
    display: Display
    heldout: HeldoutError
    previews: Previews
    checkpoint: Callable[[TrainingState], Checkpoint]
    continue_command: str


def run_loop(
    state: TrainingState,
    trainer: TrainerSettings,
    sampler: MDMHeightfieldContactMotionSampler,
    outputs: Outputs | None,
    stop: StopRequest,
    *,
    seed: int,
    ranks: Ranks,
    device: torch.device,
) -> None:
    """Train from the state's step to the last one.

    Args:
        state: where training is.
        trainer: the settings.
        sampler: of training windows.
        outputs: where results go; None on all ranks but the first.
        stop: signals noted.
        seed: of all randomness.
        ranks: this process and the others.
        device: of the model.

    Raises:
        Interrupted: a signal came; the state is saved.
        UserError: too many steps in a row were not finite, a checkpoint cannot be written, or torch cannot compile.
    """
    model, steps = state.model, range(state.step, trainer.total_steps)
    if state.step == 0 and outputs:
        _measure_before(state, outputs)
    if outputs:
        outputs.previews.draw_newest(state.step // trainer.iters_per_epoch)  # which a stop may have cut short
    ranks.wait_for_first(state.step)
    model.denoiser.train()
    autocast = trainer.precision is Precision.BF16
    if trainer.compile and steps:
        windows, draws = batch_at(
            state.step, seed=seed, sampler=sampler, model=model, batch_size=trainer.batch_size, ranks=ranks
        )
        compile_passes(model, windows.to(device), draws.to(device), autocast)
        ranks.wait_for_all("parc/compiled")  # which may take one of them minutes longer than another
    network: nn.Module = DistributedDataParallel(model) if ranks.count > 1 else model
    weights = list(model.denoiser.parameters())
    epoch_began = latest_saved = time.monotonic()
    steps_here = 0
    for windows, draws in batches(
        steps, seed=seed, sampler=sampler, model=model, batch_size=trainer.batch_size, ranks=ranks, device=device
    ):
        torch.manual_seed(seed_of(seed, "dropout", state.step, rank=ranks.rank))
        learning_rate = trainer.learning_rate_at(state.step)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate
        terms = network(windows, draws, autocast=autocast)
        terms.sum().backward()
        grad_norm = nn.utils.clip_grad_norm_(weights, trainer.max_grad_norm)

        # One look at the step for all processes, for which a GPU is waited for once: its numbers, whether they are finite,
        # whether a signal came, whether rank 0 wants to save.
        due = outputs is not None and time.monotonic() - latest_saved > 60 * trainer.minutes_per_latest
        numbers = torch.cat([terms.detach(), grad_norm.detach()[None]]).double()
        flags = [
            ~torch.isfinite(numbers).all(),
            *(torch.full((), flag, device=device) for flag in (stop.requested, due)),
        ]
        seen = ranks.mean(torch.cat([numbers, torch.stack(flags).double()]))
        numbers, (broken, stopping, due) = seen[:-3], (flag > 0 for flag in seen[-3:].tolist())
        if broken:
            _skip_step(state, trainer, _clips_to_blame(state, trainer, sampler, seed, device))
        else:
            state.optimizer.step()
            state.update_average()
            state.epoch_sums += numbers
            state.epoch_steps += 1
            state.skipped_in_a_row = 0
        state.optimizer.zero_grad(set_to_none=True)
        state.step += 1
        steps_here += 1

        epoch_is_over = state.step % trainer.iters_per_epoch == 0
        if epoch_is_over:
            if outputs:
                seconds = time.monotonic() - epoch_began
                speed = steps_here * trainer.batch_size / seconds
                _end_epoch(state, trainer, outputs, learning_rate, speed)
            state.epoch_sums.zero_()
            state.epoch_steps, steps_here = 0, 0
            model.denoiser.train()
            if outputs and state.step % (trainer.iters_per_epoch * trainer.epochs_per_checkpoint) == 0:
                save_epoch_checkpoint(state, trainer, outputs)
                outputs.previews.draw_newest(state.step // trainer.iters_per_epoch)
            epoch_began = time.monotonic()
        finished = state.step == trainer.total_steps
        # While steps are skipped, the weights may be on their way to ruin: the last save is left as it is.
        saving = not finished and (stopping or (due and not state.skipped_in_a_row))
        if outputs and saving:
            save(state, outputs, outputs.folder / CHECKPOINT_FOLDER / LATEST_CHECKPOINT)
            latest_saved = time.monotonic()
        if epoch_is_over or saving:
            ranks.wait_for_first(state.step)
        if stopping and not finished:
            ranks.meet(device)  # a process that leaves takes the others with it: not before the first has saved
            name = signal.Signals(stop.signals[0]).name if stop.requested else "a signal to another rank"
            command = f"; to resume: {outputs.continue_command}" if outputs else ""
            raise Interrupted(f"stopped by {name} after step {state.step}, everything is saved{command}", stop.signals)


def save(state: TrainingState, outputs: Outputs, path: Path) -> None:
    """Write a checkpoint of the state."""
    write_checkpoint(path, outputs.checkpoint(state))


def save_epoch_checkpoint(state: TrainingState, trainer: TrainerSettings, outputs: Outputs) -> None:
    """Write the checkpoint of an epoch, and take away those that are not to be kept."""
    epoch = state.step // trainer.iters_per_epoch
    save(state, outputs, outputs.folder / CHECKPOINT_FOLDER / epoch_checkpoint(epoch))
    # While steps are skipped, the weights may be on their way to ruin, and older ones are what will be wanted.
    if trainer.keep_last_checkpoints is not None and not state.skipped_in_a_row:
        for path in epoch_checkpoints(outputs.folder, epoch)[trainer.keep_last_checkpoints :]:
            path.unlink()


def save_final(state: TrainingState, trainer: TrainerSettings, outputs: Outputs) -> None:
    """Write the final checkpoint, which makes the rolling one needless."""
    save(state, outputs, outputs.folder / FINAL_CHECKPOINT)
    (outputs.folder / CHECKPOINT_FOLDER / LATEST_CHECKPOINT).unlink(missing_ok=True)
    write_progress(outputs.folder, progress_of(outputs.metrics, trainer.epochs, trainer, finished=True))


def _measure_before(state: TrainingState, outputs: Outputs) -> None:
    """Measure the held-out error before the first step, so that a run shows what it brought."""
    measured = _heldout_columns(state, outputs.heldout)
    if measured:
        row = {"step": 0, "epoch": 0, **measured}
        outputs.metrics.add(row)
        outputs.logger.add(row)
        log.info("before training: held-out error %.3f m", measured[HELDOUT_ERROR])


def _heldout_columns(state: TrainingState, heldout: HeldoutError) -> dict[str, float]:
    """Return what the averaged weights do on held-out clips, by column; nothing where it is no number, or nothing to measure."""
    measured = heldout.measure(state.model, state.averaged.module)
    columns = {f"{HELDOUT_PREFIX}{name}": value for name, value in measured.items() if math.isfinite(value)}
    return columns if HELDOUT_ERROR in columns else {}


def _clips_to_blame(
    state: TrainingState,
    trainer: TrainerSettings,
    sampler: MDMHeightfieldContactMotionSampler,
    seed: int,
    device: torch.device,
) -> list[str]:
    """Return the names of the clips in all processes' batch whose own loss is not finite; all where each one's is finite."""
    alone = {"sampler": sampler, "model": state.model, "batch_size": trainer.batch_size, "ranks": Ranks()}
    windows, draws = batch_at(state.step, seed=seed, **alone)
    with torch.no_grad():
        terms = state.model.sample_terms(
            windows.to(device), draws.to(device), autocast=trainer.precision is Precision.BF16
        )
    broken = ~torch.isfinite(torch.stack(list(terms.values())).sum(0)).cpu()
    clips = windows.clips[broken] if broken.any() else windows.clips
    return [sampler.clip_names[clip] for clip in clips.unique().tolist()]


def _skip_step(state: TrainingState, trainer: TrainerSettings, clips: list[str]) -> None:
    """Count a step whose loss or gradient is not finite.

    Raises:
        UserError: too many came in a row.
    """
    state.skipped += 1
    state.skipped_in_a_row += 1
    named = ", ".join(clips[:8]) + (f" and {len(clips) - 8} more" if len(clips) > 8 else "")
    log.warning("step %d: the loss or its gradient is not finite; skipped (clips: %s)", state.step + 1, named)
    log.debug("step %d: all of these clips: %s", state.step + 1, ", ".join(clips))
    if state.skipped_in_a_row > trainer.max_skipped_in_a_row:
        raise UserError(
            f"{state.skipped_in_a_row} steps in a row had a loss or gradient that is not finite, up to step {state.step + 1} "
            f"(clips of the last: {named}); the last checkpoint is intact. Lower trainer.learning_rate, or look at these clips"
        )


def _end_epoch(
    state: TrainingState,
    trainer: TrainerSettings,
    outputs: Outputs,
    learning_rate: float,
    samples_per_second: float,
) -> None:
    """Write the row of an epoch, with the held-out error where a checkpoint is due."""
    epoch = state.step // trainer.iters_per_epoch
    row = epoch_row(state, epoch, learning_rate, samples_per_second)
    if epoch % trainer.epochs_per_checkpoint == 0 or epoch == trainer.epochs:
        row |= _heldout_columns(state, outputs.heldout)
    outputs.metrics.add(row)
    outputs.logger.add(row)
    write_progress(outputs.folder, progress_of(outputs.metrics, epoch, trainer, finished=False))
    outputs.display.show(row, (trainer.total_steps - state.step) * trainer.batch_size / samples_per_second)


def progress_of(metrics: Metrics, epoch: int, trainer: TrainerSettings, finished: bool) -> Progress:
    """Return how far a run is, and what to judge it by."""
    return Progress(epoch, trainer.epochs, "epochs", metrics.summary.figures, finished)


def epoch_row(state: TrainingState, epoch: int, learning_rate: float, samples_per_second: float) -> dict[str, Any]:
    """Return the row of an epoch: means over its steps. A loss is None where every step was skipped."""
    assert state.model.losses is not None
    numbers: dict[str, float | None] = dict.fromkeys(
        [TRAIN_LOSS, *(f"train/{name}" for name in state.model.losses.terms), "grad_norm"]
    )
    if state.epoch_steps:
        means: Tensor = state.epoch_sums / state.epoch_steps
        numbers = dict(zip(numbers, [float(means[:-1].sum()), *means.tolist()], strict=True))
    return {
        "step": state.step,
        "epoch": epoch,
        **numbers,
        "learning_rate": learning_rate,
        "samples_per_second": samples_per_second,
        "skipped_steps": state.skipped,
    }
