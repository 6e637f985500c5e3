"""Mean and std of the features over every window of the training clips."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.motion_library import runs
from parc.motion_generator.canonical_frame import to_canonical, turned_to_canonical
from parc.motion_generator.features import SMALLEST_STD, FeatureStatistics, MotionFeatures
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler

CLIPS_A_CHUNK = 32
WINDOWS_A_CHUNK = 4096


def compute_statistics(sampler: MDMHeightfieldContactMotionSampler, features: MotionFeatures) -> FeatureStatistics:
    """Compute mean and deviation of the features over every window of the training clips, none weighing more."""
    running = RunningStatistics(features, sampler.num_frames)
    for clips in sampler.training_clips.split(CLIPS_A_CHUNK):
        for encoded in features_of_windows(sampler, features, clips):
            running.add(encoded)
    return running.statistics()


def features_of_windows(
    sampler: MDMHeightfieldContactMotionSampler, features: MotionFeatures, clips: Int[Tensor, " some"]
) -> Iterator[Float[Tensor, "windows frames features"]]:
    """Yield the features of every window of some clips that begins on the grid of frames, in chunks.

    A frame is in as many windows as they have frames. It is read, posed and encoded once; for each window, only what
    depends on the canonical frame is encoded anew.
    """
    counts = sampler.count_starts(clips)
    frame_counts = counts + sampler.num_frames - 1
    times = runs(torch.zeros_like(counts), frame_counts) / sampler.fps
    frames = sampler.library.frames_at(clips.repeat_interleave(frame_counts), times[:, None])
    motion = features.posed(frames)
    pose = features.encode_pose(motion.joint_rot, motion.contacts)[:, 0]
    first_frame = runs(frame_counts.cumsum(0) - frame_counts, counts)
    for first, clip in zip(
        first_frame.split(WINDOWS_A_CHUNK), clips.repeat_interleave(counts).split(WINDOWS_A_CHUNK), strict=True
    ):
        window = first[:, None] + torch.arange(sampler.num_frames)
        root_pos, root_rot, joint_pos = (
            each[:, 0][window] for each in (motion.root_pos, motion.root_rot, motion.joint_pos)
        )
        origin, turn = sampler.canonical_frames(clip, root_pos, root_rot)
        placed = features.encode_placement(
            to_canonical(root_pos, origin, turn),
            turned_to_canonical(root_rot, turn),
            to_canonical(joint_pos.flatten(1, 2), origin, turn).view(joint_pos.shape),
        )
        yield torch.cat([placed, pose[window]], dim=-1)


class RunningStatistics:
    """Mean and std of windows seen in chunks, in double precision.

    Args:
        features: the layout of a frame.
        num_frames: frames of a window.
    """

    def __init__(self, features: MotionFeatures, num_frames: int) -> None:
        self.num_contacts = features.character.num_bodies
        self.count = 0
        self.total = torch.zeros(num_frames, features.num_features, dtype=torch.float64)
        self.squares = torch.zeros_like(self.total)

    def add(self, features: Float[Tensor, "batch frames features"]) -> None:
        """Count in some windows."""
        double = features.double()
        self.count += len(features)
        self.total += double.sum(0)
        self.squares += double.square().sum(0)

    def statistics(self) -> FeatureStatistics:
        """Return the statistics so far: n - 1 in the variance, deviations of at least 1e-5, contacts left as they are."""
        mean = self.total / self.count
        variance = (self.squares - self.count * mean.square()) / max(self.count - 1, 1)
        std = variance.clamp(min=0).sqrt().clamp(min=SMALLEST_STD)
        mean[:, -self.num_contacts :] = 0
        std[:, -self.num_contacts :] = 1
        return FeatureStatistics(mean.float(), std.float())
