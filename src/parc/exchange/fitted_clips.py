"""From the landmarks of a captured take to clips of our humanoid."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.contact_labels import with_contacts_from_geometry
from parc.anim.mirror import mirror_clip
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.exchange.clip_measures import measured
from parc.exchange.cutting import cut_where_standing
from parc.exchange.fitting import fit_positions, landmark_errors
from parc.exchange.flat_ground import MARGIN
from parc.exchange.imported_clip import ImportedClip
from parc.exchange.landmarks import SIDES
from parc.exchange.resampling import FPS
from parc.terrain.heightfield import Heightfield, cropped

WORST_FIT = 0.2  # metres


def clips_of_take(
    name: str, landmarks: dict[str, Float[Tensor, "frames 3"]], terrain: Heightfield, character: Character
) -> list[ImportedClip]:
    """Return the clips of a take, of no class yet: our humanoid where the captured person was.

    The whole take is fitted, and then cut. Bodies are in contact where they are near the ground and slow.

    Args:
        name: of the take; its clips are numbered.
        landmarks: positions (`parc.exchange.landmarks.LANDMARKS`) in our size, metres, z up, 30 frames a second.
        terrain: what the motion was captured on, in our size.
        character: the humanoid.

    Raises:
        UserError: the character is none of ours, landmarks are missing or no numbers, or no pose of ours is near them.
    """
    fitted = fit_positions(character, landmarks, FPS, terrain)
    errors = landmark_errors(character, fitted, landmarks)
    error = float(torch.stack(list(errors.values())).mean())
    if error > WORST_FIT:
        raise UserError(
            f"joints are {100 * error:.0f} cm from where they were captured on average, expected at most "
            f"{100 * WORST_FIT:.0f} cm; are these the joints of a person?"
        )
    whole = MotionClip(name=name, **vars(fitted), fps=FPS, loop_mode=LoopMode.CLAMP, terrain=terrain)
    whole = with_contacts_from_geometry(whole, character, surface_points(character))
    imported = []
    for number, part in enumerate(cut_where_standing(landmarks, FPS)):
        clip = _part(whole, part, number)
        of_part = {landmark: values[part] for landmark, values in errors.items()}
        measures = {**_errors(clip, character, of_part), **measured(clip, character)}
        imported.append(ImportedClip(clip, "", measures))
    return imported


def with_mirror_images(imported: list[ImportedClip], character: Character) -> list[ImportedClip]:
    """Return clips, each followed by its mirror image, which is as far off its source as it is itself."""
    return [
        each
        for original in imported
        for each in (original, replace(original, clip=mirror_clip(original.clip, character)))
    ]


def _part(whole: MotionClip, part: slice, number: int) -> MotionClip:
    """Return a clip of some frames of a take, on the terrain around them."""
    clip = whole.with_frames(whole.frames.each(lambda values: values[part]))
    low, high = clip.root_pos[:, :2].amin(0) - MARGIN, clip.root_pos[:, :2].amax(0) + MARGIN
    return replace(clip, name=f"{whole.name}_{number}", terrain=cropped(whole.terrain, low, high))


def _errors(clip: MotionClip, character: Character, errors: dict[str, Float[Tensor, " frames"]]) -> dict[str, float]:
    """Return how far joints are from where they were captured, and toes of feet that stand."""
    standing = [errors[f"{side}_toe"][clip.contacts[:, character.body_index(f"{side}_foot")] > 0.5] for side in SIDES]
    toes = torch.cat(standing)
    return {
        "joint error (cm)": 100 * float(torch.stack(list(errors.values())).mean()),
        "standing foot error (cm)": 100 * float(toes.mean()) if len(toes) else 0.0,
    }
