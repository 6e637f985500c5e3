"""Everything of a training that a stop must not lose."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from parc.anim.character import Character
from parc.anim.heldout_clips import HeldoutSplit
from parc.motion_generator.checkpoint import Checkpoint, check_weights_fit
from parc.motion_generator.mdm import MDM
from parc.training.trainer import TrainerSettings


class TrainingState:
    """Model, averaged weights, optimiser, counters and the sums of the running epoch.

    Args:
        model: to be trained, on its device.
        trainer: the settings of training.
    """

    def __init__(self, model: MDM, trainer: TrainerSettings) -> None:
        self.model = model
        self.trainer = trainer
        self.optimizer = trainer.optimizer(model.denoiser)
        self.averaged = trainer.averaged(model.denoiser)
        self.step = 0
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.wandb_id: str | None = None
        self.continues_average = False
        assert model.losses is not None
        device = model.mean.device
        # One row for the sums of the loss terms and of the gradient norm, and the number of steps they are sums of.
        self.epoch_sums = torch.zeros(len(model.losses.terms) + 1, dtype=torch.float64, device=device)
        self.epoch_steps = 0

    def start_from(self, path: Path, weights: dict[str, Tensor], averaged: dict[str, Tensor]) -> None:
        """Take over the weights of a previous run, averaged ones included; the optimiser stays fresh.

        Raises:
            UserError: they are not the weights of this model.
        """
        self._load_weights(path, weights, averaged)
        self.averaged.n_averaged.fill_(1)
        self.continues_average = True

    def restore(self, path: Path, checkpoint: Checkpoint) -> None:
        """Go on where a checkpoint of this run was saved.

        Raises:
            UserError: it is not one of this model.
        """
        self._load_weights(path, checkpoint.model, checkpoint.ema)
        check_weights_fit(path, checkpoint.progress, {"epoch_sums": self.epoch_sums})
        state = checkpoint.state
        self.step, self.skipped, self.skipped_in_a_row = state["step"], state["skipped"], state["skipped_in_a_row"]
        self.wandb_id = state["wandb_id"]
        self.continues_average, self.epoch_steps = state["continues_average"], state["epoch_steps"]
        self.averaged.n_averaged.fill_(state["averaged_steps"])
        self.epoch_sums.copy_(checkpoint.progress["epoch_sums"])
        moments: dict[str, dict[str, Tensor]] = {}
        for name, tensor in checkpoint.optimizer.items():
            weight, _, quantity = name.rpartition("/")
            moments.setdefault(weight, {})[quantity] = tensor
        names = [name for name, _ in self.model.denoiser.named_parameters()]
        if checkpoint.optimizer:  # empty before the first step
            check_weights_fit(path, checkpoint.optimizer, self._moments_of_a_step())
        groups = self.optimizer.state_dict()["param_groups"]
        numbered = {number: moments[name] for number, name in enumerate(names) if name in moments}
        self.optimizer.load_state_dict({"state": numbered, "param_groups": groups})

    def _moments_of_a_step(self) -> dict[str, Tensor]:
        """Return numbers like those that the optimiser has after a step, under their names in a checkpoint."""
        expected = {}
        for name, weight in self.model.denoiser.named_parameters():
            expected |= {f"{name}/exp_avg": weight, f"{name}/exp_avg_sq": weight, f"{name}/step": torch.zeros(())}
        return expected

    def checkpoint(
        self,
        config: dict[str, Any],
        character: Character,
        clips: dict[str, str],
        split: HeldoutSplit,
        provenance: dict[str, str],
    ) -> Checkpoint:
        """Return the state as a checkpoint."""
        names = dict(enumerate(name for name, _ in self.model.denoiser.named_parameters()))
        moments = {
            f"{names[number]}/{quantity}": tensor
            for number, quantities in self.optimizer.state_dict()["state"].items()
            for quantity, tensor in quantities.items()
        }
        return Checkpoint(
            model=dict(self.model.denoiser.state_dict()),
            ema=dict(self.averaged.module.state_dict()),
            optimizer=moments,
            progress={"epoch_sums": self.epoch_sums},
            statistics=self.model.statistics,
            config=config,
            character=character,
            clips=clips,
            split=split,
            state={
                "step": self.step,
                "epoch": self.step // self.trainer.iters_per_epoch,
                "skipped": self.skipped,
                "skipped_in_a_row": self.skipped_in_a_row,
                "wandb_id": self.wandb_id,
                "continues_average": self.continues_average,
                "epoch_steps": self.epoch_steps,
                "averaged_steps": int(self.averaged.n_averaged),
            },
            provenance=provenance,
        )

    def _load_weights(self, path: Path, weights: dict[str, Tensor], averaged: dict[str, Tensor]) -> None:
        expected = dict(self.model.denoiser.state_dict())
        check_weights_fit(path, weights, expected)
        check_weights_fit(path, averaged, expected)
        self.model.denoiser.load_state_dict(weights)
        self.averaged.module.load_state_dict(averaged)

    def update_average(self) -> None:
        """Average the weights of the step that was made, of which `step` steps came before; or copy them at first.

        See `TrainerSettings.ema_start_step`.
        """
        if self.step + 1 < self.trainer.ema_start_step and not self.continues_average:
            self.averaged.n_averaged.zero_()
        self.averaged.update_parameters(self.model.denoiser)
