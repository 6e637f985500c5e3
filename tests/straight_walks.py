"""Rollouts along straight paths over level ground, for a model that walks straight."""

import math

import numpy as np
import torch

from parc.motion_synthesis.rollout import Rollout
from parc.motion_synthesis.starts import BlankStart, StartHeading
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_planner import as_path
from walker import ROOT_HEIGHT

START = BlankStart(ROOT_HEIGHT, ROOT_HEIGHT, StartHeading.ALONG_THE_PATH)
ROLLOUT = Rollout(
    candidates=1, max_seconds=10.0, denoising_steps=5, guidance_scale=0.5, new_frames=7, nodes_ahead=7,
    finish_distance=0.5, feet=["left_foot", "right_foot"], start=None, blank_start=START,
)  # fmt: skip


def straight_path(length: float, turn: float = 0.0, height: float = 0.0):
    terrain = Heightfield(torch.full((60, 60), height), torch.tensor([-12.0, -12.0]), 0.4)
    along = np.arange(0, length + 1e-6, 0.4)[:, None]
    nodes = np.concatenate([along * math.cos(turn), along * math.sin(turn), 0 * along + height], axis=1)
    return as_path(terrain, nodes)


def generators(count: int, seed: int = 0):
    return [torch.Generator().manual_seed(100 * seed + number) for number in range(count)]
