"""Previews of a model that trains: a few motions that it rolls out over some kinds of terrain, in one moving picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.motion_generator.trained_model import TrainedModel
from parc.motion_synthesis.candidates import paths_of
from parc.motion_synthesis.clips_of_motions import clip_of_motion
from parc.motion_synthesis.rollout import Rollout
from parc.pictures.film_files import write_film
from parc.pictures.moving_picture import MOST_CLIPS, film_of_clips
from parc.stages.randomness import generator_for, seed_of
from parc.terrain.path_planner import PathPlanner, PlannedPath, terrain_with_path
from parc.terrain.terrain_generator import TerrainGenerator

# Small and coarse, since training waits for it.
CELL_SIZE = (320, 240)  # pixels, of each motion
HIGHEST_RATE = 10.0  # frames a second


@dataclass(frozen=True)
class RolloutPreview:
    """Shows motions as they come out of the rollout. Terrains, paths and noise are the same for every model.

    Attributes:
        every_checkpoints: of how many checkpoints one is shown; the end of training always is.
        paths: of each kind of terrain, with `rollout.candidates` motions each.
        seed: of terrains, paths and noise.
        max_terrains: how many terrains are drawn for a path before the preview is given up.
        terrains: what the motions go over, by the name of the kind.
        path: where they go.
        rollout: how they are made.
    """

    every_checkpoints: int
    paths: int
    seed: int
    max_terrains: int
    terrains: dict[str, TerrainGenerator]
    path: PathPlanner
    rollout: Rollout

    def __post_init__(self) -> None:
        for name, least in (("every_checkpoints", 1), ("paths", 1), ("seed", 0), ("max_terrains", 1)):
            if getattr(self, name) < least:
                raise UserError(f"preview.{name} is {getattr(self, name)}, expected at least {least}")
        count = len(self.terrains) * self.paths * self.rollout.candidates
        if not 1 <= count <= MOST_CLIPS:
            raise UserError(
                f"preview: {len(self.terrains)} terrains x {self.paths} paths x {self.rollout.candidates} candidates are {count} "
                f"motions, expected 1 to {MOST_CLIPS} in a moving picture"
            )

    def is_due(self, number: int, is_last: bool) -> bool:
        """Say whether a checkpoint, numbered from 1, is to be shown."""
        return is_last or number % self.every_checkpoints == 0

    def draw(self, model: TrainedModel, title: str, path: Path) -> None:
        """Roll out the motions of a model and write them as a moving picture.

        Args:
            model: on the device that computes.
            title: of the picture.
            path: of the picture (see `write_film`).

        Raises:
            UserError: the rollout does not fit the model, a terrain has no path, or the file cannot be written.
        """
        clips, character = self.motions(model), model.character.to("cpu")
        write_film(film_of_clips(clips, character, title, size=CELL_SIZE, highest_rate=HIGHEST_RATE), path)

    def motions(self, model: TrainedModel) -> list[MotionClip]:
        """Return the motions, kind by kind, path by path; their names say which they are and whether they arrived.

        Raises:
            UserError: the rollout does not fit the model, or a terrain has no path.
        """
        self.rollout.check_with_model(model)
        of_paths = [(kind, number) for kind in self.terrains for number in range(self.paths)]
        planned = [self._planned(kind, number) for kind, number in of_paths]
        candidates = range(self.rollout.candidates)
        generators = [
            generator_for(self.seed, f"noise of candidate {candidate} of a preview over {kind}", number)
            for kind, number in of_paths
            for candidate in candidates
        ]
        which = torch.arange(len(planned), device=model.device).repeat_interleave(len(candidates))
        motions = self.rollout.roll_out(model, paths_of(planned, model.device), which, generators)
        clips = []
        for place, path in enumerate(which.tolist()):
            kind, number = of_paths[path]
            end = "arrived" if motions.finished[place] else "did not arrive"
            name = f"{kind} {number}, {end}"
            clips.append(clip_of_motion(name, motions.frames_of(place), planned[path], model.fps))
        return clips

    def _planned(self, kind: str, number: int) -> PlannedPath:
        random = np.random.default_rng(seed_of(self.seed, f"terrain and path of a preview over {kind}", number))
        return terrain_with_path(self.terrains[kind], self.path, random, self.max_terrains)
