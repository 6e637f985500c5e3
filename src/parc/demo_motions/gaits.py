"""Ways of walking and running, drawn at random."""

import numpy as np

from parc.demo_motions.footsteps import Gait


def walking_gait(random: np.random.Generator) -> Gait:
    """Draw a way of walking on level ground, 1.3 to 2.0 m/s."""
    return _brisk_gait(random, 0.62, 0.8)


def uneven_gait(random: np.random.Generator) -> Gait:
    """Draw a way of walking where the ground changes now and then, 1.2 to 1.7 m/s."""
    return _brisk_gait(random, 0.56, 0.7)


def _brisk_gait(random: np.random.Generator, shortest_step: float, longest_step: float) -> Gait:
    return Gait(
        step_length=random.uniform(shortest_step, longest_step),
        step_time=random.uniform(0.4, 0.47),
        flight=-random.uniform(0.07, 0.11),
        spread=random.uniform(0.075, 0.1),
    )


def careful_gait(random: np.random.Generator) -> Gait:
    """Draw a way of walking over step after step, 1.0 to 1.4 m/s."""
    return Gait(random.uniform(0.45, 0.55), random.uniform(0.39, 0.45), flight=-random.uniform(0.1, 0.14))


def running_gait(random: np.random.Generator) -> Gait:
    """Draw a way of running, 2.2 to 3.5 m/s."""
    return Gait(
        step_length=random.uniform(0.85, 1.15),
        step_time=random.uniform(0.34, 0.38),
        flight=random.uniform(0.1, 0.14),
        spread=random.uniform(0.05, 0.07),
        gentle_steps=3,
    )
