"""A motion frame by frame: what stands still looked at once for each shot, and the bodies before it."""

import numpy as np
import torch
from jaxtyping import Float, Int

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.pictures.backdrop import Backdrop, backdrop
from parc.pictures.motion_scene import (
    NODE_PIXELS,
    NODE_RADIUS,
    PATH_PIXELS,
    PATH_RADIUS,
    MotionScene,
    build_scene,
)
from parc.pictures.palette import MOVING_POSE, rgb
from parc.pictures.posed_bodies import body_shapes, node_shapes, path_shapes, target_shapes
from parc.pictures.ray_casting import Shapes, joined
from parc.pictures.shots import AIR, Shot, shots_of
from parc.terrain.heightfield import laid_end_to_end
from parc.terrain.node_ahead import node_ahead

# Where rollouts are told to go by default: so many nodes after the nearest one, but not beyond corners (metres).
NODES_AHEAD, CORNER_HEIGHT = 4, 0.3
AROUND = AIR * np.concatenate([np.eye(3), -np.eye(3)])


class MovingScene:
    """A clip, ready to be seen at any of its frames.

    Attributes:
        scene: the motion on the blocks near it.
        frames: those that are shown.
        shots: where the camera is.
    """

    def __init__(
        self,
        clip: MotionClip,
        character: Character,
        frames: Int[np.ndarray, " frames"],
        rate: float,
        size: tuple[int, int],
    ) -> None:
        """Choose the camera.

        Args:
            clip: the motion.
            character: who moves.
            frames: of the clip, which are shown.
            rate: of them a second.
            size: width and height of a picture, pixels.
        """
        self.width, self.height = size
        self.scene = build_scene(clip, character, *size)
        self.frames = frames
        self.shots = shots_of(self.scene, frames, rate, *size)
        self._shot: Shot | None = None
        self._ground: Backdrop | None = None
        self._target: tuple[float, ...] | None = None
        self._with_target: Backdrop | None = None

    def picture(self, number: int) -> Float[np.ndarray, "height width 3"]:
        """Return the picture of one of the frames, red, green, blue, 0..1; quick where the last one was of the same shot."""
        shot = next(shot for shot in reversed(self.shots) if shot.first <= number)
        frame = int(self.frames[number])
        bodies = body_shapes(self.scene.posed, self.scene.character, [frame], rgb(MOVING_POSE)[None])
        row, column = shot.corners[number - shot.first]
        whole = self._backdrop(shot, frame).with_shapes(bodies)
        return whole[row : row + self.height, column : column + self.width]

    def _backdrop(self, shot: Shot, frame: int) -> Backdrop:
        """Return the ground of a shot with the target of a frame, which stays for several."""
        if self._ground is None or self._shot is not shot:
            self._shot, self._ground, self._with_target = shot, None, None  # so that two shots are never held
            self._ground = self._look(shot)
        target = target_of(self.scene, frame)
        if target is None:
            return self._ground
        if self._with_target is None or self._target != tuple(target):
            self._target = tuple(target)
            self._with_target = self._ground.joined_by(pin_on(target, shot.camera.pixels_per_metre))
        return self._with_target

    def _look(self, shot: Shot) -> Backdrop:
        frames = self.frames[shot.first : shot.first + len(shot.corners)]
        bodies = self.scene.posed.positions[frames].reshape(-1, 1, 3)
        around = (bodies + AROUND).reshape(-1, 3)
        return backdrop(still_shapes(self.scene, shot.camera.pixels_per_metre), shot.camera, around)


def still_shapes(scene: MotionScene, pixels_per_metre: float) -> Shapes:
    """Return what stands still: the ground, the nodes of the path that was to be followed, and the root path."""
    return joined(
        [
            scene.ground,
            node_shapes(scene.nodes, max(NODE_RADIUS, NODE_PIXELS / pixels_per_metre)),
            path_shapes(scene.posed, max(PATH_RADIUS, PATH_PIXELS / pixels_per_metre)),
        ]
    )


def pin_on(target: Float[np.ndarray, " 3"], pixels_per_metre: float) -> Shapes:
    """Return the pin that marks the node that a motion is on its way to."""
    return target_shapes(target, 2 * max(NODE_RADIUS, NODE_PIXELS / pixels_per_metre))


def target_of(scene: MotionScene, frame: int) -> Float[np.ndarray, " 3"] | None:
    """Return the node that a rollout would be told to go to at a frame; None where the clip has no path."""
    if scene.clip.path_nodes is None or not len(scene.clip.path_nodes):
        return None
    nodes = scene.clip.path_nodes
    place = torch.from_numpy(scene.posed.positions[frame, :1, :2]).to(nodes.dtype)
    terrains, which, last = laid_end_to_end([scene.clip.terrain]), torch.zeros(1, dtype=torch.long), len(nodes) - 1
    target = node_ahead(terrains, which, nodes[None], torch.tensor([last]), place, NODES_AHEAD, CORNER_HEIGHT)
    # Not below where pits are cut off.
    return np.maximum(nodes[int(target)].double().numpy(), [-np.inf, -np.inf, scene.blocks.floor])
