"""A character's bodies at some frames of a clip, as the shapes of its file."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float, Int

from parc.anim.character import Character, Geom
from parc.anim.dataset import evenly_spread
from parc.anim.motion_clip import MotionClip
from parc.pictures.palette import CONTACT, PATH_NODES, ROOT_PATH, TARGET, rgb
from parc.pictures.ray_casting import Kind, Shapes, joined

IN_CONTACT = 0.5  # soft contact labels above this are drawn as contacts
FIRST_BODY_GROUP = 10**9  # beyond every cell of a terrain
ROOT_PATH_GROUP, PATH_NODES_GROUP, TARGET_GROUP = FIRST_BODY_GROUP - 1, FIRST_BODY_GROUP - 2, FIRST_BODY_GROUP - 3
TARGET_HEIGHT = 0.4  # metres of the pin that marks a target


@dataclass(frozen=True)
class PosedBodies:
    """Where every body of every frame is, in the world.

    Attributes:
        positions: of the bodies' origins, metres.
        rotations: of the bodies, as matrices.
        in_contact: whether the contact label says that the body touches something.
    """

    positions: Float[np.ndarray, "frames bodies 3"]
    rotations: Float[np.ndarray, "frames bodies 3 3"]
    in_contact: Bool[np.ndarray, "frames bodies"]


def pose_bodies(clip: MotionClip, character: Character) -> PosedBodies:
    """Place the bodies of all frames by forward kinematics."""
    positions, rotations = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    return PosedBodies(
        positions.double().numpy(),
        roma.unitquat_to_rotmat(rotations).double().numpy(),
        (clip.contacts > IN_CONTACT).numpy(),
    )


def frames_spread_over(clip: MotionClip, count: int) -> Int[np.ndarray, " frames"]:
    """Return up to `count` frames from the first to the last, evenly spread."""
    return np.array(evenly_spread(range(clip.num_frames), count))


def frames_apart(
    posed: PosedBodies, axes: Float[np.ndarray, "3 3"], frames: Int[np.ndarray, " some"], distance: float
) -> list[int]:
    """Return those of the frames whose roots are drawn at least `distance` metres apart, in order of time.

    Up and down counts half, because bodies are drawn taller than wide. The first frame is always among them, and the last
    one too unless it is drawn beside the first.
    """
    kept: list[int] = []
    places = posed.positions[:, 0] @ axes[:2].T * np.array([1.0, 0.5])
    for frame in [frames[0], frames[-1], *frames[1:-1]]:
        if all(np.linalg.norm(places[frame] - places[other]) >= distance for other in kept):
            kept.append(int(frame))
    return sorted(kept)


def body_shapes(
    posed: PosedBodies, character: Character, frames: list[int], colours: Float[np.ndarray, "frames 3"]
) -> Shapes:
    """Return the bodies of some frames; those in contact have the contact colour, the others the colour of their frame.

    The group of a body is `FIRST_BODY_GROUP` + frame x bodies + body.
    """
    parts = []
    for frame, colour in zip(frames, colours, strict=True):
        for index, body in enumerate(character.bodies):
            drawn = rgb(CONTACT) if posed.in_contact[frame, index] else colour
            group = FIRST_BODY_GROUP + frame * character.num_bodies + index
            placed = (posed.positions[frame, index], posed.rotations[frame, index])
            parts += [_geom_shapes(geom, *placed, drawn, group) for geom in body.geoms]
    return joined(parts)


def path_shapes(posed: PosedBodies, radius: float) -> Shapes:
    """Return the way of the root body through all frames as a tube of the given radius, metres."""
    places = posed.positions[:, 0]
    return _path_capsules(places[:-1], places[1:], radius, ROOT_PATH, ROOT_PATH_GROUP)


def node_shapes(nodes: Float[np.ndarray, "nodes 3"], radius: float) -> Shapes:
    """Return the nodes of a path that was to be followed (world, metres) as spheres of the given radius, metres."""
    return _path_capsules(nodes, nodes, radius, PATH_NODES, PATH_NODES_GROUP)


def target_shapes(node: Float[np.ndarray, " 3"], radius: float) -> Shapes:
    """Return a node that a motion is on its way to (world, metres) as a pin with a head of the given radius, metres."""
    head = node + np.array([0.0, 0.0, TARGET_HEIGHT])
    pin = _path_capsules(node[None], head[None], radius / 4, TARGET, TARGET_GROUP)
    return joined([pin, _path_capsules(head[None], head[None], radius, TARGET, TARGET_GROUP)])


def _path_capsules(
    starts: Float[np.ndarray, "parts 3"], ends: Float[np.ndarray, "parts 3"], radius: float, colour: str, group: int
) -> Shapes:
    count = len(starts)
    return Shapes(
        corners=np.zeros((0, 3)),
        sides=np.zeros((0, 2, 3)),
        starts=starts,
        ends=ends,
        radii=np.full(count, radius),
        colours=np.tile(rgb(colour), (count, 1)),
        kinds=np.full(count, Kind.PATH),
        groups=np.full(count, group),
    )


def _geom_shapes(
    geom: Geom,
    position: Float[np.ndarray, " 3"],
    rotation: Float[np.ndarray, "3 3"],
    colour: Float[np.ndarray, " 3"],
    group: int,
) -> Shapes:
    centre = position + rotation @ np.array(geom.centre)
    axes = (rotation @ _matrix(geom.rotation)).T
    corners, sides = np.zeros((0, 3)), np.zeros((0, 2, 3))
    starts = ends = np.zeros((0, 3))
    radii = np.zeros(0)
    if geom.kind == "box":
        corners, sides = _box_faces(centre, axes * np.array(geom.size)[:, None])
    else:
        half_length = geom.size[1] if geom.kind == "capsule" else 0.0
        starts, ends = (centre - half_length * axes[2])[None], (centre + half_length * axes[2])[None]
        radii = np.array(geom.size[:1])
    count = len(corners) + len(radii)
    return Shapes(
        corners,
        sides,
        starts,
        ends,
        radii,
        np.tile(colour, (count, 1)),
        np.full(count, Kind.BODY),
        np.full(count, group),
    )


@cache
def _matrix(rotation: tuple[float, ...]) -> Float[np.ndarray, "3 3"]:
    return roma.unitquat_to_rotmat(torch.tensor(rotation)).double().numpy()


def _box_faces(
    centre: Float[np.ndarray, " 3"], half_sides: Float[np.ndarray, "3 3"]
) -> tuple[Float[np.ndarray, "6 3"], Float[np.ndarray, "6 2 3"]]:
    corners, sides = [], []
    for out in range(3):
        for sign in (1.0, -1.0):
            across, along = half_sides[(out + 1) % 3], sign * half_sides[(out + 2) % 3]
            corners.append(centre + sign * half_sides[out] - across - along)
            sides.append([2 * across, 2 * along])
    return np.array(corners), np.array(sides)
