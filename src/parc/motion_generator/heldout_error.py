"""How far a denoiser is off on held-out clips, in physical units, and whether it looks at its terrain and its target.

The measure is the same for every run, whatever it trains with: windows of the clips' own terrain, every condition given, and
windows, timesteps and noise that are fixed for each clip. So other clips, losses, augmentations or chances to drop a condition
change nothing in it, and runs can be compared by it. What it cannot say is how motions hold when one window follows another.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from parc.anim.heldout_clips import place_of
from parc.anim.rotations import angle_between
from parc.anim.surface_points import surface_points
from parc.motion_generator.canonical_frame import to_world
from parc.motion_generator.denoiser import MAX_HEIGHT
from parc.motion_generator.features import PosedMotion
from parc.motion_generator.mdm import MDM, DiffusionDraws
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import (
    MDMHeightfieldContactMotionSampler,
    MotionWindows,
)
from parc.stages.metrics import HELDOUT_ERROR, HELDOUT_PREFIX, TARGET_SENSITIVITY, TERRAIN_SENSITIVITY
from parc.stages.randomness import generator_for
from parc.terrain.heightfield import Heightfields
from parc.terrain.signed_distance import signed_distance_below_ground

WINDOWS_A_CLIP = 8
CLIPS_AT_ONCE = 8
MOST_CLIPS = 128  # of more, those whose names have the lowest hashes: new clips push out few
NOISE_SHARES = (0.1, 0.4, 1.0)  # timesteps, as a share of the last one: the same noise whatever their number
UNEVEN = 0.05  # metres, on average: maps that differ by less cannot show whether the denoiser looks at them
RAISED = 0.15  # metres by which all ground is raised, to see whether the motion follows it
IN_CONTACT = 0.5  # labels from here on

Errors = dict[str, Float[Tensor, " batch"]]  # of each window, by name; NaN where a window cannot show it

SLIDING = "sliding"
BODY_POSITION, *_RATIOS = (
    column.removeprefix(HELDOUT_PREFIX) for column in (HELDOUT_ERROR, TERRAIN_SENSITIVITY, TARGET_SENSITIVITY)
)


@dataclass(frozen=True)
class FixedWindows:
    """Windows of some held-out clips.

    Attributes:
        windows: with the clips' own terrain, and all conditions as they are; on the device of the model.
        noise: of each window, the same at every timestep; likewise.
        other_heightmaps: of each window's clip, the heightmap of that other window which differs most; likewise.
        is_uneven: whether the two differ enough to show whether the denoiser looks at them.
    """

    windows: MotionWindows
    noise: Float[Tensor, "batch frames features"]
    other_heightmaps: Float[Tensor, "batch rows columns"]
    is_uneven: Bool[Tensor, " batch"]


class HeldoutError:
    """The error of a denoiser on the held-out clips of a sampler; there may be none.

    Args:
        sampler: whose held-out clips are measured on.
        model: whose features are measured, on its device.
    """

    def __init__(self, sampler: MDMHeightfieldContactMotionSampler, model: MDM) -> None:
        self.fps = sampler.fps
        self.first_generated = sampler.num_previous
        last = model.diffusion.timesteps - 1
        self.timesteps = sorted({round(share * last) for share in NOISE_SHARES})
        clips = _clips_to_measure_on(sampler)
        self.parts = [_fixed_windows(sampler, some, model) for some in clips.split(CLIPS_AT_ONCE)] if len(clips) else []
        if self.parts:
            self.terrains: Heightfields = sampler.library.terrains
            self.surface = surface_points(model.features.character.to("cpu"))

    @torch.no_grad()
    def measure(self, model: MDM, denoiser: nn.Module) -> dict[str, float]:
        """Return what a denoiser makes of noisy windows, figures by name; nothing where no clips are held out.

        Means over all windows, and over the generated frames of each:
            body_position, root_position: how far all bodies, or the root, are from where they should be, metres.
            joint_angle: angle between the joints' rotations and what they should be, radians.
            contacts: difference of contact labels, 0..1.
            sliding: speed along the ground of bodies that are in contact in the true motion, metres/s.
            penetration: depth of the deepest surface point below the clip's ground, metres.
            ground_response: how much higher the root is where all ground is raised, as a share of how much it is raised.
        And body_position under another condition, over that under a window's own:
            terrain_sensitivity: the heightmap of another window of its clip, over windows where the two differ.
            target_sensitivity: the target turned left by a right angle, over windows that have one.
        A ratio of 1 says that the denoiser does not look. What no window can show is left out. The means are over all
        timesteps; `timestep_T/NAME` are those at one.

        Args:
            model: its features, statistics and noise.
            denoiser: used in place of the model's own, without dropout.
        """
        if not self.parts:
            return {}
        with _denoising_with(model, denoiser):
            at_timesteps = [self._errors_at(model, timestep) for timestep in self.timesteps]
        figures = _figures({name: torch.cat([each[name] for each in at_timesteps]) for name in at_timesteps[0]})
        for timestep, errors in zip(self.timesteps, at_timesteps, strict=True):
            figures |= {f"timestep_{timestep}/{name}": figure for name, figure in _figures(errors).items()}
        return figures

    def _errors_at(self, model: MDM, timestep: int) -> Errors:
        parts = [self._errors(model, part, timestep) for part in self.parts]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _errors(self, model: MDM, fixed: FixedWindows, timestep: int) -> Errors:
        own = fixed.windows
        true = model.features.posed(own.frames)
        predicted = _predicted(model, fixed, own, true, timestep)
        errors = self._terms(predicted, true, fixed)
        target = own.target_direction
        left = torch.stack([-target[:, 1], target[:, 0]], dim=-1)
        changes = (
            (replace(own, heightmap=fixed.other_heightmaps), fixed.is_uneven),
            (replace(own, target_direction=left), target.any(-1)),
        )
        for ratio, (changed, shows) in zip(_RATIOS, changes, strict=True):
            distance = self._distance(_predicted(model, fixed, changed, true, timestep), true)
            errors[ratio] = torch.where(shows.cpu(), distance, torch.nan)
        raised = replace(own, heightmap=(own.heightmap + RAISED).clamp(-MAX_HEIGHT, MAX_HEIGHT))
        higher = _predicted(model, fixed, raised, true, timestep).root_pos - predicted.root_pos
        errors["ground_response"] = higher[:, self.first_generated :, 2].mean(1).cpu() / RAISED
        return errors

    def _distance(self, predicted: PosedMotion, true: PosedMotion) -> Float[Tensor, " batch"]:
        distances = torch.linalg.norm(predicted.body_pos - true.body_pos, dim=-1)
        return distances[:, self.first_generated :].flatten(1).mean(1).cpu()

    def _terms(self, predicted: PosedMotion, true: PosedMotion, fixed: FixedWindows) -> Errors:
        differences = {
            "root_position": torch.linalg.norm(predicted.root_pos - true.root_pos, dim=-1),
            "joint_angle": angle_between(predicted.joint_rot, true.joint_rot),
            "contacts": (predicted.contacts - true.contacts).abs(),
            "penetration": self._penetration(predicted, fixed),
        }
        means = {
            name: values[:, self.first_generated :].flatten(1).mean(1).cpu() for name, values in differences.items()
        }
        return {BODY_POSITION: self._distance(predicted, true), **means, SLIDING: self._sliding(predicted, true)}

    def _sliding(self, predicted: PosedMotion, true: PosedMotion) -> Float[Tensor, " batch"]:
        labels = true.contacts[:, self.first_generated :] >= IN_CONTACT
        held = labels[:, 1:] & labels[:, :-1]
        speeds = torch.linalg.norm(predicted.body_pos[:, self.first_generated :, :, :2].diff(dim=1), dim=-1) * self.fps
        return torch.where(held, speeds, torch.nan).flatten(1).nanmean(1).cpu()

    def _penetration(self, predicted: PosedMotion, fixed: FixedWindows) -> Float[Tensor, "batch frames"]:
        """Return the depth of the deepest surface point below the clip's ground, metres."""
        points = self.surface.placed(predicted.body_pos.cpu(), predicted.body_rot.cpu())
        in_world = to_world(points.flatten(1, 2), fixed.windows.origin.cpu(), fixed.windows.turn.cpu())
        depths = -signed_distance_below_ground(in_world, self.terrains, fixed.windows.clips.cpu())
        return depths.unflatten(1, points.shape[1:3]).amax(2)


def _clips_to_measure_on(sampler: MDMHeightfieldContactMotionSampler) -> Int[Tensor, " clips"]:
    clips = sampler.heldout_clips.tolist()
    lowest = sorted(clips, key=lambda clip: place_of(sampler.clip_names[clip]))
    return torch.tensor(sorted(lowest[:MOST_CLIPS]), dtype=torch.long)


def _fixed_windows(
    sampler: MDMHeightfieldContactMotionSampler, clips: Int[Tensor, " clips"], model: MDM
) -> FixedWindows:
    shares = torch.linspace(0, 1, WINDOWS_A_CLIP)
    starts = (sampler.library.last_starts(sampler.window_seconds)[clips, None] * shares).flatten()
    clip_of_window = clips.repeat_interleave(WINDOWS_A_CLIP)
    windows = sampler.windows(sampler.draw_nothing(clip_of_window, starts))
    size = (WINDOWS_A_CLIP, *model.mean.shape)
    noise = torch.cat(
        # The seed is no setting: every run measures with the same noise.
        [torch.randn(size, generator=generator_for(0, f"held-out {sampler.clip_names[clip]}", 0)) for clip in clips]
    )
    maps = windows.heightmap.unflatten(0, (-1, WINDOWS_A_CLIP))
    differences = (maps[:, :, None] - maps[:, None]).abs().mean((-1, -2))
    difference, other = differences.max(2)
    others = maps.gather(1, other[..., None, None].expand_as(maps)).flatten(0, 1)
    device = model.mean.device
    return FixedWindows(windows.to(device), noise.to(device), others.to(device), (difference > UNEVEN).flatten())


def _predicted(
    model: MDM, fixed: FixedWindows, windows: MotionWindows, true: PosedMotion, timestep: int
) -> PosedMotion:
    given = torch.ones(len(fixed.noise), dtype=torch.bool, device=fixed.noise.device)
    draws = DiffusionDraws(torch.full_like(given, timestep, dtype=torch.long), fixed.noise, given, given, given, given)
    return model.features.posed(model.predict(windows, true, draws))


def _figures(errors: Errors) -> dict[str, float]:
    """Return the mean of each error over the windows that can show it, and of those under other conditions the ratio."""
    figures = {}
    for name, values in errors.items():
        shown = ~values.isnan() if name in (*_RATIOS, SLIDING) else torch.ones_like(values, dtype=torch.bool)
        own = errors[BODY_POSITION][shown].sum() if name in _RATIOS else shown.sum()
        if own > 0:
            figures[name] = float(values[shown].sum() / own)
    return figures


@contextmanager
def _denoising_with(model: MDM, denoiser: nn.Module) -> Iterator[None]:
    """Let the model use another denoiser for a while, without dropout."""
    own, model.denoiser = model.denoiser, denoiser  # type: ignore[assignment]
    model.denoiser.eval()
    try:
        yield
    finally:
        model.denoiser = own
