"""Measuring the motions that a model makes along paths, or those of clips, a group at a time."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from parc.anim.character import Character
from parc.anim.making import Making
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import BodyPoints, surface_points
from parc.evaluation.measured_paths import MeasuredPath, known_numbers
from parc.evaluation.measuring import Measured, diversity, measured
from parc.evaluation.settings import EvaluateSettings
from parc.motion_generator.trained_model import TrainedModel
from parc.motion_synthesis.candidates import Candidates, batch_of, paths_of
from parc.motion_synthesis.clips_of_motions import clip_of_motion
from parc.stages.randomness import generator_for, seed_of
from parc.terrain.heightfield import laid_end_to_end
from parc.terrain.path_planner import PlannedPath, terrain_with_path


def planned_path(settings: EvaluateSettings, kind: str, number: int) -> PlannedPath:
    """Return a path of a kind with its terrain: a function of the settings but for those of the model.

    Raises:
        UserError: there is none.
    """
    random = np.random.default_rng(seed_of(settings.seed, f"terrain and path of {kind}", number))
    return terrain_with_path(settings.terrains[kind], settings.path, random, settings.max_terrains)


@dataclass(frozen=True)
class ModelMotions:
    """Makes a model's motions along paths and measures them; each group depends on settings, model and its paths alone.

    Attributes:
        settings: of the evaluation.
        model: on the device that computes.
        digest: SHA-256 of the model's file.
    """

    settings: EvaluateSettings
    model: TrainedModel
    digest: str

    def measure(self, kind: str, numbers: range) -> tuple[list[MeasuredPath], list[MotionClip]]:
        """Return what was measured of each path, and the first candidate of each as it came out of the rollout.

        Raises:
            UserError: there is no such path.
        """
        settings, candidates = self.settings, self.settings.rollout.candidates
        planned = [planned_path(settings, kind, number) for number in numbers]
        ways = paths_of(planned, self.model.device)
        which = torch.arange(len(numbers), device=self.model.device).repeat_interleave(candidates)
        generators = [
            generator_for(settings.seed, f"noise of candidate {candidate} over {kind}", number)
            for number in numbers
            for candidate in range(candidates)
        ]
        began = time.perf_counter()
        motions = settings.rollout.roll_out(self.model, ways, which, generators)
        if self.model.device.type == "cuda":
            torch.cuda.synchronize(self.model.device)
        seconds = (time.perf_counter() - began) / len(numbers)
        found = measured(
            motions, ways.last_nodes[which], ways.terrains, self.model.character, self._surface, self.model.fps,
            settings.rollout.feet, settings.selection, settings.clean,
        )  # fmt: skip
        paths, clips = [], []
        for place, (number, way) in enumerate(zip(numbers, planned, strict=True)):
            rows = slice(place * candidates, (place + 1) * candidates)
            spread = {"diversity": diversity(found.frames.body_pos[rows], motions.exists[rows])}
            name = settings.motion_name(kind, number)
            its_motions = _motions_of(found, range(rows.start, rows.stop))
            paths.append(MeasuredPath(kind, number, False, name, its_motions, known_numbers(spread), seconds))
            clips.append(self._clip(name, number, motions, found, rows.start, way))
        return paths, clips

    @cached_property
    def _surface(self) -> BodyPoints:
        return surface_points(self.model.character).to(self.model.device)

    def _clip(
        self, name: str, number: int, motions: Candidates, found: Measured, row: int, planned: PlannedPath
    ) -> MotionClip:
        losses = {"penetration": found.values["tpl"], "contact": found.values["tcl"], "total": found.loss}
        made = Making(
            model=str(self.model.path),
            model_digest=self.digest,
            seed=self.settings.seed,
            number=number,
            rollout=0,
            candidate=0,
            guidance_scale=self.settings.rollout.guidance_scale,
            losses={loss: float(values[row]) for loss, values in losses.items()},
        )
        return dataclasses.replace(clip_of_motion(name, motions.frames_of(row), planned, self.model.fps), made=made)


def measure_clips(
    clips: Mapping[int, MotionClip],
    kinds: Mapping[int, str],
    settings: EvaluateSettings,
    character: Character,
    device: torch.device,
    *,
    is_reference: bool,
) -> list[MeasuredPath]:
    """Measure clips as motions of a model are measured; what needs a path only of those that have one.

    Args:
        clips: by their numbers.
        kinds: the class of each.
        settings: of the evaluation.
        character: whose clips they are.
        device: that computes.
        is_reference: whether a model is compared with them.
    """
    surface, on_device = surface_points(character).to(device), character.to(device)
    paths = []
    for fps in sorted({clip.fps for clip in clips.values()}):
        some = {number: clip for number, clip in clips.items() if clip.fps == fps}
        motions, last_nodes = _as_motions(list(some.values()), settings, on_device, device)
        terrains = laid_end_to_end([clip.terrain for clip in some.values()]).to(device)
        feet = settings.rollout.feet
        found = measured(
            motions, last_nodes, terrains, on_device, surface, fps, feet, settings.selection, settings.clean
        )
        for place, (number, clip) in enumerate(some.items()):
            its_motions = _motions_of(found, range(place, place + 1))
            paths.append(
                MeasuredPath(kinds[number], number, is_reference, clip.name, its_motions, {"diversity": None}, 0.0)
            )
    return paths


def _as_motions(
    clips: list[MotionClip], settings: EvaluateSettings, character: Character, device: torch.device
) -> tuple[Candidates, Tensor]:
    """Return clips as a batch of motions, and where each one's path ends (metres, NaN where it has none)."""
    motions = batch_of([clip.frames.each(lambda values: values.to(device)) for clip in clips])
    nowhere = torch.full((3,), float("nan"))
    ends = [nowhere if (nodes := clip.path_nodes) is None or not len(nodes) else nodes[-1] for clip in clips]
    last_nodes = torch.stack(ends).to(device)
    finished = settings.rollout.have_arrived(character, motions.last_frames, last_nodes)
    return Candidates(motions.frames, motions.num_frames, finished, motions.path), last_nodes


def _motions_of(found: Measured, rows: range) -> list[dict[str, float | None]]:
    columns = {name: values[rows.start : rows.stop].tolist() for name, values in found.values.items()}
    return [known_numbers({name: column[place] for name, column in columns.items()}) for place in range(len(rows))]
