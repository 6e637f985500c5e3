"""How well a simulated motion does what its clip does."""

import numpy as np
import torch
from jaxtyping import Float

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import BodyPoints, surface_points
from parc.motion_synthesis.candidates import batch_of
from parc.motion_synthesis.motion_measures import DEEP, IN_CONTACT
from parc.motion_synthesis.quality import quality_of_frames
from parc.terrain.heightfield import laid_end_to_end
from parc.terrain.signed_distance import distance_above_ground

FAR_ROOT = 0.3  # metres that the root may be off in a frame of a success
FAR_BODIES = 0.5  # metres that bodies may be off in the mean
ON_THE_GROUND = 0.01  # metres above it
ROOT_OFF, BODIES_OFF, WORST_BODIES_OFF = "root off (m)", "bodies off (m)", "bodies off at worst (m)"


def measures_of_simulated(
    simulated: MotionClip, clip: MotionClip, character: Character, standing: tuple[str, ...]
) -> dict[str, float]:
    """Measure a simulated motion against the clip that it follows.

    Args:
        simulated: as many frames as the clip.
        clip: as it came.
        character: whose motions they are.
        standing: names of the bodies whose contacts count.

    Returns:
        By name: "root off (m)", the largest distance of the roots in any frame; "bodies off (m)", the mean distance of bodies,
        and "bodies off at worst (m)", its largest mean in a frame; "smoothness", the sum of the lengths of all second
        differences of bodies' positions over the clip's; "slide (m/s)", the mean speed along the ground of what standing bodies
        have on it, whatever the labels say (see `_slide`), and "slide of the clip (m/s)"; "deep (%)", the share of frames in
        which a point is over 1 cm below ground, and "deep of the clip (%)"; "contact precision (%)", the share of standing
        bodies' contacts that the clip labels, too, and "contact recall (%)", the share of those labels that are contacts. What
        there is none of is left out.
    """
    surface = surface_points(character)
    terrains = laid_end_to_end([simulated.terrain, clip.terrain])
    frames = quality_of_frames(batch_of([simulated.frames, clip.frames]), terrains, character, surface)
    there, wanted = frames.body_pos
    off = (there - wanted).norm(dim=-1)
    rough, rough_before = (float(each.diff(n=2, dim=0).norm(dim=-1).sum()) for each in (there, wanted))
    deep, deep_before = (100 * float((each > DEEP).float().mean()) for each in frames.deepest)
    bodies = [character.body_index(name) for name in standing]
    points = surface.placed(frames.body_pos, frames.body_rot)
    slide, slide_before = (
        _slide(its_points, each, surface, bodies) for its_points, each in zip(points, (simulated, clip), strict=True)
    )
    touches = simulated.contacts[:, bodies] > IN_CONTACT
    labelled = clip.contacts[:, bodies] > IN_CONTACT
    as_labelled = (touches & labelled).sum()
    found = {
        ROOT_OFF: float(off[:, 0].max()),
        BODIES_OFF: float(off.mean()),
        WORST_BODIES_OFF: float(off.mean(-1).max()),
        "smoothness": rough / max(rough_before, 1e-9),
        "slide (m/s)": slide,
        "slide of the clip (m/s)": slide_before,
        "deep (%)": deep,
        "deep of the clip (%)": deep_before,
        "contact precision (%)": 100 * float(as_labelled / touches.sum()),
        "contact recall (%)": 100 * float(as_labelled / labelled.sum()),
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _slide(
    points: Float[torch.Tensor, "frames points 3"], clip: MotionClip, surface: BodyPoints, bodies: list[int]
) -> float:
    """Return the mean speed along the ground of bodies that are on it, metres/s; NaN where none ever is.

    A body is on the ground from a frame to the next where one of its surface points is within `ON_THE_GROUND` in both; the one
    that is nearest says how fast it slides. So a foot that rolls over its toes does not, although its middle moves.
    """
    terrains, which = laid_end_to_end([clip.terrain]), torch.zeros(clip.num_frames, dtype=torch.long)
    speeds = []
    for body in bodies:
        own = points[:, surface.bodies == body]
        distances = distance_above_ground(own, terrains, which)
        nearest = torch.maximum(distances[1:], distances[:-1]).min(dim=1)
        steps = own[..., :2].diff(dim=0).norm(dim=-1).gather(1, nearest.indices[:, None])[:, 0]
        speeds.append(steps[nearest.values < ON_THE_GROUND] * clip.fps)
    return float(torch.cat(speeds).mean())


def why_no_success(measures: dict[str, float]) -> str:
    """Say which frame of a success would be nearer; nothing where all are near enough."""
    for name, most in ((ROOT_OFF, FAR_ROOT), (WORST_BODIES_OFF, FAR_BODIES)):
        if measures[name] >= most:
            return f"{name} is {measures[name]:.2f}, expected less than {most}"
    return ""
