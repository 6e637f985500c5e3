"""Following a motion from its first frame to its last: plan, do the beginning of it, plan again; go back where it fails."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass, replace

import mujoco
import numpy as np
from jaxtyping import Float

from parc.configuration.errors import UserError
from parc.physics.measures import FAR_BODIES, FAR_ROOT
from parc.physics.planning import STATE, Controls, Effort, Planner

# Metres that the root, and bodies in the mean, are off when following has failed: a little before it is no success any more.
FALLEN_ROOT, FALLEN_BODIES = FAR_ROOT - 0.01, FAR_BODIES - 0.05
HARDER = 2  # times as many iterations where it failed before


@dataclass(frozen=True)
class Attempt:
    """How to follow a motion: passes with less and less assistance, each from what the one before did.

    Attributes:
        assistance: largest one of each pass, a share of the character's weight.
        horizon: seconds to look ahead.
        every: seconds from a plan to the next.
        samples: of an iteration.
        iterations: of a plan.
        retreats: how often a pass may go back where it fails.
        retreat: seconds by which it goes back; further where it has failed nearby before.

    Raises:
        UserError: a number is out of range.
    """

    assistance: list[float]
    horizon: float
    every: float
    samples: int
    iterations: int
    retreats: int
    retreat: float

    def __post_init__(self) -> None:
        if not self.assistance or min(self.assistance) < 0:
            raise UserError(
                f"corrector.attempts: assistance is {self.assistance}, expected a list of shares of 0 or more"
            )
        for name in ("horizon", "every", "retreat"):
            if getattr(self, name) <= 0:
                raise UserError(f"corrector.attempts: {name} is {getattr(self, name)}, expected more than 0 seconds")
        if self.every > self.horizon:
            raise UserError(f"corrector.attempts: every is {self.every}, expected at most the horizon, {self.horizon}")
        for name, least in (("samples", 2), ("iterations", 1), ("retreats", 0)):
            if getattr(self, name) < least:
                raise UserError(f"corrector.attempts: {name} is {getattr(self, name)}, expected at least {least}")


@dataclass(frozen=True)
class Followed:
    """What one pass simulated, up to where it failed.

    Attributes:
        assistance: that was allowed.
        positions: MuJoCo's `qpos` in every state.
        velocities: MuJoCo's `qvel`.
        commands: what the actuators were given in each step.
        controls: that they came from.
        is_whole: whether it reached the motion's end.
        why: what was wrong where it failed.
    """

    assistance: float
    positions: Float[np.ndarray, "states nq"]
    velocities: Float[np.ndarray, "states nv"]
    commands: Float[np.ndarray, "steps actuators"]
    controls: Controls
    is_whole: bool
    why: str = ""

    @property
    def num_steps(self) -> int:
        """How many steps were simulated."""
        return len(self.commands)


@dataclass(frozen=True)
class _Saved:
    """Where a pass may go back to."""

    state: Float[np.ndarray, " state"]
    warm_start: Float[np.ndarray, " nv"]
    controls: Controls


class Pass:
    """One pass over a motion.

    Args:
        planner: of the motion.
        attempt: how to go about it.
        assistance: largest one, a share of the character's weight.
        random: where samples come from.
    """

    def __init__(self, planner: Planner, attempt: Attempt, assistance: float, random: np.random.Generator) -> None:
        self._planner, self._attempt, self._assistance, self._random = planner, attempt, assistance, random
        model, states = planner.model, planner.reference.num_steps + 1
        self._data = mujoco.MjData(model)
        self._positions, self._velocities = np.zeros((states, model.nq)), np.zeros((states, model.nv))
        self._commands = np.zeros((states - 1, model.nu))
        self._every = max(1, round(attempt.every / model.opt.timestep))
        self._effort = Effort(max(1, round(attempt.horizon / model.opt.timestep)), attempt.samples, attempt.iterations)
        self._saved: dict[int, _Saved] = {}
        self._failures: list[int] = []
        self._farthest: Followed | None = None

    def follow(self, controls: Controls) -> Followed:
        """Simulate from the first state on.

        Args:
            controls: to begin with.
        """
        step = 0
        self._start(controls)
        while step < self._planner.reference.num_steps:
            controls = self._plan(step, controls)
            step, why = self._do(step, controls)
            if why:
                self._keep_farthest(step, controls, why)
                if len(self._failures) == self._attempt.retreats:
                    assert self._farthest is not None
                    return self._farthest
                step, controls = self._go_back(step)
        return self._so_far(step, controls, is_whole=True)

    def _start(self, controls: Controls) -> None:
        reference, data = self._planner.reference, self._data
        data.qpos[:], data.qvel[:] = reference.positions[0], reference.velocities[0]
        data.qvel[:6] += controls.first_velocity
        self._positions[0], self._velocities[0] = data.qpos, data.qvel

    def _plan(self, step: int, controls: Controls) -> Controls:
        planner, data = self._planner, self._data
        state = np.zeros(mujoco.mj_stateSize(planner.model, STATE))
        mujoco.mj_getState(planner.model, data, state, STATE)
        warm_start = data.qacc_warmstart.copy()
        self._saved[step] = _Saved(state, warm_start, controls)
        effort = self._effort
        if self._failures and step <= max(self._failures):
            effort = replace(effort, iterations=HARDER * effort.iterations)
        better = planner.improved(state, warm_start, controls, step, effort, self._assistance, self._random)
        if step == 0:
            data.qvel[:6] += better.first_velocity - controls.first_velocity
            self._velocities[0] = data.qvel
        return better

    def _do(self, step: int, controls: Controls) -> tuple[int, str]:
        """Simulate the beginning of a plan; return the step that it ends at, and what is wrong there, if anything is."""
        count = min(self._every, self._planner.reference.num_steps - step)
        for command in self._planner.commands(controls, step, count, self._assistance):
            self._data.ctrl[:] = self._commands[step] = command
            mujoco.mj_step(self._planner.model, self._data)
            step += 1
            self._positions[step], self._velocities[step] = self._data.qpos, self._data.qvel
            self._planner.steps_simulated += 1
            if not (np.isfinite(self._data.qpos).all() and np.isfinite(self._data.qvel).all()):
                return step - 1, "the simulation became unstable"
            if why := self._fallen(step):
                return step, why
        return step, ""

    def _fallen(self, step: int) -> str:
        """Say what is wrong in a state, if anything is."""
        mujoco.mj_kinematics(self._planner.model, self._data)
        wanted = self._planner.reference.body_pos[step]
        off = np.linalg.norm(self._data.xpos[1 : len(wanted) + 1] - wanted, axis=1)
        if off[0] > FALLEN_ROOT:
            return f"the root is {off[0]:.2f} m off"
        return f"bodies are {off.mean():.2f} m off" if off.mean() > FALLEN_BODIES else ""

    def _keep_farthest(self, step: int, controls: Controls, why: str) -> None:
        if self._farthest is None or step > self._farthest.num_steps:
            self._farthest = self._so_far(step, controls, is_whole=False, why=why)

    def _so_far(self, step: int, controls: Controls, *, is_whole: bool, why: str = "") -> Followed:
        positions, velocities = self._positions[: step + 1].copy(), self._velocities[: step + 1].copy()
        return Followed(self._assistance, positions, velocities, self._commands[:step].copy(), controls, is_whole, why)

    def _go_back(self, step: int) -> tuple[int, Controls]:
        """Return to where there is still time to do better: what makes a landing fail is done before the jump."""
        timestep = self._planner.model.opt.timestep
        nearby = sum(abs(failure - step) * timestep < 1.0 for failure in self._failures)
        self._failures.append(step)
        back = round(self._attempt.retreat * (1 + 0.7 * nearby) / timestep)
        step = max(0, (step - back) // self._every * self._every)
        saved = self._saved[step]
        mujoco.mj_setState(self._planner.model, self._data, saved.state, STATE)
        self._data.qacc_warmstart[:] = saved.warm_start
        return step, saved.controls
