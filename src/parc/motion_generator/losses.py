"""The losses of training: how far a predicted motion is from the true one, in the terms of the paper."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.rotations import angle_between
from parc.anim.surface_points import BodyPoints
from parc.configuration.errors import UserError
from parc.motion_generator.features import Motion, PosedMotion
from parc.terrain.heightfield import on_one_grid
from parc.terrain.signed_distance import signed_distance_below_ground

PSEUDO_HUBER_SCALE = 0.03


class Distance(str, Enum):
    """What turns a sample's differences d into a number: sum(d^2), or sqrt(sum(d^2 + 0.03^2)) - 0.03."""

    SQUARED_L2 = "squared_l2"
    PSEUDO_HUBER = "pseudo_huber"


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term; a term of weight 0 is not computed.

    Attributes:
        root_position: root positions, metres.
        root_rotation: angles between root rotations, radians.
        joint_rotation: angles between joint rotations, radians.
        contacts: contact labels.
        joint_position: joint positions as predicted, against the truth, metres.
        kinematic_consistency: joint positions as predicted, against forward kinematics of the predicted rotations, metres.
        root_velocity: root velocities, metres/s.
        root_angular_velocity: root angular velocities, radians/s.
        joint_angular_velocity: joint angular velocities, radians/s.
        body_position: positions of all bodies by forward kinematics, metres.
        body_rotation: angles between rotations of all bodies by forward kinematics, radians.
        body_velocity: velocities of all bodies by forward kinematics, metres/s.
        target: movement towards the target, metres; rewarded up to 0.1 m.
        terrain_collision: half the squared depth of the collision points below ground, metres^2.
        contact_velocity: velocities of bodies by forward kinematics, metres/s, less the true ones, times the lower of the
            true contact labels of both frames: what slides. The paper has no such term.
    """

    root_position: float
    root_rotation: float
    joint_rotation: float
    contacts: float
    joint_position: float
    kinematic_consistency: float
    root_velocity: float
    root_angular_velocity: float
    joint_angular_velocity: float
    body_position: float
    body_rotation: float
    body_velocity: float
    target: float
    terrain_collision: float
    contact_velocity: float = 0.0  # as older configs were, which have no such key

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if weight < 0:
                raise UserError(f"loss.weights.{name} is {weight}, expected 0 or more")
        if not any(vars(self).values()):
            raise UserError("loss.weights: every weight is 0, expected at least one term to train on")


@dataclass(frozen=True)
class TerrainAndTarget:
    """What the losses know of a window beyond its motion (canonical frame, metres).

    Attributes:
        heightmap: local heights.
        min_point: x, y of the heightmap's point (0, 0).
        spacing: between its points.
        target_direction: unit x, y direction to the target, or zeros.
    """

    heightmap: Float[Tensor, "batch rows columns"]
    min_point: Float[Tensor, "2"]
    spacing: float
    target_direction: Float[Tensor, "batch 2"]


class MotionLosses:
    """The loss of a prediction: a weighted sum of terms, each summed over a sample's numbers.

    Args:
        distance: how differences become a number.
        weights: of the terms.
        character: whose motions are compared.
        collision_points: the points of the terrain collision term.
        fps: frames a second of the windows.
        num_previous: frames of a window that come before what is generated; the last of them is the canonical frame.
    """

    def __init__(
        self,
        distance: Distance,
        weights: LossWeights,
        *,
        character: Character,
        collision_points: BodyPoints,
        fps: float,
        num_previous: int,
    ) -> None:
        self.distance = distance
        self.weights = {name: weight for name, weight in vars(weights).items() if weight > 0}
        # Made once: a GPU would be waited for at every step that sent it numbers from the host.
        self._weights_in_order = torch.tensor(list(self.weights.values()), device=character.offsets.device)
        self.character = character
        self.collision_points = collision_points
        self.fps = fps
        self.canonical_frame = num_previous - 1

    @property
    def terms(self) -> list[str]:
        """Names of the terms that are computed, in order."""
        return list(self.weights)

    def per_sample(
        self, predicted: Motion, true: PosedMotion, terrain_and_target: TerrainAndTarget
    ) -> dict[str, Float[Tensor, " batch"]]:
        """Return each term, unweighted, for every sample."""
        body_pos, body_rot = self.character.forward_kinematics(
            predicted.root_pos, predicted.root_rot, predicted.joint_rot
        )
        size, velocity, angular_velocity = self._size, self._velocity, self._angular_velocity
        terms: dict[str, Callable[[], Tensor]] = {
            "root_position": lambda: size(predicted.root_pos - true.root_pos),
            "root_rotation": lambda: size(angle_between(predicted.root_rot, true.root_rot)),
            "joint_rotation": lambda: size(angle_between(predicted.joint_rot, true.joint_rot)),
            "contacts": lambda: size(predicted.contacts - true.contacts),
            "joint_position": lambda: size(predicted.joint_pos - true.joint_pos),
            "kinematic_consistency": lambda: size(predicted.joint_pos - body_pos[..., 1:, :]),
            "root_velocity": lambda: size(velocity(predicted.root_pos) - velocity(true.root_pos)),
            "root_angular_velocity": lambda: size(
                angular_velocity(predicted.root_rot) - angular_velocity(true.root_rot)
            ),
            "joint_angular_velocity": lambda: size(
                angular_velocity(predicted.joint_rot) - angular_velocity(true.joint_rot)
            ),
            "body_position": lambda: size(body_pos - true.body_pos),
            "body_rotation": lambda: size(angle_between(body_rot, true.body_rot)),
            "body_velocity": lambda: size(velocity(body_pos) - velocity(true.body_pos)),
            "contact_velocity": lambda: size(
                _in_both_frames(true.contacts) * (velocity(body_pos) - velocity(true.body_pos))
            ),
            "target": lambda: self._distance_from_target(predicted, terrain_and_target),
            "terrain_collision": lambda: self._terrain_collision(body_pos, body_rot, terrain_and_target),
        }
        return {name: terms[name]() for name in self.weights}

    def weighted_means(self, per_sample: dict[str, Float[Tensor, " batch"]]) -> Float[Tensor, " terms"]:
        """Return the batch mean of each term times its weight; their sum is the loss."""
        return self._weights_in_order * torch.stack([values.mean() for values in per_sample.values()])

    def _size(self, difference: Float[Tensor, "batch *rest"]) -> Float[Tensor, " batch"]:
        squares = difference.flatten(1).square()
        if self.distance is Distance.SQUARED_L2:
            return squares.sum(1)
        return torch.sqrt((squares + PSEUDO_HUBER_SCALE**2).sum(1)) - PSEUDO_HUBER_SCALE

    def _velocity(self, positions: Float[Tensor, "batch frames *rest"]) -> Float[Tensor, "batch steps *rest"]:
        return positions.diff(dim=1) * self.fps

    def _angular_velocity(self, rotations: Float[Tensor, "batch frames *rest"]) -> Float[Tensor, "batch steps *rest3"]:
        steps = roma.quat_product(rotations[:, 1:], roma.quat_conjugation(rotations[:, :-1]))
        return roma.unitquat_to_rotvec(steps) * self.fps

    def _terrain_collision(
        self,
        body_pos: Float[Tensor, "batch frames bodies 3"],
        body_rot: Float[Tensor, "batch frames bodies 4"],
        terrain_and_target: TerrainAndTarget,
    ) -> Float[Tensor, " batch"]:
        points = self.collision_points.placed(body_pos, body_rot).flatten(1, 2)
        heightmaps = terrain_and_target.heightmap
        terrains = on_one_grid(heightmaps, terrain_and_target.min_point, terrain_and_target.spacing)
        each_its_own = torch.arange(len(heightmaps), device=heightmaps.device)
        depths = signed_distance_below_ground(points, terrains, each_its_own)
        return 0.5 * depths.square().sum(1)

    def _distance_from_target(self, predicted: Motion, terrain_and_target: TerrainAndTarget) -> Float[Tensor, " batch"]:
        """Return minus the way from the canonical frame towards the target, but no less than -0.1 (metres)."""
        way = predicted.root_pos[:, -1, :2] - predicted.root_pos[:, self.canonical_frame, :2]
        return (-(way * terrain_and_target.target_direction).sum(-1)).clamp(min=-0.1)


def _in_both_frames(contacts: Float[Tensor, "batch frames bodies"]) -> Float[Tensor, "batch steps bodies 1"]:
    """Return the contact label that each body has at least in a frame and in the next."""
    return torch.minimum(contacts[:, 1:], contacts[:, :-1])[..., None]
