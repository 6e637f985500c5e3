"""Mean and std of the features over every window of the training clips, and which samplers they serve."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.motion_library import runs
from parc.configuration.errors import UserError
from parc.motion_generator.canonical_frame import RelativeZStyle, to_canonical, turned_to_canonical
from parc.motion_generator.features import FROM_SCRATCH, SMALLEST_STD, FeatureStatistics, MotionFeatures
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler

CLIPS_A_CHUNK = 32
WINDOWS_A_CHUNK = 4096

AT_THE_ORIGIN = 0.01  # metres: no window's mean root position comes so near to its origin by chance


def compute_statistics(sampler: MDMHeightfieldContactMotionSampler, features: MotionFeatures) -> FeatureStatistics:
    """Compute mean and deviation of the features over every window of the training clips, none weighing more.

    The windows are those of clean motions; what the sampler's noise adds to them shows in the `smallest_deviations`.
    """
    running = RunningStatistics(features, sampler.num_frames)
    for clips in sampler.training_clips.split(CLIPS_A_CHUNK):
        for encoded in features_of_windows(sampler, features, clips):
            running.add(encoded)
    clean = running.statistics()
    return FeatureStatistics(clean.mean, clean.std.maximum(smallest_deviations(sampler, features)))


def effects_of_noise(
    sampler: MDMHeightfieldContactMotionSampler, features: MotionFeatures
) -> dict[str, Float[Tensor, "frames features"]]:
    """Return how far noise of scale 1 (metre, radian) on previous states moves each feature at least, by its setting.

    Noise on the root moves the canonical frame, and with it all frames of a window; noise on the joints changes none but
    the previous states. A rotation that is off moves the next body by at least the length between the two.
    """
    metres, radians = torch.zeros(2, sampler.num_frames, features.num_features)
    root_pos, _, joint_pos, *_ = metres.split(features.sizes, dim=1)
    root_pos[:], joint_pos[:] = 1, 1
    _, root_rot, joint_pos, joint_rot, _ = radians.split(features.sizes, dim=1)
    root_rot[:], joint_rot[: sampler.num_previous] = 1, 1
    joint_pos[:] = features.character.offsets[1:].norm(dim=1).repeat_interleave(3)
    return {"pos_noise_scale": metres, "angle_noise_scale": radians}


def smallest_deviations(
    sampler: MDMHeightfieldContactMotionSampler, features: MotionFeatures
) -> Float[Tensor, "frames features"]:
    """Return the smallest deviation that each feature may have: about what the noise on previous states spreads it by.

    By construction, the root of the last previous state deviates by nothing. Without a floor, a centimetre of noise would
    be a thousand deviations there.
    """
    spread = torch.zeros(sampler.num_frames, features.num_features)
    for name, effect in effects_of_noise(sampler, features).items():
        spread = torch.hypot(spread, getattr(sampler, name) * effect)
    return spread.clamp(min=SMALLEST_STD)


def refuse_more_noise(
    statistics: FeatureStatistics,
    sampler: MDMHeightfieldContactMotionSampler,
    features: MotionFeatures,
    source: str,
) -> None:
    """Check that a sampler's noise is no larger than the deviations of statistics that were made before.

    Args:
        statistics: of the features.
        sampler: whose noise it is.
        features: the layout of a frame.
        source: where the statistics are from, for messages.

    Raises:
        UserError: it is; names the setting and the largest scale that fits.
    """
    for name, effect in effects_of_noise(sampler, features).items():
        scale, changed = getattr(sampler, name), effect > 0
        smallest = float((statistics.std[changed] / effect[changed]).min())
        if scale > smallest * (1 + 1e-3):
            known = "for none" if smallest < 2 * SMALLEST_STD else f"for {smallest:.3g} at most"
            raise UserError(
                f"sampler.{name} is {scale}, but the statistics in {source} were made {known}: it would be "
                f"{scale / smallest:.3g} of their deviations; expected no more than they were made for; {FROM_SCRATCH}"
            )


def refuse_other_windows(
    statistics: FeatureStatistics, sampler: MDMHeightfieldContactMotionSampler, source: str
) -> None:
    """Check that statistics are of windows like a sampler's as far as their numbers show, whoever made them.

    The root of the last previous state is the origin of its window, or right above it where heights are relative to the
    floor. That shows another number of previous states and another style, but not another frame rate.

    Args:
        statistics: of the features.
        sampler: whose windows are to be standardised.
        source: where the statistics are from, for messages.

    Raises:
        UserError: they are of others; names the setting.
    """
    root = statistics.mean[sampler.num_previous - 1, :3]
    x, y, height = (round(number, 3) for number in root.tolist())
    if max(abs(x), abs(y)) > AT_THE_ORIGIN:
        raise UserError(
            f"sampler.num_previous_states is {sampler.num_previous}, but the statistics in {source} have the root of that "
            f"frame at x {x}, y {y} m on average; expected 0, as it is the origin of a window. Give the number of the run "
            f"that they are from; {FROM_SCRATCH}"
        )
    style = sampler.relative_z_style
    if (abs(height) > AT_THE_ORIGIN) != (style is RelativeZStyle.RELATIVE_TO_ROOT_FLOOR):
        other = next(each for each in RelativeZStyle if each is not style)
        raise UserError(
            f"sampler.relative_z_style is {style.value}, but the statistics in {source} are of {other.value}: they have the "
            f"root of the last previous state at a height of {height} m on average; expected the same style; {FROM_SCRATCH}"
        )


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
