"""Going on with a motion: candidates for its next part along a path, from where it is, measured and in order."""

import math
from dataclasses import dataclass

import torch

from parc.anim.frames import Frames, joined
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.motion_generator.trained_model import TrainedModel
from parc.motion_synthesis.candidates import paths_of
from parc.motion_synthesis.motion_measures import summed_measures
from parc.motion_synthesis.quality import quality_of_frames, summed_quality
from parc.motion_synthesis.rollout import Rollout
from parc.motion_synthesis.selection import Selection
from parc.stages.randomness import generator_for
from parc.terrain.path_planner import PlannedPath


@dataclass(frozen=True)
class Continuation:
    """A way in which a motion may go on.

    What is measured is measured of the new part, which begins with the frames that it goes on from: candidates share all others.

    Attributes:
        frames: the whole motion, on the CPU: what there was so far, then the new frames.
        new_frames: how many of them are new, the last ones; 0 where the motion had finished already.
        seconds: length of the new frames.
        candidate: its number, from 0.
        finished: whether it reached the end of the path.
        refused: the first reason for which the selection would refuse it; None where it would not.
        loss: what the selection goes by.
        figures: what `Quality` and `MotionMeasures` have, by name; what it has nothing of, such as slide without contact, is
            left out.
    """

    frames: Frames
    new_frames: int
    seconds: float
    candidate: int
    finished: bool
    refused: str | None
    loss: float
    figures: dict[str, float]


@torch.no_grad()
def ways_to_go_on(
    model: TrainedModel,
    rollout: Rollout,
    selection: Selection,
    planned: PlannedPath,
    so_far: Frames | None,
    *,
    seed: int,
    step: int,
) -> list[Continuation]:
    """Return `rollout.candidates` ways in which a motion may go on along a path, the best first: those of the lowest loss.

    The noise of a candidate is a function of seed, step and its number: with fewer or more candidates it is the same.

    Args:
        model: whose windows are made.
        rollout: how; `max_seconds` is that of the new part.
        selection: whose loss says which are the best. None is left out.
        planned: where it goes, and the terrain.
        so_far: the motion [frames, ...] in the frame of the terrain, at the model's frame rate. None for motions that begin at
            the path's first node, as the rollout says.
        seed: of all randomness.
        step: how often the motion went on before: every part of it has other noise.

    Raises:
        UserError: the motion is no motion of the model's character, or has fewer frames than the model goes on from; or the
            rollout does not fit the model.
    """
    rollout.check_with_model(model)
    if so_far is not None:
        _refuse_what_none_goes_on_from(so_far, model)
    numbers, paths = range(rollout.candidates), paths_of([planned], model.device)
    given, before, start = 0, None, None
    if so_far is not None:
        given = model.num_previous
        before = so_far.each(lambda values: values[:-given].cpu())
        start = so_far.each(
            lambda values: values[-given:].to(model.device).expand(len(numbers), given, *values.shape[1:])
        )
    generators = [
        generator_for(seed, f"noise of candidate {number} of a motion that goes on", step) for number in numbers
    ]
    path = torch.zeros(len(numbers), dtype=torch.long, device=model.device)
    motions = rollout.roll_out(model, paths, path, generators, start)
    surface = surface_points(model.character.to("cpu")).to(model.device)
    measured = quality_of_frames(motions, paths.terrains, model.character, surface)
    feet = [model.character.body_index(name) for name in rollout.feet]
    quality = summed_quality(motions, measured, model.fps)
    measures = summed_measures(motions, measured, surface, model.fps, feet)
    loss, refusals = selection.loss_of(motions, quality).tolist(), selection.refused(motions, quality)
    found = []
    for number in numbers:
        frames = motions.frames_of(number).each(torch.Tensor.cpu)
        new = len(frames.root_pos) - given
        figures = {name: float(values[number]) for name, values in {**vars(quality), **vars(measures)}.items()}
        found.append(
            Continuation(
                frames=frames if before is None else joined([before, frames], dim=0),
                new_frames=new,
                seconds=new / model.fps,
                candidate=number,
                finished=bool(motions.finished[number]),
                refused=next((reason for reason, holds in refusals.items() if holds[number]), None),
                loss=loss[number],
                figures={name: value for name, value in figures.items() if math.isfinite(value)},
            )
        )
    return sorted(found, key=lambda each: (math.isnan(each.loss), each.loss))


def _refuse_what_none_goes_on_from(so_far: Frames, model: TrainedModel) -> None:
    """Check that motions of a model can go on from frames.

    Raises:
        UserError: they cannot.
    """
    if so_far.root_pos.ndim != 2 or len(so_far.root_pos) < model.num_previous:
        raise UserError(
            f"the motion so far has shape {list(so_far.root_pos.shape)}, expected one motion of at least the "
            f"{model.num_previous} frames that {model.path} goes on from"
        )
    if so_far.joint_rot.shape[1] != model.character.num_joints:
        raise UserError(
            f"the motion so far has {so_far.joint_rot.shape[1]} joints, expected the {model.character.num_joints} of the "
            f"character of {model.path}"
        )
