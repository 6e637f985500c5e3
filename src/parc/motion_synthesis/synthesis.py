"""From a model to clips, a group of motions at a time: paths, candidates, choosing, refinement, tidying, mirror images."""

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from parc.anim.frames import Frames
from parc.anim.making import Making
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import BodyPoints, surface_points
from parc.motion_generator.trained_model import TrainedModel
from parc.motion_synthesis.candidates import Candidates, Paths, batch_of, paths_of
from parc.motion_synthesis.clips_of_motions import clip_of_motion
from parc.motion_synthesis.generated import GeneratedGroup
from parc.motion_synthesis.motion_measures import measures_of
from parc.motion_synthesis.quality import quality_of
from parc.motion_synthesis.settings import GenerateSettings
from parc.stages.randomness import generator_for, seed_of
from parc.terrain.heightfield import Heightfields, laid_end_to_end
from parc.terrain.path_planner import NoPathError, PlannedPath, terrain_with_path


@dataclass(frozen=True)
class ChosenMotion:
    """A candidate that was chosen.

    Attributes:
        frames: as many as it has.
        planned: the path that it follows, and its terrain.
        rollout: which one of the rollouts of its path it is of, each over another terrain.
        candidate: its number among those of that rollout.
    """

    frames: Frames
    planned: PlannedPath
    rollout: int
    candidate: int


@dataclass(frozen=True)
class Synthesis:
    """Makes motions, a group at a time; each group depends on the settings, the model and its number alone.

    Attributes:
        settings: of the run.
        model: on the device that computes.
        model_digest: SHA-256 of the model's file.
    """

    settings: GenerateSettings
    model: TrainedModel
    model_digest: str

    def make(self, group: int) -> tuple[dict[int, MotionClip], GeneratedGroup]:
        """Return the clips of a group by their numbers, mirror images left out, and what is known of it.

        Raises:
            UserError: there can be no path over such terrain.
        """
        chosen, candidates, refused = self._choose(group)
        given_up = [number for number in self.settings.numbers_of(group) if number not in chosen]
        if not chosen:
            return {}, GeneratedGroup(
                seconds={}, candidates=candidates, refused=refused, given_up=given_up, before={}, after={}
            )
        motions, terrains = self._batch(list(chosen.values()))
        before = self._measured(motions, terrains)
        refined = self.settings.refinement.refine(
            motions, terrains, self.model.character, self._surface, self.model.fps
        )
        after = self._measured(refined, terrains)
        tidied = [
            self._tidied(self.settings.clip_name(number), refined.frames_of(place), motion)
            for place, (number, motion) in enumerate(chosen.items())
        ]
        losses = self._losses(tidied)
        clips = {
            number: dataclasses.replace(clip, made=self._making(number, motion, its_losses))
            for (number, motion), clip, its_losses in zip(chosen.items(), tidied, losses, strict=True)
        }
        seconds = {number: clip.seconds for number, clip in clips.items()}
        return clips, GeneratedGroup(seconds, candidates, refused, given_up, before, after)

    @cached_property
    def _surface(self) -> BodyPoints:
        return surface_points(self.model.character).to(self.model.device)

    def _choose(self, group: int) -> tuple[dict[int, ChosenMotion], int, dict[str, int]]:
        """Return the chosen motions of a group by their numbers, how many candidates there were, and why others were refused."""
        settings, keep = self.settings, self.settings.selection.keep
        paths = range(group * settings.paths_at_once, (group + 1) * settings.paths_at_once)
        chosen: dict[int, list[ChosenMotion]] = {path: [] for path in paths}
        refused, candidates = Counter[str](), 0
        for attempt in range(settings.max_rollouts):
            lacking = [path for path in paths if len(chosen[path]) < keep]
            found = {path: way for path in lacking if (way := self._planned(path, attempt)) is not None}
            without_way = (len(lacking) - len(found)) * settings.rollout.candidates
            candidates += without_way
            refused["no path"] += without_way
            if not found:
                continue
            lacking, planned = list(found), list(found.values())
            ways = paths_of(planned, self.model.device)
            motions = self._rolled_out(lacking, ways, attempt)
            quality = quality_of(motions, ways.terrains, self.model.character, self._surface, self.model.fps)
            places, counts = settings.selection.choose(motions, quality)
            refused.update(counts)
            candidates += len(motions.path)
            for place in places:
                index, candidate = divmod(place, settings.rollout.candidates)
                its_motions = chosen[lacking[index]]
                if len(its_motions) < keep:
                    its_motions.append(ChosenMotion(motions.frames_of(place), planned[index], attempt, candidate))
        numbered = {
            path * keep + rank: motion for path, motions in chosen.items() for rank, motion in enumerate(motions)
        }
        return numbered, candidates, {reason: count for reason, count in refused.items() if count}

    def _planned(self, path: int, attempt: int) -> PlannedPath | None:
        """Return a path with its terrain; None where none of many terrains has one."""
        random = np.random.default_rng(seed_of(self.settings.seed, f"terrain and path of rollout {attempt}", path))
        try:
            return terrain_with_path(self.settings.terrain, self.settings.path, random, self.settings.max_terrains)
        except NoPathError:
            return None

    def _rolled_out(self, paths: list[int], ways: Paths, attempt: int) -> Candidates:
        """Return the candidates of some paths, path after path."""
        numbers = range(self.settings.rollout.candidates)
        which = torch.arange(len(paths), device=self.model.device).repeat_interleave(len(numbers))
        generators = [
            generator_for(self.settings.seed, f"noise of candidate {number} of rollout {attempt}", path)
            for path in paths
            for number in numbers
        ]
        return self.settings.rollout.roll_out(self.model, ways, which, generators)

    def _batch(self, motions: list[ChosenMotion]) -> tuple[Candidates, Heightfields]:
        terrains = laid_end_to_end([motion.planned.terrain for motion in motions]).to(self.model.device)
        return batch_of([motion.frames for motion in motions]), terrains

    def _measured(self, motions: Candidates, terrains: Heightfields) -> dict[str, float]:
        """Return means over motions of what is measured of them; what none of them has, such as contact, is left out."""
        feet = self.settings.rollout.feet
        measures = measures_of(motions, terrains, self.model.character, self._surface, self.model.fps, feet)
        means = {name: float(values.nanmean()) for name, values in vars(measures).items()}
        return {name: mean for name, mean in means.items() if math.isfinite(mean)}

    def _tidied(self, name: str, refined: Frames, motion: ChosenMotion) -> MotionClip:
        clip = clip_of_motion(name, refined, motion.planned, self.model.fps, unrefined=motion.frames)
        return self.settings.tidying.tidy(clip, self.model.character.to("cpu"), self._surface.to("cpu"))

    def _losses(self, clips: list[MotionClip]) -> list[dict[str, float]]:
        """Return what each clip that was tidied would be chosen by."""
        motions = batch_of([clip.frames.each(lambda values: values.to(self.model.device)) for clip in clips])
        terrains = laid_end_to_end([clip.terrain for clip in clips]).to(self.model.device)
        quality = quality_of(motions, terrains, self.model.character, self._surface, self.model.fps)
        total = self.settings.selection.loss_of(motions, quality)
        return [
            {"penetration": penetration, "contact": contact, "total": loss}
            for penetration, contact, loss in zip(
                quality.penetration.tolist(), quality.contact.tolist(), total.tolist(), strict=True
            )
        ]

    def _making(self, number: int, motion: ChosenMotion, losses: dict[str, float]) -> Making:
        settings = self.settings
        return Making(
            model=str(self.model.path),
            model_digest=self.model_digest,
            seed=settings.seed,
            number=number,
            rollout=motion.rollout,
            candidate=motion.candidate,
            guidance_scale=settings.rollout.guidance_scale,
            losses=losses,
        )
