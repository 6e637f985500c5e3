"""A stand-in for a trained model: whatever its terrain, it walks straight to its target at a constant speed."""

from pathlib import Path

import torch

from paper_settings import GRID, TARGET
from parc.configuration.pieces import recipe
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_generator.denoiser import Conditions, Denoiser
from parc.motion_generator.features import FeatureStatistics, RotationType
from parc.motion_generator.mdm import MDM, ConditionChances
from parc.motion_generator.trained_model import TrainedModel

SPEED = 1.5  # metres/s
FPS = 30.0
ROOT_HEIGHT = 0.85  # metres above the ground


class Walker(Denoiser):
    """Predicts a walk from the origin of the canonical frame, looking where it goes, whatever is noisy."""

    def __init__(self, *, num_features: int, num_frames: int, **_: object) -> None:
        super().__init__()
        self.num_features, self.num_frames = num_features, num_frames
        self.height = 0.0  # metres, of the root in the canonical frame
        self.asked: list[Conditions] = []

    def denoise(self, noisy, timestep, conditions: Conditions, heightmap_embedding):
        self.asked.append(conditions)
        features = torch.zeros_like(noisy)
        times = (torch.arange(self.num_frames) - 1) / FPS  # frame 1 is the last previous state
        way = SPEED * times[:, None] * conditions.target_direction[:, None]
        features[..., :2] = way
        features[..., 2] = self.height
        turn = torch.atan2(conditions.target_direction[:, 1], conditions.target_direction[:, 0])
        features[..., 5] = turn[:, None] * (times > 0)  # the exponential map of a turn about z
        features[..., -1] = 1.0  # the last body is labelled
        return features


def walker(humanoid, style: RelativeZStyle = RelativeZStyle.RELATIVE_TO_ROOT) -> TrainedModel:
    features = 91
    mdm = MDM(
        recipe({"_target_": "walker.Walker"}, Denoiser, "model.denoiser"), 21, RotationType.DEFAULT,
        ConditionChances(0.0, 0.0, 0.0, 0.0), character=humanoid,
        statistics=FeatureStatistics(torch.zeros(15, features), torch.ones(15, features)),
        num_frames=15, num_previous=2, heightmap=GRID,
    )  # fmt: skip
    if style is RelativeZStyle.RELATIVE_TO_ROOT_FLOOR:
        mdm.denoiser.height = ROOT_HEIGHT
    return TrainedModel(Path("walker"), mdm.eval(), humanoid, GRID, FPS, style, TARGET)
