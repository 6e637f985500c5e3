"""Refining motions: near to what they are, but on the ground, without sliding and without jerks. All of a batch together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.anim.surface_points import BodyPoints, surface_points
from parc.configuration.errors import UserError
from parc.motion_synthesis.candidates import Candidates
from parc.motion_synthesis.held_bodies import held_bodies_of
from parc.motion_synthesis.refinement_cost import REACH, RefinementCost, RefinementWeights
from parc.terrain.heightfield import Heightfields

EASIER, HARDER = 1 / 3, 2.0
LEAST_DAMPING, MOST_DAMPING = 1e-6, 1e4


@runtime_checkable
class Refiner(Protocol):
    """A way to mend motions. One of your own is a class with these methods, and an option that names it as `_target_`."""

    def check_with_character(self, character: Character) -> None:
        """Check the settings that name parts of a character.

        Raises:
            UserError: names the setting and what was expected.
        """
        ...

    def refine(
        self,
        motions: Candidates,
        terrains: Heightfields,
        character: Character,
        surface: BodyPoints,
        fps: float,
    ) -> Candidates:
        """Return motions that are better; each must not depend on which others there are, but for the rounding of sums.

        Args:
            motions: `path` says which terrain each is on.
            terrains: in whose frames the motions are.
            character: whose motions they are.
            surface: points all over its surface.
            fps: frames a second.
        """
        ...


@dataclass(frozen=True)
class NoRefinement:
    """Motions stay as they are."""

    def check_with_character(self, character: Character) -> None:
        """Any character will do."""

    def refine(
        self,
        motions: Candidates,
        terrains: Heightfields,
        character: Character,
        surface: BodyPoints,
        fps: float,
    ) -> Candidates:
        """Return the motions."""
        return motions


@dataclass(frozen=True)
class Refinement:
    """Least squares over all frames of a motion, by Gauss-Newton steps that are damped (Levenberg 1944, Marquardt 1963).

    Frames are coupled only with their neighbours, so that a step costs as much a frame however long the motion is. A motion stays
    as it was where no step makes its cost smaller, and where it has numbers that are not finite.

    Attributes:
        held_bodies: bodies that hold on to one point of the ground in each run of frames in contact; spheres and boxes.
        held_label: contact label above which they do.
        least_label: contact labels below say nothing.
        slack: how far the sole of a held box may be from its point, as a share of half the box's diagonal.
        free_jerk: of a body, that costs nothing, metres/s^3.
        sliding_scale: step of a body from a frame to the next from which on sliding costs in proportion, metres.
        max_steps: of a motion.
        least_gain: share of the cost by which a step has to make it smaller to be followed by another one.
        damping: at first, as a share of the Hessian's diagonal.
        weights: of the terms.
    """

    held_bodies: list[str]
    held_label: float
    least_label: float
    slack: float
    free_jerk: float
    sliding_scale: float
    max_steps: int
    least_gain: float
    damping: float
    weights: RefinementWeights

    def __post_init__(self) -> None:
        for name in ("held_label", "least_label"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"refinement.{name} is {getattr(self, name)}, expected a contact label in 0..1")
        for name in ("slack", "free_jerk", "least_gain"):
            if getattr(self, name) < 0:
                raise UserError(f"refinement.{name} is {getattr(self, name)}, expected 0 or more")
        for name in ("sliding_scale", "damping"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"refinement.{name} is {getattr(self, name)}, expected a number above 0")
        if self.max_steps < 1:
            raise UserError(f"refinement.max_steps is {self.max_steps}, expected at least 1")

    def check_with_character(self, character: Character) -> None:
        """Check that the character has the bodies that are to be held, and that they are spheres or boxes.

        Raises:
            UserError: names the body.
        """
        held_bodies_of(character, surface_points(character), self.held_bodies, self.slack)

    @torch.no_grad()
    def refine(
        self,
        motions: Candidates,
        terrains: Heightfields,
        character: Character,
        surface: BodyPoints,
        fps: float,
    ) -> Candidates:
        """Return the motions, refined (see `Refiner.refine`); contact labels and what is beyond a motion's end stay.

        Raises:
            UserError: a body that is to be held is not there, or is no sphere or box.
        """
        held_bodies = held_bodies_of(character, surface, self.held_bodies, self.slack)
        exists = motions.exists
        rows = _finite(motions.frames, exists).nonzero()[:, 0]
        if not len(rows):
            return motions
        source, source_exists = _padded(motions.frames.each(lambda values: values[rows]), motions.num_frames[rows])

        def cost_of(some: Tensor) -> RefinementCost:
            return RefinementCost(
                self.weights, held_bodies, self.held_label, self.least_label, self.free_jerk / fps**3, self.sliding_scale,
                source.each(lambda values: values[some]), source_exists[some], terrains, motions.path[rows][some],
                character, surface,
            )  # fmt: skip

        refined = self._descend(cost_of, source)
        length = exists.shape[1]

        def put_back(before: Tensor, after: Tensor) -> Tensor:
            whole = before.clone()
            there = exists[rows].reshape(len(rows), length, *[1] * (before.ndim - 2))
            whole[rows] = torch.where(there, after[:, :length], before[rows])
            return whole

        names = [field.name for field in fields(Frames)]
        return replace(
            motions,
            frames=Frames(*(put_back(getattr(motions.frames, name), getattr(refined, name)) for name in names)),
        )

    def _descend(self, cost_of: Callable[[Tensor], RefinementCost], frames: Frames) -> Frames:
        """Take steps until no motion gains from another one."""
        going = torch.arange(len(frames.root_pos), device=frames.root_pos.device)
        cost = cost_of(going)
        now, equations = frames, cost.at(frames)
        damping, harder = torch.full_like(equations.cost, self.damping), torch.full_like(equations.cost, HARDER)
        best = frames.each(torch.clone)
        for _ in range(self.max_steps):
            step, hoped = equations.step(damping)
            trial = cost.changes.applied(now, step)
            found = cost.at(trial)
            gain = equations.cost - found.cost
            better = gain > 0
            ratio = (gain / hoped.clamp(min=1e-12)).nan_to_num(-1.0).clamp(-1, 1)
            done = better & (gain <= self.least_gain * equations.cost)
            done |= ~better & (damping >= MOST_DAMPING)
            now = _or_where(now, better, trial)
            equations = equations.or_where(better, found)
            damping = damping * torch.where(better, (1 - (2 * ratio - 1) ** 3).clamp(min=EASIER), harder)
            damping = damping.clamp(LEAST_DAMPING, MOST_DAMPING)
            harder = torch.where(better, HARDER, 2 * harder)
            for field in fields(Frames):
                getattr(best, field.name)[going] = getattr(now, field.name)
            if done.any():
                left = (~done).nonzero()[:, 0]
                if not len(left):
                    break
                going, damping, harder = going[left], damping[left], harder[left]
                now, equations = now.each(lambda values, left=left: values[left]), equations.of(left)
                cost = cost_of(going)
        return best


def _or_where(frames: Frames, other: Bool[Tensor, " batch"], instead: Frames) -> Frames:
    return Frames(*(
        torch.where(
            other.reshape(-1, *[1] * (getattr(frames, field.name).ndim - 1)),
            getattr(instead, field.name), getattr(frames, field.name),
        )
        for field in fields(Frames)
    ))  # fmt: skip


def _finite(frames: Frames, exists: Bool[Tensor, "batch frames"]) -> Bool[Tensor, " batch"]:
    """Say of which motions every number before their end is finite."""
    fine = torch.stack([getattr(frames, field.name).isfinite().flatten(2).all(-1) for field in fields(Frames)]).all(0)
    return (fine | ~exists).all(1)


def _padded(frames: Frames, num_frames: Tensor) -> tuple[Frames, Bool[Tensor, "batch frames"]]:
    """Return motions in a number of frames that the solver can take, their last frame repeated, and which frames exist."""
    length = max(2 * REACH, -(-int(num_frames.max()) // REACH) * REACH)
    number = torch.arange(length, device=num_frames.device).expand(len(num_frames), length)
    place = torch.minimum(number, num_frames[:, None] - 1)
    item = torch.arange(len(num_frames), device=num_frames.device)[:, None]
    return frames.each(lambda values: values[item, place]), number < num_frames[:, None]
