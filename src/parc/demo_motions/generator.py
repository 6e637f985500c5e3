"""From a seed to a clip: draw a plan, carry it out, keep it where it keeps every promise."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from parc.anim.character import Character
from parc.anim.motion_clip import MotionClip, checked_clip
from parc.anim.preprocessing import preprocess_clip
from parc.anim.surface_points import BodyPoints
from parc.demo_motions.feet import FootMotion, move_foot
from parc.demo_motions.legs import Leg, bend_leg, highest_hip, pull_within_reach
from parc.demo_motions.motion_classes import MOTION_CLASSES
from parc.demo_motions.pelvis import FPS, jumps, place_pelvis, smooth, within_reach
from parc.demo_motions.plan import SIDES, InfeasibleError, Plan, Side
from parc.demo_motions.promises import FASTEST_END, LONGEST, SHORTEST, broken_promise, measure
from parc.demo_motions.routes import ground_heights
from parc.demo_motions.upper_body import Movement, swing_arm, turn_head, turn_pelvis, turn_torso, wander

MOST_ANKLE_BEND = 0.82  # radians between shin and foot, toes up, from which on the heel rises
HEEL_ROUNDS = 3  # a higher heel moves the ankle and so the shin: how often this is gone through

MOST_DRAWS = 200  # plans drawn for one clip before giving up; a class needs one or two

Feet = dict[Side, FootMotion]
Legs = dict[Side, Leg]
Pose = dict[str, Rotation]  # rotation of a body against its parent, all frames


def class_of(number: int) -> str:
    """Return the motion class of the clip with this number: classes take turns."""
    return list(MOTION_CLASSES)[number % len(MOTION_CLASSES)]


def clip_name(number: int) -> str:
    """Return the name of the clip with this number."""
    return f"{class_of(number)}_{number:05d}"


def make_clip(seed: int, number: int, character: Character, surface: BodyPoints) -> MotionClip:
    """Return the clip that belongs to a seed and a number, with the bounds of its terrain's cells.

    Args:
        seed: of the set, not negative.
        number: of the clip, from 0.
        character: the humanoid that the project ships.
        surface: its surface points.

    Raises:
        RuntimeError: the class hardly ever makes a plan that can be carried out: its function is to be mended.
    """
    with _one_thread():
        return _first_good_clip(seed, number, character, surface)


def _first_good_clip(seed: int, number: int, character: Character, surface: BodyPoints) -> MotionClip:
    make_plan = MOTION_CLASSES[class_of(number)]
    reasons: Counter[str] = Counter()
    for draw in range(MOST_DRAWS):
        random = np.random.default_rng([seed, number, draw])
        try:
            plan = make_plan(random)
            _refuse_what_breaks_a_promise(plan)
            clip = clip_of_plan(plan, random, character, clip_name(number))
        except InfeasibleError as error:
            reasons[str(error)] += 1
            continue
        broken = broken_promise(measure(clip, character, surface))
        if broken is None:
            bounds = preprocess_clip(clip, character, surface).height_bounds
            return replace(clip, height_bounds=bounds)
        reasons[broken] += 1
    raise RuntimeError(
        f"{clip_name(number)}, seed {seed}: no plan of {MOST_DRAWS} can be carried out ({dict(reasons)})"
    )


def _refuse_what_breaks_a_promise(plan: Plan) -> None:
    """Refuse a plan of which it is seen at once that its clip would be; most are, and carrying one out takes long.

    Raises:
        InfeasibleError: the clip would be too short or too long, or its root sets off or stops at once.
    """
    times = _frame_times(plan)
    if not SHORTEST <= len(times) / FPS <= LONGEST:
        raise InfeasibleError(f"shorter than {SHORTEST:g} s or longer than {LONGEST:g} s")
    pelvis, _ = place_pelvis(plan, times)
    ends = np.linalg.norm(np.diff(pelvis[:, :2], axis=0)[[0, -1]], axis=1) * FPS
    # Weight that shifts about, and hips that go back in a crouch, add a little to it, or take it away.
    if ends.max() > FASTEST_END + 0.01:
        raise InfeasibleError("a start or a stop that is not soft")


def _frame_times(plan: Plan) -> Float[np.ndarray, " frames"]:
    """Return when the frames of a plan's clip are, seconds."""
    return np.arange(int(plan.seconds * FPS) + 1) / FPS


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: a clip is small, and threads that wait for each other cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def clip_of_plan(plan: Plan, random: np.random.Generator, character: Character, name: str) -> MotionClip:
    """Carry out a plan.

    Args:
        plan: what to do, where.
        random: for what is left to chance (looks, idle movements).
        character: the humanoid that the project ships.
        name: of the clip.

    Raises:
        InfeasibleError: the legs cannot do it.
    """
    times = _frame_times(plan)
    feet: Feet = {side: move_foot(plan, side, times) for side in SIDES}
    legs: Legs = {side: Leg.of(character, side) for side in SIDES}
    wanted, heading = place_pelvis(plan, times)
    wanted = wanted + _idle(plan, random, len(times))
    movement = _movement(plan, wanted, heading, feet)
    wanted = _hips_back(wanted, movement)
    pelvis = turn_pelvis(movement, plan.style)
    root = _reachable(wanted, pelvis, feet, legs)
    for _ in range(HEEL_ROUNDS):
        feet = {side: _with_easy_ankle(legs[side], feet[side], root, pelvis, heading) for side in SIDES}
        root = _reachable(wanted, pelvis, feet, legs)
    pose = _upper_pose(plan, random, pelvis, movement, root)
    for side in SIDES:
        thigh, shin, sole = _leg_rotations(legs[side], feet[side], root, pelvis, heading)
        pose |= {
            f"{side}_thigh": pelvis.inv() * thigh,
            f"{side}_shin": thigh.inv() * shin,
            f"{side}_foot": shin.inv() * sole,
        }
    contacts = torch.zeros(len(times), character.num_bodies)
    for side in SIDES:
        contacts[:, character.body_index(f"{side}_foot")] = torch.from_numpy(feet[side].label).float()
    still = Rotation.identity(len(times))
    joints = np.stack([_continuous(pose.get(body, still)) for body in character.body_names[1:]], axis=1)
    return checked_clip(
        name,
        character,
        name=name,
        root_pos=torch.from_numpy(root),
        root_rot=torch.from_numpy(_continuous(pelvis)),
        joint_rot=torch.from_numpy(joints),
        contacts=contacts,
        fps=FPS,
        loop_mode="CLAMP",
        heights=plan.terrain.heights,
        min_point=plan.terrain.min_point,
        cell_size=plan.terrain.cell_size,
    )


def _idle(plan: Plan, random: np.random.Generator, frames: int) -> Float[np.ndarray, "frames 3"]:
    """Weight that shifts about."""
    shifts = [plan.style.idle_sway * share * wander(random, frames, 0.5) for share in (0.7, 1.0, 0.25)]
    return np.stack(shifts, axis=-1)


def _hips_back(wanted: Float[np.ndarray, "frames 3"], movement: Movement) -> Float[np.ndarray, "frames 3"]:
    """Bent knees bring the hips back, over the feet."""
    back = 0.3 * movement.crouch
    return wanted - np.stack(
        [back * np.cos(movement.heading), back * np.sin(movement.heading), np.zeros(len(back))], axis=-1
    )


def _arm_throw(plan: Plan, times: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " frames"]:
    """Arms back in the crouch, forward at take-off and again, less far, on landing."""
    throw = np.zeros(len(times))
    for leave, land in jumps(plan):
        for time, width, share in ((leave - 0.24, 0.13, -0.8), (leave + 0.1, 0.13, 1.25), (land + 0.15, 0.17, 0.7)):
            throw += share * np.exp(-0.5 * ((times - time) / width) ** 2)
    return throw


def _movement(
    plan: Plan,
    wanted: Float[np.ndarray, "frames 3"],
    heading: Float[np.ndarray, " frames"],
    feet: Feet,
) -> Movement:
    velocity = np.gradient(wanted, axis=0) * FPS
    forward = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    apart = feet["left"].ankle[:, :2] - feet["right"].ankle[:, :2]
    left, right = (feet[side].on_ground.astype(float) for side in SIDES)
    below = np.minimum(feet["left"].ankle[:, 2], feet["right"].ankle[:, 2])
    speed = smooth(np.linalg.norm(velocity[:, :2], axis=-1), 0.2)
    crouch = np.maximum(below + plan.style.height - 0.05 - 0.022 * speed - wanted[:, 2], 0)
    return Movement(
        heading=heading,
        speed=speed,
        rise=smooth(velocity[:, 2], 0.05),
        crouch=smooth(crouch * np.maximum(left, right), 0.08),
        throw=_arm_throw(plan, np.arange(len(wanted)) / FPS),
        stride=smooth((apart * forward).sum(-1), 0.05),
        weight=smooth(left - right, 0.1),
    )


def _reachable(
    wanted: Float[np.ndarray, "frames 3"], pelvis: Rotation, feet: Feet, legs: Legs
) -> Float[np.ndarray, "frames 3"]:
    """Bring the pelvis down to where both legs reach the feet that stand."""
    highest = np.full(len(wanted), np.inf)
    for side in SIDES:
        hip = pelvis.apply(legs[side].hip)
        reach = highest_hip(legs[side], feet[side].ankle, wanted[:, :2] + hip[:, :2]) - hip[:, 2]
        if np.isnan(reach[feet[side].on_ground]).any():
            raise InfeasibleError("a standing foot out of reach")
        highest = np.minimum(highest, np.where(feet[side].on_ground, reach, np.inf))
    return np.concatenate([wanted[:, :2], within_reach(wanted[:, 2], highest)[:, None]], axis=1)


def _upper_pose(
    plan: Plan,
    random: np.random.Generator,
    pelvis: Rotation,
    movement: Movement,
    root: Float[np.ndarray, "frames 3"],
) -> Pose:
    torso = turn_torso(movement, plan.style)
    ahead = root[:, :2] + 0.9 * np.stack([np.cos(movement.heading), np.sin(movement.heading)], axis=-1)
    ground = ground_heights(plan.terrain, root[:, :2])
    steps = smooth(np.abs(ground_heights(plan.terrain, ahead) - ground), 0.25)
    look_down = 0.06 + 0.35 * np.minimum(steps, 0.6)
    pose = {"torso": torso, "head": turn_head(random, pelvis * torso, movement, plan.style, look_down)}
    for side in SIDES:
        arm, elbow = swing_arm(random, side, movement, plan.style)
        about_z = np.array([0.0, 0.0, -1.0 if side == "left" else 1.0])
        pose |= {f"{side}_upper_arm": arm, f"{side}_lower_arm": Rotation.from_rotvec(elbow[:, None] * about_z)}
    return pose


def _leg_rotations(
    leg: Leg,
    foot: FootMotion,
    root: Float[np.ndarray, "frames 3"],
    pelvis: Rotation,
    heading: Float[np.ndarray, " frames"],
) -> tuple[Rotation, Rotation, Rotation]:
    """Return thigh, shin and foot in the world."""
    hip = root + pelvis.apply(leg.hip)
    ankle = pull_within_reach(leg, hip, foot.ankle)
    knee_yaw = (heading + foot.yaw) / 2
    forward = np.stack([np.cos(knee_yaw), np.sin(knee_yaw), np.zeros(len(root))], axis=-1)
    thigh, shin = (Rotation.from_matrix(bone) for bone in bend_leg(leg, hip, ankle, forward))
    return thigh, shin, Rotation.from_euler("ZY", np.stack([foot.yaw, foot.pitch], axis=-1))


def _with_easy_ankle(
    leg: Leg,
    foot: FootMotion,
    root: Float[np.ndarray, "frames 3"],
    pelvis: Rotation,
    heading: Float[np.ndarray, " frames"],
) -> FootMotion:
    """Raise the heel where the shin leans so far over the foot that the ankle would be bent too much."""
    _, shin, sole = _leg_rotations(leg, foot, root, pelvis, heading)
    bend = (shin.inv() * sole).as_rotvec()[:, 1]
    # `within_reach` makes a smooth correction that is large enough everywhere; here it brings the bend down.
    relief = -bend - within_reach(-bend, np.full(len(bend), MOST_ANKLE_BEND))
    pitch = foot.pitch + foot.heel_free * relief
    # A foot never stands on its toes' tips.
    return replace(foot, pitch=np.where(pitch > 1.0, 1.0 + 0.25 * np.tanh((pitch - 1.0) / 0.25), pitch))


def _continuous(rotation: Rotation) -> Float[np.ndarray, "frames 4"]:
    """Return quaternions (x, y, z, w) without jumps of their sign."""
    quaternions = rotation.as_quat()
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(-1))
    flips = np.concatenate([[1.0 if quaternions[0, 3] >= 0 else -1.0], np.where(flips == 0, 1.0, flips)])
    return quaternions * np.cumprod(flips)[:, None]
