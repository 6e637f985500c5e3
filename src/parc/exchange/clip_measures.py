"""How clean a clip is that was made from captured data."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.terrain.heightfield import laid_end_to_end
from parc.terrain.signed_distance import signed_distance_below_ground

IN_CONTACT = 0.5  # contact label from which on a foot is one that stands
FRAMES_AT_ONCE = 2048  # keeps memory below 500 MB


def measured(clip: MotionClip, character: Character) -> dict[str, float]:
    """Measure a clip of the humanoid.

    Returns:
        By name: "slide (cm/s)", the mean speed of the middles of feet from a frame to the next, both in contact; "deepest (cm)",
        the depth of the deepest surface point below ground in any frame; "jerk (km/s3)", the largest of any body's position, by
        third differences.
    """
    body_pos, body_rot = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    points = surface_points(character)
    terrains = laid_end_to_end([clip.terrain])
    depths = []
    for some in torch.arange(clip.num_frames).split(FRAMES_AT_ONCE):
        places = points.placed(body_pos[some], body_rot[some])
        depths.append(-signed_distance_below_ground(places, terrains, torch.zeros(len(some), dtype=torch.long)).amin(1))
    feet = [index for index, name in enumerate(character.body_names) if name.endswith("_foot")]
    middles = points.middles.placed(body_pos, body_rot)[:, feet]
    jerk = body_pos.diff(n=3, dim=0).norm(dim=-1) * clip.fps**3
    return {
        "slide (cm/s)": 100 * _slide(clip.contacts[:, feet] >= IN_CONTACT, middles) * clip.fps,
        "deepest (cm)": 100 * float(torch.cat(depths).max()),
        "jerk (km/s3)": float(jerk.max()) / 1000 if len(jerk) else 0.0,
    }


def _slide(stands: Bool[Tensor, "frames feet"], middles: Float[Tensor, "frames feet 3"]) -> float:
    """Return the mean step of feet that stand, metres; 0 where none does."""
    both = stands[1:] & stands[:-1]
    steps = middles.diff(dim=0).norm(dim=-1)[both]
    return float(steps.mean()) if len(steps) else 0.0
