"""A character that moves in a viewer's scene."""

import numpy as np
import viser
from jaxtyping import Float

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.pictures.palette import CONTACT, rgb
from parc.pictures.posed_bodies import IN_CONTACT
from parc.studio.body_meshes import copies_of, unit_meshes
from parc.studio.placing import place


class MovingCharacter:
    """A character in a scene, in the pose of one of a clip's frames at a time.

    All shapes of a kind are one node of the scene, so that a frame is a few messages, however many shapes there are.

    Args:
        scene: where it is drawn.
        name: of its node; those below it are its shapes.
        character: whose shapes are drawn.
        clip: its motion.
        colour: of what is not in contact, '#RRGGBB'.
        offset: of the clip's world in the scene, metres.
        opacity: 0..1.
        shows_contacts: whether bodies that are in contact have another colour.
    """

    def __init__(
        self,
        scene: viser.SceneApi,
        name: str,
        character: Character,
        clip: MotionClip,
        colour: str,
        offset: Float[np.ndarray, " 3"],
        opacity: float = 1.0,
        shows_contacts: bool = True,
    ) -> None:
        self.num_frames = clip.num_frames
        place(scene.add_frame(name, show_axes=False), offset)
        self._shown = -1
        body_pos, body_rot = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
        self.body_pos = body_pos.numpy()
        meshes = unit_meshes()
        self._parts = []
        for mesh_name, copies in copies_of(character).items():
            positions, rotations = (values.numpy() for values in copies.placed(body_pos, body_rot))
            touches = (clip.contacts[:, copies.bodies] > IN_CONTACT)[..., None].numpy() & shows_contacts
            colours = (255 * np.where(touches, rgb(CONTACT), rgb(colour))).astype(np.uint8)
            mesh = meshes[mesh_name]
            node = scene.add_batched_meshes_simple(
                f"{name}/{mesh_name}",
                mesh.vertices,
                mesh.faces,
                batched_wxyzs=rotations[0],
                batched_positions=positions[0],
                batched_scales=copies.scales.numpy(),
                batched_colors=colours[0],
                flat_shading=mesh.has_edges,
                lod="off",
                opacity=None if opacity == 1 else opacity,
            )
            self._parts.append((node, positions, rotations, colours))

    def show(self, frame: int) -> None:
        """Take the pose of a frame; beyond the end, that of the last one."""
        frame = min(frame, self.num_frames - 1)
        if frame == self._shown:
            return
        self._shown = frame
        for node, positions, rotations, colours in self._parts:
            node.batched_positions, node.batched_wxyzs = positions[frame], rotations[frame]
            node.batched_colors = colours[frame]
