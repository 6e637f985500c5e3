"""A stand-in for a trained model: whatever its terrain, it walks straight to its target at a constant speed."""

from pathlib import Path

import torch

from paper_settings import GRID, TARGET
from parc.anim.heldout_clips import split_of_older_run
from parc.configuration.composing import pieces_of_option
from parc.configuration.pieces import recipe
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_generator.checkpoint import Checkpoint, Counters, write_checkpoint
from parc.motion_generator.denoiser import Conditions, Denoiser
from parc.motion_generator.features import FeatureStatistics, RotationType
from parc.motion_generator.mdm import MDM, ConditionChances
from parc.motion_generator.trained_model import TrainedModel

SPEED = 1.5  # metres/s
FPS = 30.0
ROOT_HEIGHT = 0.85  # metres above the ground
FEATURES = 91
STATISTICS = FeatureStatistics(torch.zeros(15, FEATURES), torch.ones(15, FEATURES))


class Walker(Denoiser):
    """Predicts a walk from the origin of the canonical frame, looking where it goes, whatever is noisy.

    Args:
        height: of the root in the canonical frame, metres.
        sway: share of the noise in what it predicts, so that no two walks are the same.
    """

    def __init__(
        self, height: float = 0.0, sway: float = 0.0, *, num_features: int, num_frames: int, **_: object
    ) -> None:
        super().__init__()
        self.num_features, self.num_frames = num_features, num_frames
        self.height, self.sway = height, sway
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
        return features + self.sway * noisy


def walker(humanoid, style: RelativeZStyle = RelativeZStyle.RELATIVE_TO_ROOT) -> TrainedModel:
    height = ROOT_HEIGHT if style is RelativeZStyle.RELATIVE_TO_ROOT_FLOOR else 0.0
    mdm = MDM(
        recipe({"_target_": "walker.Walker", "height": height}, Denoiser, "model.denoiser"), 21, RotationType.DEFAULT,
        ConditionChances(0.0, 0.0, 0.0, 0.0), character=humanoid,
        statistics=STATISTICS,
        num_frames=15, num_previous=2, heightmap=GRID,
    )  # fmt: skip
    return TrainedModel(Path("walker"), mdm.eval(), humanoid, GRID, FPS, style, TARGET)


def write_walker(path: Path, humanoid, sway: float = 0.0) -> Path:
    """Write the checkpoint of a walker above its floor, as a training would; return its path."""
    config = pieces_of_option("train", ["model=mdm_small", "sampler=heightfield_contact_floor"], ["model", "sampler"])
    config["model"]["denoiser"] = {"_target_": "walker.Walker", "height": ROOT_HEIGHT, "sway": sway}
    state = Counters(
        step=1, epoch=1, skipped=0, skipped_in_a_row=0, wandb_id=None, continues_average=False, epoch_steps=0,
        averaged_steps=0,
    )  # fmt: skip
    write_checkpoint(
        path, Checkpoint({}, {}, {}, {}, STATISTICS, config, humanoid, {}, split_of_older_run([]), state, {})
    )
    return path
