"""Asking a model for motions to places: what is asked for, and how it is answered."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.frames import Frames
from parc.configuration.composing import pieces_of_option
from parc.configuration.pieces import make
from parc.motion_generator.trained_model import TrainedModel
from parc.motion_synthesis.clips_of_motions import clip_of_motion
from parc.motion_synthesis.continuing import Continuation, ways_to_go_on
from parc.motion_synthesis.refinement import Refiner
from parc.motion_synthesis.rollout import Rollout
from parc.motion_synthesis.selection import Selection
from parc.pictures.palette import CONTACT, SERIES
from parc.stages.randomness import seed_of
from parc.studio.motion_list import Version
from parc.terrain.heightfield import Heightfield
from parc.terrain.path_planner import PathPlanner, PlannedPath
from parc.terrain.shortest_path import ShortestPath
from parc.terrain.way_to_places import way_to_places
from parc.terrain.waypoints import straight_way

COLOURS = tuple(colour for colour in SERIES if colour != CONTACT)  # of candidates


@dataclass(frozen=True)
class Pieces:
    """What makes motions, with the settings of `python -m parc.generate`.

    Attributes:
        rollout: how they are rolled out.
        selection: by what they are put in order.
        refinement: how they are mended.
        path: how ways are planned.
    """

    rollout: Rollout
    selection: Selection
    refinement: Refiner
    path: ShortestPath


def default_pieces() -> Pieces:
    """Return the pieces that `python -m parc.generate` has where nothing else is asked for."""
    config = pieces_of_option("generate", [], ["rollout", "selection", "refinement", "path"])
    kinds = {"rollout": Rollout, "selection": Selection, "refinement": Refiner, "path": PathPlanner}
    made = {name: make(config[name], kind, name) for name, kind in kinds.items()}
    return Pieces(made["rollout"], made["selection"], made["refinement"], cast("ShortestPath", made["path"]))


@dataclass(frozen=True)
class MotionRequest:
    """A motion that is asked for.

    Attributes:
        terrain: it is to go over.
        places: x, y of where it is to go, in order (world, metres); the first is where it is or begins.
        so_far: what it is to go on from; None for a motion that begins at the first place.
        straight: whether the way is straight from place to place, whatever lies between; otherwise one is planned.
        seed: of all randomness.
        step: another number gives other candidates.
    """

    terrain: Heightfield
    places: Float[Tensor, "places 2"]
    so_far: Frames | None
    straight: bool
    seed: int
    step: int

    def planned(self, pieces: Pieces) -> PlannedPath:
        """Return the way.

        Raises:
            UserError: there is none, or a place lies beside the terrain.
        """
        if self.straight:
            return straight_way(self.terrain, self.places)
        random = np.random.default_rng(seed_of(self.seed, "way to places", self.step))
        return way_to_places(self.terrain, self.places, pieces.path.moves, pieces.path.costs, random)


@dataclass(frozen=True)
class Candidate:
    """A motion that answers a request.

    Attributes:
        version: to be shown.
        description: its number, and in a few words how good it is.
    """

    version: Version
    description: str


def answered(request: MotionRequest, model: TrainedModel, pieces: Pieces, name: str) -> list[Candidate]:
    """Return the candidates for a request, the best first.

    Args:
        request: what is asked for.
        model: that makes them.
        pieces: how.
        name: of the motions.

    Raises:
        UserError: there is no way, or the model cannot go on from what there is.
    """
    planned = request.planned(pieces)
    ways = ways_to_go_on(
        model, pieces.rollout, pieces.selection, planned, request.so_far, seed=request.seed, step=request.step
    )
    candidates = []
    for way in ways:
        clip = clip_of_motion(name, way.frames, planned, model.fps)
        label, colour = f"candidate {way.candidate}", COLOURS[way.candidate % len(COLOURS)]
        candidates.append(Candidate(Version(label, clip, colour), f"{label}: {_outcome(way)}"))
    return candidates


def _outcome(way: Continuation) -> str:
    outcome = "arrives" if way.finished else "does not arrive"
    reason = "" if way.refused in (None, "not finished") else f", {way.refused}"
    slide = f", slides {100 * way.figures['slide']:.0f} cm/s" if "slide" in way.figures else ""
    return f"{outcome}{reason}, {100 * way.figures['deepest']:.0f} cm deep{slide}"


def with_sampling(pieces: Pieces, candidates: int, guidance_scale: float, denoising_steps: int) -> Pieces:
    """Return pieces whose rollouts are sampled in another way."""
    rollout = dataclasses.replace(
        pieces.rollout,
        candidates=candidates,
        guidance_scale=guidance_scale,
        denoising_steps=denoising_steps,
    )
    return dataclasses.replace(pieces, rollout=rollout)


def places_of(places: Sequence[Float[np.ndarray, " 3"]]) -> Float[Tensor, "places 2"]:
    """Return x, y (world, metres) of places that were clicked."""
    return torch.from_numpy(np.stack([place[:2] for place in places])).float()
