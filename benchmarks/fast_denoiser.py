"""The denoiser that sees its terrain, measured: how long it takes to learn, and how fast many candidates of it are rolled out."""

import copy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.setting import Setting, paper_setting, train_steps
from benchmarks.timing import Action
from parc.configuration.composing import pieces_of_option
from parc.configuration.errors import UserError
from parc.configuration.pieces import make
from parc.motion_generator.heldout_error import HeldoutError
from parc.motion_generator.trained_model import TrainedModel
from parc.motion_synthesis.candidates import paths_of
from parc.motion_synthesis.rollout import Rollout
from parc.stages.randomness import generator_for
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_planner import PlannedPath, as_path
from parc.training.trainer import Precision

STEPS_A_TURN = 2
CANDIDATES = 32
SECONDS = 2.0  # of motion that each candidate has
RISE = 0.15  # metres, of a step of the stairs
LEARNT = 0.05  # metres of held-out error
STEPS_BETWEEN_LOOKS, MOST_STEPS = 50, 5000
WIDE = ["model=mdm_fast"]  # with the paper's windows
OF_THE_DEMO = ["experiment=demo"]
# How long it will take is not known beforehand: no schedule can end with it.
AT_A_CONSTANT_RATE = ["trainer.learning_rate_schedule=constant", "trainer.warmup_steps=0"]


def learn(folder: Path, device: torch.device, overrides: list[str]) -> tuple[float, Setting]:
    """Train at a constant rate until the held-out error of a run is `LEARNT`; return the minutes, by the clock, and the run.

    Args:
        folder: of the data.
        device: of the model.
        overrides: that choose the run.

    Raises:
        UserError: it is not after `MOST_STEPS`.
    """
    setting = paper_setting(folder, device, *overrides, *AT_A_CONSTANT_RATE)
    model, averaged = setting.state.model, setting.state.averaged
    heldout, seconds = HeldoutError(setting.sampler, model), 0.0
    while setting.state.step < MOST_STEPS:
        began = time.perf_counter()
        train_steps(setting, STEPS_BETWEEN_LOOKS, Precision.FP32)
        seconds += time.perf_counter() - began
        if heldout.measure(model, averaged.module)["body_position"] <= LEARNT:
            return seconds / 60, setting
    raise UserError(f"the held-out error is above {LEARNT} m after {MOST_STEPS} steps of {' '.join(overrides)}")


def many_candidates(setting: Setting, threads: int | None = None, guided: bool = False) -> Action:
    """Return rolling out candidates of a run's averaged weights up stairs, along a straight path that none reaches the end of.

    Args:
        setting: the run.
        threads: of the CPU; None for all.
        guided: by the ground, as by default; of weights as drawn, motions are all in it, which says nothing about a trained
            model.
    """
    rollout: Rollout = make(pieces_of_option("generate", [], ["rollout"])["rollout"], Rollout, "rollout")
    rollout = replace(rollout, candidates=CANDIDATES, max_seconds=SECONDS, finish_distance=1e-3, guidance_scale=0.0)
    rollout = rollout if guided else replace(rollout, ground_guidance=None)
    model, paths = _trained_model(setting), paths_of([_path_up_stairs()], setting.device)
    which = torch.zeros(CANDIDATES, dtype=torch.long, device=setting.device)

    def roll_out() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            rollout.roll_out(model, paths, which, [generator_for(0, "noise", number) for number in range(CANDIDATES)])
        finally:
            torch.set_num_threads(before)

    return roll_out


def _trained_model(setting: Setting) -> TrainedModel:
    sampler, state = setting.sampler, setting.state
    model = copy.deepcopy(state.model).eval()
    model.denoiser.load_state_dict(state.averaged.module.state_dict())
    sight = (sampler.grid, sampler.fps, sampler.relative_z_style, sampler.target)
    return TrainedModel(Path("in memory"), model, model.features.character, *sight)


def _path_up_stairs() -> PlannedPath:
    cells = torch.arange(40)
    heights = RISE * ((cells - 10) // 2).clamp(min=0)  # from the third node on, a step every other cell
    terrain = Heightfield(heights[:, None].expand(40, 20).clone(), torch.tensor([-4.0, -4.0]), 0.4)
    along = np.arange(0, 8, 0.4)
    nodes = np.stack([along, 0 * along, 0 * along], axis=1)
    nodes[:, 2] = terrain.heights_at(torch.from_numpy(nodes[:, :2]).float()).numpy()
    return as_path(terrain, nodes)
