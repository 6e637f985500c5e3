"""Motions in a viewer's scene, each with its ground, and what is drawn around them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import viser
from jaxtyping import Float

from parc.anim.character import Character
from parc.pictures.palette import PATH_NODES, ROOT_PATH, rgb_bytes
from parc.studio.ground import Ground, drawn_terrain
from parc.studio.motion_list import Version, titles_of
from parc.studio.moving_character import MovingCharacter

BASE = "/motions"  # node that all others are below
GAP = 1.0  # metres between grounds that lie beside one another
LABEL_HEIGHT = 1.3  # metres of a motion's label above its root
NODE_SIZE, PATH_WIDTH = 0.06, 0.02  # metres


@dataclass(frozen=True)
class Layers:
    """What is drawn beside characters and grounds.

    Attributes:
        contacts: bodies in contact have another colour.
        root_path: the way of the root, and the nodes of the path that was asked for.
        joint_names: beside the bodies.
        labels: above each motion, what it is.
    """

    contacts: bool = True
    root_path: bool = True
    joint_names: bool = False
    labels: bool = True


class MotionsInScene:
    """Some motions in a scene, beside one another or on one ground.

    Args:
        server: in whose scene they are drawn.
        character: who moves.
    """

    def __init__(self, server: viser.ViserServer, character: Character) -> None:
        self.server, self.scene, self.character = server, server.scene, character
        self.motions: list[Version] = []
        self.offsets: Float[np.ndarray, "motions 3"] = np.zeros((0, 3))
        self.grounds: list[Ground] = []
        self.characters: list[MovingCharacter] = []
        self._on_ground: Callable[[int, viser.SceneNodePointerEvent], None] | None = None
        self._labels: list[viser.LabelHandle] = []
        self._joint_names: list[tuple[int, list[viser.LabelHandle]]] = []
        self._base: viser.FrameHandle | None = None

    @property
    def num_frames(self) -> int:
        """Frames of the longest motion, at the rate of the first."""
        seconds = max((motion.clip.seconds for motion in self.motions), default=0.0)
        return max(1, round(seconds * self.fps))

    @property
    def fps(self) -> float:
        """Frames a second of the first motion, which are those that are counted."""
        return self.motions[0].clip.fps if self.motions else 1.0

    def on_ground_click(self, callback: Callable[[int, viser.SceneNodePointerEvent], None]) -> None:
        """Have a function called with the number of the motion on whose ground was clicked."""
        self._on_ground = callback

    def show(self, motions: Sequence[Version], layers: Layers, beside: bool) -> None:
        """Draw motions in the place of those that were drawn.

        Args:
            motions: at least one.
            layers: what is drawn around them.
            beside: each on a ground of its own; otherwise all of them on the ground of the first.
        """
        with self.server.atomic():
            self.clear()
            self._base = self.scene.add_frame(BASE, show_axes=False)
            self.motions = list(motions)
            self.offsets = offsets_beside(motions) if beside else np.zeros((len(motions), 3))
            for number, motion in enumerate(motions):
                if beside or not number:
                    ground = Ground(self.scene, f"{BASE}/ground_{number}", motion.clip, self.offsets[number])
                    self._listen(ground, number)
                    self.grounds.append(ground)
                moving = MovingCharacter(
                    self.scene,
                    f"{BASE}/motion_{number}",
                    self.character,
                    motion.clip,
                    motion.colour,
                    self.offsets[number],
                    shows_contacts=layers.contacts,
                )
                self.characters.append(moving)
                self._draw_layers(number, motion, layers)
            self.at(0)

    def at(self, frame: int) -> None:
        """Take the pose of a frame; motions that are over stay in their last one."""
        for number, moving in enumerate(self.characters):
            shown = self._own_frame(number, frame)
            moving.show(shown)
            if self._labels:
                place = moving.body_pos[shown, 0] + self.offsets[number]
                self._labels[number].position = (*place[:2], place[2] + LABEL_HEIGHT)
        for number, labels in self._joint_names:
            moving = self.characters[number]
            shown = self._own_frame(number, frame)
            for label, place in zip(labels, moving.body_pos[shown] + self.offsets[number], strict=True):
                label.position = tuple(place)

    def _own_frame(self, number: int, frame: int) -> int:
        """Return the frame that a motion is at when the first one is at a frame."""
        clip = self.motions[number].clip
        return min(round(frame * clip.fps / self.fps), clip.num_frames - 1)

    def root_at(self, frame: int) -> Float[np.ndarray, " 3"]:
        """Return where the root of the first motion is in the scene, metres."""
        moving = self.characters[0]
        return moving.body_pos[min(frame, moving.num_frames - 1), 0] + self.offsets[0]

    def ground_of(self, number: int) -> Ground:
        """Return the ground that a motion is on."""
        return self.grounds[number if len(self.grounds) > 1 else 0]

    def clear(self) -> None:
        """Take everything out of the scene."""
        if self._base is not None:
            self._base.remove()
        self.motions, self.grounds, self.characters = [], [], []
        self._labels, self._joint_names = [], []

    def _listen(self, ground: Ground, number: int) -> None:
        if self._on_ground is None:
            return
        callback = self._on_ground

        @ground.node.on_click
        def _(event: viser.SceneNodePointerEvent) -> None:
            callback(number, event)

    def _draw_layers(self, number: int, motion: Version, layers: Layers) -> None:
        offset, moving = self.offsets[number], self.characters[number]
        if layers.root_path:
            way = moving.body_pos[:, 0] + offset
            self.scene.add_line_segments(
                f"{BASE}/root_path_{number}",
                np.stack([way[:-1], way[1:]], axis=1),
                rgb_bytes(ROOT_PATH),
                thickness=PATH_WIDTH,
            )
            if motion.clip.path_nodes is not None and len(motion.clip.path_nodes):
                self.scene.add_point_cloud(
                    f"{BASE}/path_nodes_{number}",
                    (motion.clip.path_nodes.numpy() + offset + np.array([0, 0, NODE_SIZE])).astype(np.float32),
                    rgb_bytes(PATH_NODES),
                    point_size=NODE_SIZE,
                    point_shape="circle",
                )
        if layers.labels:
            title = titles_of(self.motions)[number]
            self._labels.append(self.scene.add_label(f"{BASE}/label_{number}", title, font_screen_scale=0.8))
        if layers.joint_names:
            labels = [
                self.scene.add_label(
                    f"{BASE}/joint_{number}_{body}", body, font_size_mode="screen", font_screen_scale=0.7
                )
                for body in self.character.body_names
            ]
            self._joint_names.append((number, labels))


def offsets_beside(motions: Sequence[Version]) -> Float[np.ndarray, "motions 3"]:
    """Return where the worlds of motions are in the scene so that their grounds lie beside one another in rows, metres.

    As many lie in a row as in a column, or more; each cell of this grid is as large as the largest ground. A single motion
    stays where its world is.
    """
    if len(motions) == 1:
        return np.zeros((1, 3))
    terrains = [drawn_terrain(motion.clip) for motion in motions]
    lows = np.stack([terrain.min_point.numpy() for terrain in terrains])
    sizes = np.stack([np.array(terrain.heights.shape) * terrain.cell_size for terrain in terrains])
    across = int(np.ceil(np.sqrt(len(motions))))
    column, row = np.arange(len(motions)) % across, np.arange(len(motions)) // across
    cell = sizes.max(0) + GAP
    middles = np.stack([column * cell[0], -row * cell[1]], axis=1)
    return np.column_stack([middles - (lows + sizes / 2), np.zeros(len(motions))])
