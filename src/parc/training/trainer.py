"""How a model is trained: batch size, length, optimiser, learning rate, checkpoints."""

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from parc.configuration.errors import UserError
from parc.configuration.schema import MayChange, MayGrow


class LearningRateSchedule(str, Enum):
    """What the learning rate does after its warm-up: stay, or fall along half a cosine to a tenth at the end."""

    CONSTANT = "constant"
    COSINE = "cosine"


class Precision(str, Enum):
    """What is multiplied in; weights and the optimiser stay in single precision.

    TF32: as FP32, but GPUs round what they multiply to 10 bits. BF16: the denoiser computes in bfloat16, and nothing else.
    """

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"


COSINE_END = 0.1  # share of the learning rate that a cosine schedule ends with


@dataclass(frozen=True)
class TrainerSettings:
    """The settings of training.

    Attributes:
        batch_size: windows a step, over all processes.
        epochs: how long to train.
        iters_per_epoch: steps an epoch.
        epochs_per_checkpoint: epochs between checkpoints that are kept.
        keep_last_checkpoints: how many of those are kept; None for all.
        minutes_per_latest: minutes between saves of the rolling checkpoint.
        learning_rate: of AdamW.
        learning_rate_schedule: what it does after the warm-up.
        warmup_steps: steps over which it rises from zero.
        weight_decay: of AdamW.
        max_grad_norm: gradients longer than this are scaled down to it.
        ema_decay: share of the averaged weights that stays at each step.
        ema_start_step: the first step whose weights are averaged, counting from 1; before it they are copied (but averaged
            from the first step on where they come from a previous run).
        precision: what is multiplied in.
        deterministic: whether a run that is repeated, or resumed, gives the same numbers on a GPU too (see `configure_torch`).
        max_skipped_in_a_row: steps with a loss or gradient that is not finite are skipped; more in a row end the run.
        compile: whether a step's forward and backward passes are compiled (see `compile_passes`).
    """

    batch_size: int
    epochs: MayGrow[int]
    iters_per_epoch: int
    epochs_per_checkpoint: MayChange[int]
    keep_last_checkpoints: MayChange[int | None]
    minutes_per_latest: MayChange[float]
    learning_rate: float
    learning_rate_schedule: LearningRateSchedule
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    ema_decay: float
    ema_start_step: int
    precision: Precision
    max_skipped_in_a_row: int
    compile: bool = False  # as older configs were, which have no such keys
    deterministic: bool = True

    def __post_init__(self) -> None:
        at_least_one = ["batch_size", "epochs", "iters_per_epoch", "epochs_per_checkpoint"]
        if self.keep_last_checkpoints is not None:
            at_least_one.append("keep_last_checkpoints")
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise UserError(f"trainer.{name} is {getattr(self, name)}, expected at least 1")
        for name in ("learning_rate", "max_grad_norm", "minutes_per_latest"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"trainer.{name} is {getattr(self, name)}, expected a number above 0")
        for name in ("warmup_steps", "weight_decay", "ema_start_step", "max_skipped_in_a_row"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"trainer.{name} is {getattr(self, name)}, expected 0 or more")
        if not 0 <= self.ema_decay < 1:
            raise UserError(f"trainer.ema_decay is {self.ema_decay}, expected a share in 0..1, below 1")
        if self.warmup_steps >= self.total_steps:
            raise UserError(
                f"trainer.warmup_steps is {self.warmup_steps}, expected fewer than epochs x iters_per_epoch = {self.total_steps}"
            )

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.iters_per_epoch

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counting from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.learning_rate_schedule is LearningRateSchedule.CONSTANT:
            return self.learning_rate
        way = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        return self.learning_rate * (COSINE_END + (1 - COSINE_END) * 0.5 * (1 + math.cos(math.pi * way)))

    def optimizer(self, model: nn.Module) -> torch.optim.AdamW:
        """Return a fresh optimiser of the model's weights."""
        return torch.optim.AdamW(model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)

    def averaged(self, denoiser: nn.Module) -> AveragedModel:
        """Return a copy of the denoiser whose weights will be averaged over the steps."""
        averaged = AveragedModel(denoiser, multi_avg_fn=get_ema_multi_avg_fn(self.ema_decay))
        averaged.requires_grad_(False)
        return averaged
