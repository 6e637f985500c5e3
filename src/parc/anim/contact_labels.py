"""Editing contact labels: by hand over a range of frames, and by where the ground is."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import BodyPoints
from parc.configuration.errors import UserError, nearest_name
from parc.terrain.heightfield import laid_end_to_end
from parc.terrain.nearest_ground import distance_of_groups_above_ground

NEAR = 0.02  # metres from the ground up to which a body may touch it
SLOW = 0.2  # metres/s up to which a body may stand
FRAMES_AT_ONCE = 2048  # keeps memory below 500 MB


def with_contact(clip: MotionClip, character: Character, body: str, first: int, last: int, label: float) -> MotionClip:
    """Return a clip in which the contact label of a body is another one in frames `first` to `last` - 1.

    Args:
        clip: stays as it is.
        character: whose motion it is.
        body: its name.
        first: from 0.
        last: up to the number of frames.
        label: 0..1.

    Raises:
        UserError: there is no such body, no such frame, or the label is none.
    """
    if body not in character.body_names:
        raise UserError(
            f"the character has no body '{body}'{nearest_name(body, character.body_names)} (bodies: "
            f"{', '.join(character.body_names)})"
        )
    if not 0 <= first < last <= clip.num_frames:
        raise UserError(f"frames {first} to {last} of {clip.name}: expected a range within 0 to {clip.num_frames}")
    if not 0 <= label <= 1:
        raise UserError(f"the contact label is {label}, expected 0 to 1")
    contacts = clip.contacts.clone()
    contacts[first:last, character.body_index(body)] = label
    return replace(clip, contacts=contacts)


def with_contacts_from_geometry(
    clip: MotionClip, character: Character, surface: BodyPoints, near: float = NEAR, slow: float = SLOW
) -> MotionClip:
    """Return a clip in which bodies are labelled (1) where they are on the ground and slow, and are not (0) elsewhere.

    Args:
        clip: stays as it is.
        character: whose motion it is.
        surface: points all over its surface.
        near: distance of a body's nearest surface point from the nearest ground up to which it is on it, metres.
        slow: speed of the middle of its surface, to the frame before or to the next one, whichever is less, metres/s.
    """
    terrains = laid_end_to_end([clip.terrain])
    body_pos, body_rot = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    distances = []
    for some in torch.arange(clip.num_frames).split(FRAMES_AT_ONCE):
        points = surface.placed(body_pos[some], body_rot[some])
        which = torch.zeros(len(some), dtype=torch.long)
        distances.append(distance_of_groups_above_ground(points, surface.bodies, terrains, which))
    on_ground = torch.cat(distances) <= near
    contacts = on_ground & _is_slow(surface.middles.placed(body_pos, body_rot), slow / clip.fps)
    return replace(clip, contacts=contacts.to(clip.contacts))


def _is_slow(places: Float[Tensor, "frames bodies 3"], step: float) -> Bool[Tensor, "frames bodies"]:
    """Say which bodies move no further than a step (metres) from the frame before, or to the next one."""
    slow = places.diff(dim=0).norm(dim=-1) <= step
    never = torch.zeros_like(slow[:1])
    return torch.cat([never, slow]) | torch.cat([slow, never])
