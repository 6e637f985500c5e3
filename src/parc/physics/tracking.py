"""How far simulated states are from the motion that they are to follow, as residuals: cost is half the sum of their squares."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from parc.configuration.errors import UserError
from parc.physics.reference import Reference
from parc.physics.simulation import Simulation

RESIDUAL_SECONDS = 1 / 30  # between states of which residuals are taken; weights are for so many of them
FAR = 0.2  # metres that the root may be off before it costs more


@dataclass(frozen=True)
class TrackingWeights:
    """Weights of squared residuals, of metres, radians and seconds.

    Attributes:
        root: the root's place.
        root_far: what is beyond `FAR` of its distance from the motion as it was given.
        root_turn: its rotation.
        root_velocity: its velocity.
        root_spin: its angular velocity.
        joints: angles of the hinges.
        joint_velocities: how fast they turn.
        tracked: places of the tracked bodies.
        centre_of_mass: its place.
        momentum: its velocity.
        slip: velocity of a standing body that is labelled to touch the ground, against the motion's own.

    Raises:
        UserError: one is negative.
    """

    root: float
    root_far: float
    root_turn: float
    root_velocity: float
    root_spin: float
    joints: float
    joint_velocities: float
    tracked: float
    centre_of_mass: float
    momentum: float
    slip: float

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if weight < 0:
                raise UserError(f"corrector.weights.{name} is {weight}, expected 0 or more")


class Tracking:
    """Residuals of states against a reference.

    Args:
        simulation: whose states.
        reference: that they are to follow.
        weights: of what.
    """

    def __init__(self, simulation: Simulation, reference: Reference, weights: TrackingWeights) -> None:
        self.reference = reference
        self._nq, self._nv = simulation.model.nq, simulation.model.nv
        hinges = self._nv - 6
        self.every = max(1, round(RESIDUAL_SECONDS / simulation.model.opt.timestep))
        self._followed = 3 * len(simulation.tracked) + 6  # sensors; the velocities of standing bodies come after
        seconds = self.every * simulation.model.opt.timestep
        self._scale = np.sqrt(
            np.repeat(
                [
                    weights.root,
                    weights.root_turn,
                    weights.joints,
                    weights.root_velocity,
                    weights.root_spin,
                    weights.joint_velocities,
                    weights.tracked,
                    weights.centre_of_mass,
                    weights.momentum,
                    weights.root_far,
                    weights.slip,
                ],
                [3, 3, hinges, 3, 3, hinges, 3 * len(simulation.tracked), 3, 3, 1, 3 * len(simulation.standing)],
            )
            * (seconds / RESIDUAL_SECONDS)
        )

    def residuals(
        self,
        states: Float[np.ndarray, "batch times state"],
        sensors: Float[np.ndarray, "batch times sensors"],
        steps: Int[np.ndarray, " times"],
    ) -> Float[np.ndarray, "batch times residuals"]:
        """Return the weighted residuals of states.

        Args:
            states: MuJoCo's full physics states: time, positions, velocities.
            sensors: what the sensors show after the steps to those states. MuJoCo reads them before it steps: so they are of the
                states one step before.
            steps: which states of the reference they are to be, from 1 on.
        """
        goal = self.reference
        positions, velocities = states[..., 1 : 1 + self._nq], states[..., 1 + self._nq : 1 + self._nq + self._nv]
        wanted = goal.positions[steps]
        shift = positions[..., :3] - wanted[:, :3]
        off = sensors - goal.sensors[steps - 1]
        distance = np.linalg.norm(positions[..., :3] - goal.body_pos[steps, 0], axis=-1, keepdims=True)
        slip = off[..., self._followed :] * np.repeat(goal.labels[steps - 1], 3, axis=-1)
        turn = _turn(wanted[:, 3:7], positions[..., 3:7])
        angles = positions[..., 7:] - wanted[:, 7:]
        speeds = velocities - goal.velocities[steps]
        parts = [shift, turn, angles, speeds, off[..., : self._followed], np.maximum(distance - FAR, 0.0), slip]
        return np.concatenate(parts, axis=-1) * self._scale


def _turn(
    wanted: Float[np.ndarray, "times 4"], found: Float[np.ndarray, "batch times 4"]
) -> Float[np.ndarray, "batch times 3"]:
    """Return twice the vector part of the rotation (w, x, y, z) between two, on the shorter way: near 0 its rotation vector."""
    vector = wanted[:, :1] * found[..., 1:] - found[..., :1] * wanted[:, 1:]
    vector -= np.cross(np.broadcast_to(wanted[:, 1:], found[..., 1:].shape), found[..., 1:])
    return 2 * np.sign((wanted * found).sum(-1, keepdims=True)) * vector
