"""Fitting our humanoid to captured joints: least squares over all frames of a take together."""

import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.anim.surface_points import BodyPoints, surface_points
from parc.exchange.first_guess import guessed_poses
from parc.exchange.fit_cost import FitCost
from parc.exchange.landmarks import SIDES, attached, foot_build, refuse_other_characters, refuse_other_positions
from parc.exchange.resting import resting
from parc.terrain.heightfield import Heightfield

MOST_STEPS = 20
LEAST_GAIN = 1e-2  # share of the cost by which a step has to make it smaller to be followed by another one
EASIER, HARDER = 1 / 3, 10.0
LEAST_DAMPING, FIRST_DAMPING, MOST_DAMPING = 1e-4, 1e-3, 0.1


@torch.no_grad()
def fit_positions(
    character: Character,
    positions: dict[str, Float[Tensor, "frames 3"]],
    fps: float,
    terrain: Heightfield | None = None,
) -> Frames:
    """Return poses of our humanoid whose joints are where captured ones are, as near as its build lets them be.

    All frames are fitted together, by Gauss-Newton steps that are damped (Levenberg 1944, Marquardt 1963): errors change little
    from a frame to the next, joints keep their limits, hinges turn about their axes alone. On a terrain, feet and hands that rest
    are put onto it and held there (see `parc.exchange.resting`), and no body is to be below the ground.

    Args:
        character: the humanoid.
        positions: of the landmarks (`parc.exchange.landmarks.LANDMARKS`), in our size (`scale_by_legs`), metres, z up.
        fps: frames a second.
        terrain: what the motion was captured on, in our size.

    Returns:
        The poses; contacts are 1 for feet and hands that rest, 0 where there is no terrain.

    Raises:
        UserError: the character is none of ours, or landmarks are missing or no numbers.
    """
    refuse_other_characters(character)
    refuse_other_positions(positions)
    feet = {side: foot_build(positions, side) for side in SIDES}
    if terrain is None:
        frames, held, surface = guessed_poses(character, positions, feet), None, None
    else:
        rest = resting(character, positions, feet, fps, terrain)
        positions, held, surface = rest.positions, rest.held, surface_points(character)
        frames = guessed_poses(character, positions, feet)
        frames = Frames(frames.root_pos, frames.root_rot, frames.joint_rot, rest.contacts)
    landmarks = attached(character, positions)
    targets = torch.stack([positions[name] for name in landmarks.names], dim=1)
    fitted = _fitted(FitCost(character, landmarks, targets, held, surface, terrain), frames)
    dofs = character.dofs_from_rotations(fitted.joint_rot)
    dofs = torch.minimum(torch.maximum(dofs, character.dof_lower), character.dof_upper)
    return Frames(fitted.root_pos, fitted.root_rot, character.rotations_from_dofs(dofs), fitted.contacts)


def landmark_errors(
    character: Character, frames: Frames, positions: dict[str, Float[Tensor, "frames 3"]]
) -> dict[str, Float[Tensor, " frames"]]:
    """Return how far each landmark of some poses is from where it was captured, metres.

    Where bones are longer than the captured ones, as our thighs are, no pose has an error of 0.
    """
    landmarks = attached(character, positions)
    body_pos, body_rot = character.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    places = BodyPoints(landmarks.points, landmarks.bodies).placed(body_pos, body_rot)
    return {name: (places[:, index] - positions[name]).norm(dim=-1) for index, name in enumerate(landmarks.names)}


def _fitted(cost: FitCost, frames: Frames) -> Frames:
    """Return poses from which no step makes the cost smaller by much."""
    here, damping = cost.at(frames), FIRST_DAMPING
    for _ in range(MOST_STEPS):
        step, _ = here.step(torch.tensor([damping]))
        further = cost.changes.applied(frames, step[0])
        there = cost.at(further)
        if bool(there.cost < here.cost):  # false of what is no number
            gain = float(1 - there.cost / here.cost)
            frames, here, damping = further, there, max(LEAST_DAMPING, damping * EASIER)
            if gain < LEAST_GAIN:
                break
        elif (damping := damping * HARDER) > MOST_DAMPING:
            break
    return frames
