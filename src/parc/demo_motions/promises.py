"""What every clip of the set keeps, measured."""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import BodyPoints

JERK_BOUND = 11666.0  # metres a cubic second: PARC's bound for a jerky frame
IN_CONTACT, IN_FULL_CONTACT = 0.9, 0.999  # labels above which a foot stands, and its sole is flat
FEET = ("left_foot", "right_foot")
LIMBS = (*FEET, "left_hand", "right_hand")

# What a clip is accepted with: closer than what is promised, so that rounding and storing never break a promise.
SHORTEST, LONGEST = 3.0, 8.0  # seconds
DEEPEST_LIMB = 0.015  # metres below ground of any surface point of a foot or hand (promised: 2 cm)
DEEPEST_BODY = 0.05  # of any other body
FARTHEST_SLIDE = 0.015  # metres that the centre of a foot's box moves while it stands (promised: 2 cm)
PEAK_JERK = 10500.0  # metres a cubic second; promised: less than 0.5 % of frames over JERK_BOUND
FARTHEST_SOLE = 0.0015  # metres of a surface point of a sole from the ground in full contact (promised: 2 mm)
FASTEST_END = 0.14  # metres/s of the root in the first and in the last step (promised: 0.15)
LIMIT_ROOM = 0.005  # radians that every joint DOF keeps from its limits


@dataclass(frozen=True)
class Measures:
    """Measures of a clip.

    Attributes:
        seconds: frames / fps.
        limit_excess: how far the worst joint DOF is beyond its limits, radians; negative where all are within.
        limb_depth: of the deepest surface point of feet and hands below ground, metres; negative where all are above.
        body_depth: of the deepest surface point of the other bodies.
        foot_slide: largest distance, seen from above, between two places of the centre of a foot's box within one run of
            frames whose contact label is above `IN_CONTACT`, metres.
        sole_gap: farthest of a surface point of a sole from the ground, above it or below, in frames whose contact label is above
            `IN_FULL_CONTACT`, metres.
        peak_jerk: largest third difference of any body's position x fps^3, metres a cubic second.
        jerky_share: share of the frames in which any body is above `JERK_BOUND`.
        end_speed: of the root in the first or in the last step, whichever is faster, metres a second.
    """

    seconds: float
    limit_excess: float
    limb_depth: float
    body_depth: float
    foot_slide: float
    sole_gap: float
    peak_jerk: float
    jerky_share: float
    end_speed: float


def measure(clip: MotionClip, character: Character, surface: BodyPoints) -> Measures:
    """Measure a clip of the humanoid; `surface` are its surface points."""
    positions, rotations = character.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    dofs = character.dofs_from_rotations(clip.joint_rot)
    excess = torch.maximum(dofs - character.dof_upper, character.dof_lower - dofs)
    points = surface.placed(positions, rotations)
    depths = clip.terrain.heights_at(points[..., :2]) - points[..., 2]
    depth = depths.amax(0)
    limb = torch.isin(surface.bodies, torch.tensor([character.body_index(name) for name in LIMBS]))
    speed = clip.root_pos.diff(dim=0).norm(dim=-1) * clip.fps
    jerk = (positions.diff(n=3, dim=0) * clip.fps**3).norm(dim=-1).amax(-1)
    return Measures(
        seconds=clip.seconds,
        limit_excess=float(excess.max()),
        limb_depth=float(depth[limb].max()),
        body_depth=float(depth[~limb].max()),
        foot_slide=max(
            _slide(_box_centre(character, foot, positions, rotations), clip.contacts[:, foot] > IN_CONTACT)
            for foot in map(character.body_index, FEET)
        ),
        sole_gap=max(
            _sole_gap(surface, foot, depths, clip.contacts[:, foot] > IN_FULL_CONTACT)
            for foot in map(character.body_index, FEET)
        ),
        peak_jerk=float(jerk.max()),
        jerky_share=float((jerk > JERK_BOUND).float().mean()),
        end_speed=float(speed[[0, -1]].max()),
    )


def broken_promise(measures: Measures) -> str | None:
    """Say which promise a clip breaks, or nothing."""
    promises = {
        "shorter than 3 s": measures.seconds < SHORTEST,
        "longer than 8 s": measures.seconds > LONGEST,
        "a joint beyond its limits": measures.limit_excess > -LIMIT_ROOM,
        "a foot or hand below ground": measures.limb_depth > DEEPEST_LIMB,
        "the body below ground": measures.body_depth > DEEPEST_BODY,
        "a sliding foot": measures.foot_slide > FARTHEST_SLIDE,
        "a sole that is not flat on the ground": measures.sole_gap > FARTHEST_SOLE,
        "a start or a stop that is not soft": measures.end_speed > FASTEST_END,
        "a jerk": measures.peak_jerk > PEAK_JERK,
    }
    return next((promise for promise, broken in promises.items() if broken), None)


def _box_centre(
    character: Character,
    body: int,
    positions: Float[Tensor, "frames bodies 3"],
    rotations: Float[Tensor, "frames bodies 4"],
) -> Float[Tensor, "frames 2"]:
    centre = torch.tensor(character.bodies[body].geoms[0].centre).expand(len(positions), 3)
    return (positions[:, body] + roma.quat_action(rotations[:, body], centre))[:, :2]


def _sole_gap(
    surface: BodyPoints,
    foot: int,
    depths: Float[Tensor, "frames points"],
    standing: Bool[Tensor, " frames"],
) -> float:
    heights = surface.points[:, 2]
    sole = (surface.bodies == foot) & (heights == heights[surface.bodies == foot].min())
    return float(depths[standing][:, sole].abs().amax()) if standing.any() else 0.0


def _slide(places: Float[Tensor, "frames 2"], standing: Bool[Tensor, " frames"]) -> float:
    edges = torch.nonzero(standing.int().diff(prepend=torch.tensor([0]), append=torch.tensor([0])))[:, 0]
    runs = [places[start:end] - places[start] for start, end in edges.view(-1, 2).tolist()]
    return max((float(torch.cdist(run, run).max()) for run in runs), default=0.0)
