"""The sampler: windows of motion clips with the terrain around them, as the denoiser is trained on them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.anim.character import Character
from parc.anim.dataset import ClipEntry, ClipLimits
from parc.anim.frames import Frames
from parc.anim.heldout_clips import HeldoutSplit
from parc.anim.library_cache import PreparedClips, open_prepared_clips
from parc.anim.motion_library import MotionLibrary, runs
from parc.anim.rotations import heading
from parc.configuration.errors import UserError
from parc.configuration.schema import MayChange, OutputFolder
from parc.motion_generator.canonical_frame import RelativeZStyle, canonical_frames, frames_to_canonical
from parc.motion_generator.denoiser import MAX_HEIGHT
from parc.motion_generator.height_error import NO_HEIGHT_ERROR, HeightError
from parc.motion_generator.heightmap_augmentation import HeightmapAugmentation
from parc.motion_generator.local_heightmap import HeightmapGrid, local_heightmaps_with_bounds


@dataclass(frozen=True)
class TargetSettings:
    """How a window's target, a later root position of its clip, is drawn.

    Attributes:
        min_seconds_ahead: earliest time of the target after the window's start.
        max_extra_seconds: a uniform share of this (or of what is left of the clip) is added.
        noise: standard deviation added to the target's position, metres.
        near: nearer targets give no direction of movement, metres.
        turning: heading there (radians) from which on a near target gives the direction of the heading instead.
    """

    min_seconds_ahead: float
    max_extra_seconds: float
    noise: float
    near: float
    turning: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise UserError(f"sampler.target.{name} is {value}, expected 0 or more")
        if self.noise > self.near:
            # Who stands would be given a direction, drawn at random, that the motion does not follow.
            raise UserError(
                f"sampler.target.noise is {self.noise}, expected at most sampler.target.near = {self.near} m"
            )


@dataclass(frozen=True)
class MotionWindows:
    """A batch of training samples, in their canonical frames: the last previous state at the origin, at heading 0.

    Where previous states are given with noise, it is the noisy one that is there: the frame in which a motion is generated
    is that of the state that it goes on from, whatever is wrong with that state.

    Attributes:
        clips: index of each window's clip.
        starts: time of each window's first frame, seconds.
        origin, turn: where its canonical frame is (world, metres) and looks (radians).
        frames: the motion.
        heightmap: local heights, relative as `RelativeZStyle` says, clamped to +-3 m, metres.
        target_direction: unit x, y direction to the target, or zeros.
        previous: the first frames with noise, as they are given to the denoiser; None where they are given as they are.
    """

    clips: Int[Tensor, " batch"]
    starts: Float[Tensor, " batch"]
    origin: Float[Tensor, "batch 3"]
    turn: Float[Tensor, " batch"]
    frames: Frames
    heightmap: Float[Tensor, "batch rows columns"]
    target_direction: Float[Tensor, "batch 2"]
    previous: Frames | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> "MotionWindows":
        """Return this batch with every tensor changed."""
        return MotionWindows(
            change(self.clips),
            change(self.starts),
            change(self.origin),
            change(self.turn),
            self.frames.each(change),
            change(self.heightmap),
            change(self.target_direction),
            None if self.previous is None else self.previous.each(change),
        )

    def to(self, device: torch.device) -> "MotionWindows":
        """Return this batch on `device`."""
        return self.each(lambda value: value.to(device, non_blocking=True))


@dataclass(frozen=True)
class WindowDraws:
    """The random numbers of a batch of windows; the batch is the first axis of each.

    Without those of the augmentation, or of the noise on previous states, the clips' own terrain and states are given.
    """

    clips: Int[Tensor, " batch"]
    starts: Float[Tensor, " batch"]
    target_share: Float[Tensor, " batch"]
    target_noise: Float[Tensor, "batch 3"]
    height_error: Float[Tensor, " batch"]
    previous_noise: dict[str, Tensor]
    augmentation: dict[str, Tensor]

    def part(self, first: int, last: int) -> "WindowDraws":
        """Return the draws of samples `first` to `last` - 1."""
        return WindowDraws(
            self.clips[first:last],
            self.starts[first:last],
            self.target_share[first:last],
            self.target_noise[first:last],
            self.height_error[first:last],
            {name: values[first:last] for name, values in self.previous_noise.items()},
            {name: values[first:last] for name, values in self.augmentation.items()},
        )


class MDMHeightfieldContactMotionSampler:
    """Draws windows of clips by weight, in canonical frames, with local heightmaps and targets. All batched.

    Args:
        num_frames: frames of a window.
        num_previous_states: frames of it that come before what is generated; the last of them is the canonical frame.
        fps: frames a second of a window.
        relative_z_style: what heights are relative to.
        heightmap: the points of the local heightmap.
        target: how targets are drawn.
        augmentation: how heightmaps are changed.
        angle_noise_scale: std of the noise on the rotations of the previous states given as a condition, radians. Features
            that it changes have statistics with no smaller deviation.
        pos_noise_scale: std of the noise on their root positions, metres, likewise.
        height_error: how often windows begin too high or too low.
        sampler_save_folder: where the prepared data of clips is kept, a file for each set of clips; runs may share it.
    """

    library: MotionLibrary
    clip_names: list[str]
    clip_classes: list[str]
    heldout: list[bool]
    training_clips: Int[Tensor, " training"]
    heldout_clips: Int[Tensor, " heldout"]

    def __init__(
        self,
        num_frames: int,
        num_previous_states: int,
        fps: float,
        relative_z_style: RelativeZStyle,
        heightmap: HeightmapGrid,
        target: TargetSettings,
        augmentation: HeightmapAugmentation,
        angle_noise_scale: float,
        pos_noise_scale: float,
        sampler_save_folder: MayChange[OutputFolder],
        height_error: HeightError = NO_HEIGHT_ERROR,  # as older configs were, which have no such key
    ) -> None:
        if not 1 <= num_previous_states < num_frames:
            raise UserError(
                f"sampler.num_previous_states is {num_previous_states}, expected 1 to num_frames - 1 = {num_frames - 1}"
            )
        if fps <= 0:
            raise UserError(f"sampler.fps is {fps}, expected frames a second above 0")
        for name, scale in (("angle_noise_scale", angle_noise_scale), ("pos_noise_scale", pos_noise_scale)):
            if scale < 0:
                raise UserError(f"sampler.{name} is {scale}, expected 0 or more")
        generated = num_frames - num_previous_states
        if height_error.chance and height_error.frames > generated:
            raise UserError(
                f"sampler.height_error.frames is {height_error.frames}, expected at most the {generated} frames of a window that "
                "are generated"
            )
        self.num_frames = num_frames
        self.num_previous = num_previous_states
        self.fps = fps
        self.relative_z_style = relative_z_style
        self.grid = heightmap
        self.target = target
        self.augmentation = augmentation
        self.angle_noise_scale = angle_noise_scale
        self.pos_noise_scale = pos_noise_scale
        self.height_error = height_error
        self.save_folder = Path(sampler_save_folder)
        self.window_times = torch.arange(num_frames) / fps

    @property
    def window_seconds(self) -> float:
        """Time from a window's first to its last frame, seconds."""
        return (self.num_frames - 1) / self.fps

    def prepare(
        self,
        entries: list[ClipEntry],
        limits: ClipLimits,
        character: Character,
        split: HeldoutSplit = HeldoutSplit(),  # noqa: B008 (immutable)
    ) -> PreparedClips:
        """Open the clips' prepared data (see `open_prepared_clips`), sample from it, and return it.

        Args:
            entries: the clips.
            limits: which clips are left out.
            character: whose clips they are.
            split: what earlier training says about which clips are held out.
        """
        prepared = open_prepared_clips(self.save_folder, entries, limits, character, self.window_seconds)
        self.use_library(prepared.library, prepared.names, prepared.classes, split.of(prepared.names))
        return prepared

    def use_library(self, library: MotionLibrary, names: list[str], classes: list[str], heldout: list[bool]) -> None:
        """Sample from a library at hand."""
        self.library, self.clip_names, self.clip_classes, self.heldout = library, names, classes, heldout
        self.training_clips = torch.tensor([index for index, out in enumerate(heldout) if not out], dtype=torch.long)
        self.heldout_clips = torch.tensor([index for index, out in enumerate(heldout) if out], dtype=torch.long)
        self._last_starts = library.last_starts(self.window_seconds)
        self._cumulative_weights = library.weights[self.training_clips].cumsum(0)

    def draw(self, generator: torch.Generator, batch: int) -> WindowDraws:
        """Draw clips by weight, with replacement, and a window of each, every start that fits being as likely."""
        pick = torch.rand(batch, generator=generator, dtype=torch.float64) * self._cumulative_weights[-1]
        place = torch.searchsorted(self._cumulative_weights, pick, right=True)
        clips = self.training_clips[place.clamp(max=len(self.training_clips) - 1)]
        starts = torch.rand(batch, generator=generator) * self._last_starts[clips]
        return self._draw_around(generator, clips, starts)

    def _draw_around(
        self, generator: torch.Generator, clips: Int[Tensor, " batch"], starts: Float[Tensor, " batch"]
    ) -> WindowDraws:
        batch, joints = len(clips), self.library.joint_rot.shape[1]
        target_share = torch.rand(batch, generator=generator)
        target_noise = torch.randn(batch, 3, generator=generator) * self.target.noise
        height_error = self.height_error.draw(generator, batch)
        previous_noise = {}
        if self.angle_noise_scale or self.pos_noise_scale:
            size = (batch, self.num_previous)
            previous_noise = {
                "root_pos": torch.randn(*size, 3, generator=generator) * self.pos_noise_scale,
                "root_rot": torch.randn(*size, 3, generator=generator) * self.angle_noise_scale,
                "joint_rot": torch.randn(*size, joints, 3, generator=generator) * self.angle_noise_scale,
            }
        augmentation = self.augmentation.draw(generator, batch, self.grid.shape)
        return WindowDraws(clips, starts, target_share, target_noise, height_error, previous_noise, augmentation)

    def draw_nothing(self, clips: Int[Tensor, " batch"], starts: Float[Tensor, " batch"]) -> WindowDraws:
        """Return draws of windows as they are: the clips' own terrain, no noise, and targets half as far ahead as they may be.

        Args:
            clips: index of each window's clip.
            starts: time of each window's first frame, seconds.
        """
        share, nothing = torch.full((len(clips),), 0.5), torch.zeros(len(clips))
        return WindowDraws(clips, starts, share, torch.zeros(len(clips), 3), nothing, {}, {})

    def windows(self, draws: WindowDraws) -> MotionWindows:
        """Make the windows that were drawn."""
        clips, starts = draws.clips, draws.starts
        target_times = self.target_times(clips, starts, draws.target_share)
        # A window's target is read with it, as one frame more.
        times = torch.cat([starts[:, None] + self.window_times, target_times[:, None]], dim=1)
        world = self.library.frames_at(clips, times)
        world = self.height_error.put_in(world, draws.height_error, self.num_previous)
        given = world.part(0, self.num_previous)
        if draws.previous_noise:
            given = with_noise(given, draws.previous_noise)
        origin, turn = self.canonical_frames(clips, given.root_pos, given.root_rot)
        canonical = frames_to_canonical(world, origin, turn)
        frames, ahead = canonical.part(0, self.num_frames), canonical.part(self.num_frames, self.num_frames + 1)
        heightmap, bounds = local_heightmaps_with_bounds(
            self.library, self.grid, clips, starts, starts + self.window_seconds, origin, turn
        )
        if draws.augmentation:
            heightmap = self.augmentation.change(heightmap, bounds, draws.augmentation)
        heightmap = heightmap.clamp(-MAX_HEIGHT, MAX_HEIGHT)
        target = direction_to(
            (ahead.root_pos[:, 0] + draws.target_noise)[:, :2],
            heading(ahead.root_rot[:, 0]),
            self.target.near,
            self.target.turning,
        )
        previous = frames_to_canonical(given, origin, turn) if draws.previous_noise else None
        return MotionWindows(clips, starts, origin, turn, frames, heightmap, target, previous)

    def canonical_frames(
        self,
        clips: Int[Tensor, " batch"],
        root_pos: Float[Tensor, "batch frames 3"],
        root_rot: Float[Tensor, "batch frames 4"],
    ) -> tuple[Float[Tensor, "batch 3"], Float[Tensor, " batch"]]:
        """Return origin (world, metres) and heading (radians) of the canonical frame of windows, given in the world."""
        last_previous = self.num_previous - 1
        pose = root_pos[:, last_previous], root_rot[:, last_previous]
        return canonical_frames(self.relative_z_style, self.library.terrains, clips, *pose)

    def target_times(
        self, clips: Int[Tensor, " batch"], starts: Float[Tensor, " batch"], share: Float[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """Return the time of each window's target, a later root position of its clip, seconds.

        Args:
            clips: index of each window's clip.
            starts: time of each window's first frame, seconds.
            share: 0..1, how far into the span of times the target lies.
        """
        length, wraps = self.library.seconds[clips], self.library.wraps[clips]
        span = torch.where(
            wraps, self.target.max_extra_seconds, (length - starts).clamp(max=self.target.max_extra_seconds)
        )
        time = starts + self.target.min_seconds_ahead + share * span
        return torch.where(wraps, time, torch.minimum(time, length))

    def count_starts(self, clips: Int[Tensor, " some"]) -> Int[Tensor, " some"]:
        """Return how many windows of each clip begin on the grid of frames, the last one included."""
        fits = (self.library.seconds[clips] - self.window_seconds) * self.fps
        return torch.floor(fits + 1e-3).long().clamp(min=0) + 1

    def all_starts(self, clips: Int[Tensor, " some"]) -> tuple[Int[Tensor, " windows"], Float[Tensor, " windows"]]:
        """Return clip and start of every window on the grid of frames, the last one of each clip included."""
        counts = self.count_starts(clips)
        return clips.repeat_interleave(counts), runs(torch.zeros_like(counts), counts) / self.fps


def direction_to(
    position: Float[Tensor, "batch 2"], heading_there: Float[Tensor, " batch"], near: float, turning: float
) -> Float[Tensor, "batch 2"]:
    """Return the unit direction to `position` (metres); near ones give that of the heading there, or (0, 0) if it is small.

    Args:
        position: x, y in the canonical frame, metres.
        heading_there: radians.
        near: metres.
        turning: heading, either way, from which on it counts, radians.
    """
    distance = torch.linalg.norm(position, dim=-1, keepdim=True)
    towards = position / distance.clamp(min=1e-9)
    facing = torch.stack([torch.cos(heading_there), torch.sin(heading_there)], dim=-1)
    facing = torch.where((heading_there.abs() >= turning)[:, None], facing, 0.0)
    return torch.where(distance < near, facing, towards)


def with_noise(frames: Frames, noise: dict[str, Tensor]) -> Frames:
    """Return frames with noise on root positions (metres) and on rotations (rotation vectors, radians)."""
    return Frames(
        frames.root_pos + noise["root_pos"],
        roma.quat_product(roma.rotvec_to_unitquat(noise["root_rot"]), frames.root_rot),
        roma.quat_product(roma.rotvec_to_unitquat(noise["joint_rot"]), frames.joint_rot),
        frames.contacts,
    )
