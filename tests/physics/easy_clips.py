"""Short clips that the project makes itself, and a corrector that follows them in a second: little effort is enough for them."""

from functools import cache
from typing import Any

import numpy as np
import torch

from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.configuration.composing import pieces_of_option
from parc.configuration.pieces import make
from parc.demo_motions.footsteps import FootstepPlanner, Gait
from parc.demo_motions.generator import clip_of_plan
from parc.demo_motions.plan import Style
from parc.demo_motions.routes import straight_route
from parc.physics.corrector import Corrector
from parc.physics.sampled_corrector import SampledCorrector
from parc.terrain.heightfield import Heightfield

HUMANOID = CharacterFile("humanoid.xml")
FEET = ("right_foot", "left_foot")
LITTLE = {"horizon": 0.4, "every": 0.15, "samples": 16, "iterations": 1, "retreats": 1, "retreat": 0.3}


def level(height: float = 0.0) -> Heightfield:
    return Heightfield(torch.full((20, 20), height), torch.tensor([-4.0, -4.0]), 0.4)


@cache
def standing_clip(seed: int = 0, seconds: float = 0.3) -> MotionClip:
    """A clip that stands and shifts its weight a little."""
    return _clip(seed, 0.1, seconds, f"standing_{seed}")


@cache
def stepping_clip(seed: int = 0, seconds: float = 0.2) -> MotionClip:
    """A clip that stands, and takes a step."""
    return _clip(seed, 0.2, seconds, f"stepping_{seed}")


def _clip(seed: int, length: float, seconds: float, name: str) -> MotionClip:
    route = straight_route(np.zeros(2), 0.0, length)
    planner = FootstepPlanner(level(), route, "left")
    planner.stand(seconds)
    if length > 0.1:
        planner.walk(route, Gait(step_length=0.35, step_time=0.5))
        planner.stand(0.2)
    return clip_of_plan(planner.plan(Style()), np.random.default_rng(seed), HUMANOID.read(), name)


def corrector_settings(**changes: Any) -> dict[str, Any]:
    """Return the settings of `corrector=mpc`, with little effort in one attempt, and with changes."""
    settings = pieces_of_option("correct", ["corrector=mpc"], ["corrector"])["corrector"]
    name, attempt = next(iter(settings["attempts"].items()))
    return settings | {"attempts": {name: attempt | LITTLE}} | changes


def easy_corrector(**changes: Any) -> SampledCorrector:
    """Return the corrector of such settings."""
    return make(corrector_settings(**changes), Corrector, "corrector")


@cache
def easy_overrides() -> list[str]:
    """The same for a command line, where other attempts stay as they are behind it."""
    name = next(iter(corrector_settings()["attempts"]))
    return [f"corrector.attempts.{name}.{key}={value}" for key, value in LITTLE.items()]
