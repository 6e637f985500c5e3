"""Finding controls for the next moments: a Gauss-Newton method whose derivatives are those of samples.

Around controls x, each of some samples x + d has residuals r + y. As far as that is linear, the combination x + D^T w of
samples has the residuals r + Y^T w, so the damped least-squares problem min |r + Y^T w|^2 + damping |w|^2 says how to combine
them. It has as many unknowns as there are samples, whatever the number of controls, and uses every residual where methods that
weigh samples by their cost (MPPI, CEM) use one number a sample. Contacts make it far from linear: so steps of several dampings
are simulated, and the best of all that was simulated is kept.
"""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import mujoco
import mujoco.rollout
import numpy as np
from jaxtyping import Float

from parc.configuration.errors import UserError
from parc.physics.reference import Reference
from parc.physics.simulation import ASSISTANCE, Simulation
from parc.physics.tracking import Tracking, TrackingWeights

Tried: TypeAlias = Float[np.ndarray, "tried controls"]
Residuals: TypeAlias = Float[np.ndarray, "tried residuals"]

STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
DAMPINGS = (0.01, 0.1, 1.0, 10.0)  # of the steps that are tried, as shares of the mean squared change of the residuals
USED = 0.9  # share of the samples, the best ones, that derivatives come from: some fall where others stand
CALMER = 0.7  # the noise of an iteration, as a share of that of the one before
FIRST_VELOCITY_NOISE = np.array([0.1, 0.1, 0.1, 0.2, 0.2, 0.2])  # metres/s and rad/s of the root, at the first step
ASSISTANCE_NOISE = 0.5  # of what is allowed
HOPELESS = 1e3  # a residual of what blew up; none is larger


@dataclass(frozen=True)
class Controls:
    """What is decided.

    Attributes:
        knots: offsets of the hinges' targets (radians) and shares of the allowed assistance, linear between knots.
        first_velocity: what is added to the root's velocity in the first state, metres/s and rad/s.
    """

    knots: Float[np.ndarray, "knots actuators"]
    first_velocity: Float[np.ndarray, "6"]


@dataclass(frozen=True)
class ControlWeights:
    """Weights of squared controls.

    Attributes:
        offset: of a target, radians.
        offset_change: of it from a knot to the next, radians.
        assistance: as shares of what is allowed.
        first_velocity: what is added to it, metres/s and rad/s.

    Raises:
        UserError: one is negative.
    """

    offset: float
    offset_change: float
    assistance: float
    first_velocity: float

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if weight < 0:
                raise UserError(f"corrector.control_weights.{name} is {weight}, expected 0 or more")


@dataclass(frozen=True)
class Sampling:
    """How controls are varied.

    Attributes:
        knot_seconds: from a knot to the next.
        noise: standard deviation of the hinges' offsets in the first iteration, radians.
        less_noise: share of it for hinges whose names contain a word.

    Raises:
        UserError: a number is out of range.
    """

    knot_seconds: float
    noise: float
    less_noise: dict[str, float]

    def __post_init__(self) -> None:
        for name in ("knot_seconds", "noise"):
            if getattr(self, name) <= 0:
                raise UserError(f"corrector.sampling.{name} is {getattr(self, name)}, expected more than 0")
        for name, share in self.less_noise.items():
            if not 0 < share <= 1:
                raise UserError(f"corrector.sampling.less_noise.{name} is {share}, expected a share in 0..1")


@dataclass(frozen=True)
class Effort:
    """How hard to look for controls at a time.

    Attributes:
        horizon: how far to look ahead, physics steps.
        samples: of each iteration.
        iterations: how often samples are drawn around the best controls so far.
    """

    horizon: int
    samples: int
    iterations: int


class Planner:
    """Finds controls for a simulation to follow a reference.

    Args:
        simulation: of a character on terrain.
        reference: to be followed.
        weights: of what is followed.
        control_weights: of what is done.
        sampling: how controls are varied.
        threads: that simulate samples.
    """

    def __init__(
        self,
        simulation: Simulation,
        reference: Reference,
        weights: TrackingWeights,
        control_weights: ControlWeights,
        sampling: Sampling,
        threads: int = 1,
    ) -> None:
        self.simulation, self.reference, self.model = simulation, reference, simulation.model
        self.tracking = Tracking(simulation, reference, weights)
        self.steps_simulated = 0
        self._weights = control_weights
        self._steps_per_knot = max(1, round(sampling.knot_seconds / self.model.opt.timestep))
        hinges = simulation.num_hinges
        names = [self.model.actuator(number).name for number in range(hinges)]
        shares = [
            min([share for word, share in sampling.less_noise.items() if word in name], default=1.0) for name in names
        ]
        self._noise = np.array([*(sampling.noise * share for share in shares), *[ASSISTANCE_NOISE] * len(ASSISTANCE)])
        self._price = np.sqrt([control_weights.offset] * hinges + [control_weights.assistance] * len(ASSISTANCE))
        self._data = [mujoco.MjData(self.model) for _ in range(threads)]
        # Samples that blow up cost more than any others; without this, MuJoCo prints, and writes a file where it was started.
        mujoco.set_mju_user_warning(lambda _: None)
        self._rollout = mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0)

    def no_controls(self) -> Controls:
        """Return controls that change nothing, for the whole motion and beyond."""
        knots = self.reference.num_steps // self._steps_per_knot + 3
        return Controls(np.zeros((knots, self.model.nu)), np.zeros(6))

    def improved(
        self,
        state: Float[np.ndarray, " state"],
        warm_start: Float[np.ndarray, " nv"],
        controls: Controls,
        step: int,
        effort: Effort,
        assistance: float,
        random: np.random.Generator,
    ) -> Controls:
        """Return controls with better ones for the next moments.

        Args:
            state: full physics state of the simulation.
            warm_start: of the solver in that state.
            controls: so far.
            step: that the state is the start of.
            effort: how far to look ahead, and how hard.
            assistance: largest one, a share of the character's weight.
            random: where samples come from.
        """
        span = min(effort.horizon, self.reference.num_steps - step)
        first, shares = self._shares_of_knots(step, span)
        part = controls.knots[first : first + shares.shape[1]]
        noise = np.tile(self._noise, (len(part), 1))
        noise[:, self.simulation.num_hinges :] *= assistance > 0
        if step > 0:
            noise[0] = 0.0  # what is being done was decided before
        noise = np.r_[noise.ravel(), FIRST_VELOCITY_NOISE * (step == 0)]
        start = np.r_[part.ravel(), controls.first_velocity]

        def simulated(tried: Tried) -> Residuals:
            knots, added = tried[:, :-6].reshape(-1, *part.shape), tried[:, -6:]
            starts = np.tile(state, (len(tried), 1))
            velocity = 1 + self.model.nq
            starts[:, velocity : velocity + 6] += added - controls.first_velocity
            return self._residuals(starts, warm_start, knots, added, shares, step, assistance)

        best = start
        for iteration in range(effort.iterations):
            draws = random.normal(size=(effort.samples, len(start))) * noise * CALMER**iteration
            best = _step(best, draws, simulated)
        knots = controls.knots.copy()
        knots[first : first + len(part)] = best[:-6].reshape(part.shape)
        return Controls(knots, best[-6:])

    def commands(
        self, controls: Controls, step: int, count: int, assistance: float
    ) -> Float[np.ndarray, "count actuators"]:
        """Return what the actuators are given in the next steps: angles, then forces and torques."""
        first, shares = self._shares_of_knots(step, count)
        knots = controls.knots[first : first + shares.shape[1]]
        return self._commands(knots[None], shares, step, assistance)[0]

    def _shares_of_knots(self, step: int, count: int) -> tuple[int, Float[np.ndarray, "count knots"]]:
        """Return the first knot that matters from a step on, and each step's shares of that one and the following ones."""
        at = (step + np.arange(count)) / self._steps_per_knot
        knots = np.arange(int(at[0]), int(at[-1]) + 2)
        return int(at[0]), np.maximum(0.0, 1.0 - np.abs(at[:, None] - knots))

    def _commands(
        self,
        knots: Float[np.ndarray, "batch knots actuators"],
        shares: Float[np.ndarray, "count knots"],
        step: int,
        assistance: float,
    ) -> Float[np.ndarray, "batch count actuators"]:
        commands = shares @ knots
        hinges = self.simulation.num_hinges
        commands[..., :hinges] += self.reference.targets[step : step + len(shares)]
        for vector, limit in enumerate(self.simulation.assistance_limits(assistance)):
            helping = commands[..., hinges + 3 * vector : hinges + 3 * vector + 3]  # the force, then the torque
            helping *= limit / np.maximum(1.0, np.linalg.norm(helping, axis=-1, keepdims=True))
        return commands

    def _residuals(
        self,
        starts: Float[np.ndarray, "batch state"],
        warm_start: Float[np.ndarray, " nv"],
        knots: Float[np.ndarray, "batch knots actuators"],
        added: Float[np.ndarray, "batch 6"],
        shares: Float[np.ndarray, "count knots"],
        step: int,
        assistance: float,
    ) -> Float[np.ndarray, "batch residuals"]:
        batch, count = len(starts), len(shares)
        states, sensors = self._rollout.rollout(
            self.model,
            self._data,
            starts,
            self._commands(knots, shares, step, assistance),
            initial_warmstart=np.tile(warm_start, (batch, 1)),
        )
        self.steps_simulated += batch * count
        every = self.tracking.every
        seen = np.arange(min(every, count) - 1, count, every)
        states, sensors = np.asarray(states)[:, seen], np.asarray(sensors)[:, seen]
        followed = self.tracking.residuals(states, sensors, step + seen + 1)
        changes = np.sqrt(self._weights.offset_change) * np.diff(knots, axis=1)
        first = np.sqrt(self._weights.first_velocity) * added
        parts = [values.reshape(batch, -1) for values in (followed, self._price * knots, changes, first)]
        return np.nan_to_num(np.concatenate(parts, axis=1), nan=HOPELESS).clip(-HOPELESS, HOPELESS)


def _step(
    start: Float[np.ndarray, " controls"],
    draws: Float[np.ndarray, "samples controls"],
    simulated: Callable[[Tried], Residuals],
) -> Float[np.ndarray, " controls"]:
    """Return the best controls among the start, samples around it, and damped Gauss-Newton steps from them."""
    tried = start + np.concatenate([np.zeros((1, len(start))), draws])
    residuals = simulated(tried)
    costs = 0.5 * (residuals**2).sum(1)
    used = 1 + np.argsort(costs[1:], kind="stable")[: round(USED * len(draws))]
    changes, moves = residuals[used] - residuals[0], tried[used] - start
    values, vectors = np.linalg.eigh(changes @ changes.T)
    downhill = vectors.T @ -(changes @ residuals[0])
    typical = values.mean()
    steps = np.stack([start + (vectors @ (downhill / (values + damping * typical))) @ moves for damping in DAMPINGS])
    tried = np.concatenate([tried, steps])
    return tried[np.argmin(np.concatenate([costs, 0.5 * (simulated(steps) ** 2).sum(1)]))]
