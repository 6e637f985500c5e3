"""Choosing among candidates: which are refused and why, and which of the others are the best."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parc.configuration.errors import UserError
from parc.motion_synthesis.candidates import Candidates
from parc.motion_synthesis.quality import Quality


@dataclass(frozen=True)
class Selection:
    """How candidates are chosen.

    The loss of a candidate is scale x (penetration + contact), and unfinished more where it has not finished.

    Attributes:
        keep: how many candidates of a path are kept at most.
        scale: of the sums of penetration and contact, an inverse metre.
        unfinished: added to the loss of what has not finished.
        max_contact: candidates whose scaled contact is this or more are refused.
        max_penetration: likewise for penetration.
        max_loss: likewise for the loss.
        max_body_speed: candidates with a faster body are refused, metres/s; None for no limit.
        max_root_step: candidates whose root moves further in a frame are refused, metres; None for no limit.
        max_seconds_in_air: candidates that touch nothing for longer are refused; None for no limit.
    """

    keep: int
    scale: float
    unfinished: float
    max_contact: float
    max_penetration: float
    max_loss: float
    max_body_speed: float | None
    max_root_step: float | None
    max_seconds_in_air: float | None

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise UserError(f"selection.keep is {self.keep}, expected at least 1")
        for name, value in vars(self).items():
            if value is not None and not value >= 0:
                raise UserError(f"selection.{name} is {value}, expected 0 or more")

    def loss_of(self, motions: Candidates, quality: Quality) -> Float[Tensor, " batch"]:
        """Return the loss of each candidate."""
        return self.scale * (quality.penetration + quality.contact) + self.unfinished * ~motions.finished

    def refused(self, motions: Candidates, quality: Quality) -> dict[str, Bool[Tensor, " batch"]]:
        """Say by reason, the first that counts first, which candidates are refused for it."""
        return {
            "not finished": ~motions.finished,
            "a body too fast": _is_over(quality.fastest_body, self.max_body_speed),
            "the root jumps": _is_over(quality.largest_step, self.max_root_step),
            "in the air too long": _is_over(quality.seconds_in_air, self.max_seconds_in_air),
            "too deep": ~(self.scale * quality.penetration < self.max_penetration),
            "contacts in the air": ~(self.scale * quality.contact < self.max_contact),
            "loss too high": ~(self.loss_of(motions, quality) < self.max_loss),
        }

    def choose(self, motions: Candidates, quality: Quality) -> tuple[list[int], dict[str, int]]:
        """Choose up to `keep` candidates of each path, those of the lowest loss; the batch may be of many paths.

        Returns:
            The chosen candidates in the order of their paths, the best of each path first, and how many were refused for each
            reason (the first that holds).
        """
        refusals = self.refused(motions, quality)
        first_reason = torch.stack(list(refusals.values())).long().argmax(0).tolist()
        is_refused = torch.stack(list(refusals.values())).any(0).tolist()
        loss = self.loss_of(motions, quality).tolist()
        path = motions.path.tolist()
        counts = dict.fromkeys(refusals, 0)
        chosen: list[int] = []
        kept_of_path: dict[int, int] = {}
        for number in sorted(range(len(loss)), key=lambda number: (path[number], is_refused[number], loss[number])):
            if is_refused[number]:
                counts[list(refusals)[first_reason[number]]] += 1
            elif kept_of_path.get(path[number], 0) < self.keep:
                kept_of_path[path[number]] = kept_of_path.get(path[number], 0) + 1
                chosen.append(number)
        return chosen, counts


def _is_over(values: Float[Tensor, " batch"], limit: float | None) -> Bool[Tensor, " batch"]:
    """Say which values are over a limit; what is no number is over any."""
    return ~(values <= (math.inf if limit is None else limit))
