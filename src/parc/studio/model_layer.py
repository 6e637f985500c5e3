"""What the model sees at the frame that is shown, drawn over the motion: heights, target, the frames that it goes on from."""

import numpy as np
import viser

from parc.motion_synthesis.rollout import Rollout
from parc.motion_synthesis.surroundings import Sight
from parc.motion_synthesis.what_the_model_sees import WhatTheModelSees, what_the_model_sees
from parc.pictures.palette import EARLY_POSE, PATH_NODES, SERIES, rgb_bytes
from parc.studio.moving_character import MovingCharacter
from parc.studio.placing import place
from parc.studio.studio import Studio

NAME = "/model_sees"
POINT_SIZE, ABOVE = 0.035, 0.015  # metres
TARGET_SIZE = 0.12  # metres, radius
ARROW = 0.6  # metres, length of the direction that is told
GHOST_OPACITY = 0.35


class ModelLayer:
    """What the model sees, over the motion that is worked on.

    Args:
        studio: whose frames are shown.
        sight: of the model.
        rollout: says which node of a path is the target.
    """

    def __init__(self, studio: Studio, sight: Sight, rollout: Rollout) -> None:
        self._studio, self._sight, self._rollout = studio, sight, rollout
        self._is_shown = False
        self._base: viser.FrameHandle | None = None
        studio.on_frame.append(self._draw)

    def show(self, is_shown: bool) -> None:
        """Show or hide it."""
        with self._studio.lock:
            self._is_shown = is_shown
            self._draw(self._studio.playback.frame)

    def _draw(self, frame: int) -> None:
        if self._base is not None:
            self._base.remove()
            self._base = None
        if not self._is_shown or not self._studio.scene.motions:
            return
        clip = self._studio.clip
        seen = what_the_model_sees(self._sight, clip, min(frame, clip.num_frames - 1), self._rollout)
        scene, offset = self._studio.server.scene, self._studio.scene.offsets[0]
        self._base = scene.add_frame(NAME, show_axes=False)
        place(self._base, offset)
        heights = seen.heightmap.flatten(0, 1).numpy() + np.array([0, 0, ABOVE])
        scene.add_point_cloud(
            f"{NAME}/heights",
            heights.astype(np.float32),
            rgb_bytes(SERIES[3]),
            point_size=POINT_SIZE,
            point_shape="circle",
        )
        if seen.target is not None:
            self._draw_target(scene, seen)
        for number in range(len(seen.previous.root_pos) - 1):  # the last one is where the character itself is
            ghost = clip.with_frames(seen.previous.each(lambda values, at=number: values[at : at + 1]))
            name = f"{NAME}/previous_{number}"
            MovingCharacter(scene, name, self._studio.character, ghost, EARLY_POSE, np.zeros(3), GHOST_OPACITY, False)

    def _draw_target(self, scene: viser.SceneApi, seen: WhatTheModelSees) -> None:
        assert seen.target is not None
        place = seen.target.numpy() + np.array([0, 0, TARGET_SIZE])
        scene.add_icosphere(f"{NAME}/target", TARGET_SIZE, rgb_bytes(PATH_NODES), position=tuple(place))
        root = seen.previous.root_pos[-1].numpy()
        tip = root + ARROW * np.append(seen.direction.numpy(), 0.0)
        scene.add_line_segments(
            f"{NAME}/direction", np.stack([root, tip])[None].astype(np.float32), rgb_bytes(PATH_NODES), thickness=0.03
        )
