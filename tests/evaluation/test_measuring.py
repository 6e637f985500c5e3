"""What is measured of each motion: of hand-made ones whose numbers are known, and against plain computations."""

import dataclasses
import itertools
import math

import pytest
import torch
from standing import FEET, FPS, level, standing

from parc.anim.contact_labels import SLOW
from parc.anim.frames import Frames
from parc.anim.mirror import mirror_clip
from parc.anim.motion_clip import LoopMode, MotionClip
from parc.anim.surface_points import surface_points
from parc.configuration.composing import pieces_of_option
from parc.configuration.pieces import make
from parc.evaluation.measuring import diversity, measured
from parc.evaluation.metrics import MOTION_METRICS
from parc.evaluation.settings import CleanMotion
from parc.motion_synthesis.candidates import Candidates, batch_of
from parc.motion_synthesis.motion_measures import FLOATING, JERKY
from parc.motion_synthesis.selection import Selection
from parc.terrain.heightfield import Heightfield, laid_end_to_end
from parc.terrain.signed_distance import distance_above_ground, signed_distance_below_ground

SELECTION = make(pieces_of_option("generate", [], ["selection"])["selection"], Selection, "selection")
CLEAN = CleanMotion(max_body_speed=12.0, max_root_step=0.15, max_depth=0.1)


def values_of(motions: Candidates, humanoid, terrains=None, last_nodes=None) -> dict[str, torch.Tensor]:
    terrains = terrains or laid_end_to_end([level()])
    last_nodes = torch.zeros(len(motions.path), 3) if last_nodes is None else last_nodes
    surface = surface_points(humanoid)
    return measured(motions, last_nodes, terrains, humanoid, surface, FPS, FEET, SELECTION, CLEAN).values


def test_a_motion_that_stands_on_the_ground_has_nothing_wrong(humanoid):
    values = values_of(standing(humanoid), humanoid)
    assert list(values) == list(MOTION_METRICS)
    wrong = {name: float(value) for name, value in values.items() if abs(float(value)) > 1e-3}
    assert wrong == {
        "finished": 100,
        "accepted": 100,
        "clean": 100,
        "label_precision": 100,
        "label_recall": 100,
        "length": 1.0,
    }


def test_a_motion_that_is_sunk_5_cm_is_5_cm_deep_in_every_frame(humanoid):
    values = values_of(standing(humanoid, above=-0.05), humanoid)
    assert float(values["deepest"]) == pytest.approx(5.0, abs=0.01)
    assert float(values["deep"]) == 100
    soles = surface_points(humanoid)
    points = len(soles.points)
    assert float(values["tpl"]) == pytest.approx(30 * float(values["penetration_per_frame"]), rel=1e-5)
    assert float(values["penetration_per_point"]) == pytest.approx(
        1000 * float(values["penetration_per_frame"]) / points, rel=1e-5
    )
    assert float(values["label_precision"]) == 0  # a foot that is buried touches nothing
    # All points of both soles are 5 cm below, and others less.
    foot = soles.points[soles.bodies == humanoid.body_index("left_foot")]
    lowest = int((foot[:, 2] < foot[:, 2].min() + 1e-4).sum())
    assert 2 * lowest * 0.05 <= float(values["penetration_per_frame"]) < points * 0.05


def test_who_arrives_is_clean_unless_it_is_lifted_or_deep(humanoid):
    motions = standing(humanoid, batch=5)
    motions = dataclasses.replace(motions, finished=torch.tensor([True, False, True, True, True]))
    motions.frames.root_pos[2, :, 2] -= 0.11  # deep
    motions.frames.root_pos[3, 15:, 2] += 0.16  # lifted: a step of the root
    elbow = humanoid.body_index("left_lower_arm")
    motions.frames.joint_rot[4, 15, elbow - 1] = torch.tensor(
        [0.0, 0.0, math.sin(1.2), math.cos(1.2)]
    )  # a hand at 14 m/s
    assert values_of(motions, humanoid)["clean"].tolist() == [100, 0, 0, 0, 0]
    motions.frames.root_pos[2, :, 2] += 0.02
    motions.frames.root_pos[3, 15:, 2] -= 0.02
    assert values_of(motions, humanoid)["clean"].tolist() == [100, 0, 100, 100, 0]


def test_feet_that_slide_10_cm_a_second_slide_10_cm_a_second(humanoid):
    motions = standing(humanoid)
    motions.frames.root_pos[..., 1] += 0.1 * torch.arange(30) / FPS
    values = values_of(motions, humanoid)
    assert float(values["slide"]) == pytest.approx(10.0, rel=1e-3)
    assert float(values["fastest_body"]) == pytest.approx(0.1, rel=1e-3)
    assert float(values["root_step"]) == pytest.approx(10 / FPS, rel=1e-3)


def test_a_jump_of_one_body_in_one_frame_is_four_jerks_out_of_27(humanoid):
    motions = standing(humanoid)
    motions.frames.root_pos[0, 15, 2] += 3.0
    values = values_of(motions, humanoid)
    assert float(values["hjf"]) == pytest.approx(100 * 4 / 27, rel=1e-4)
    assert float(values["hjf_bodies"]) == pytest.approx(100 * 4 * 15 / 27, rel=1e-4)
    # The left elbow turns by 2.4 radians for a frame: the hand moves 48 cm, and no other body does.
    alone = standing(humanoid)
    elbow = humanoid.body_index("left_lower_arm")
    alone.frames.joint_rot[0, 15, elbow - 1] = torch.tensor([0.0, 0.0, math.sin(1.2), math.cos(1.2)])
    values = values_of(alone, humanoid)
    assert float(values["fastest_body"]) == pytest.approx(2 * 0.258947 * math.sin(1.2) * FPS, rel=1e-3)
    assert float(values["hjf"]) == pytest.approx(100 * 4 / 27, rel=1e-4)
    assert float(values["hjf_bodies"]) == pytest.approx(100 * 4 / 27, rel=1e-4)
    # 40 cm are too few for the first and the last of its third differences, which are a third of the two between.
    turn = math.asin(0.2 / 0.258947)
    alone.frames.joint_rot[0, 15, elbow - 1] = torch.tensor([0.0, 0.0, math.sin(turn), math.cos(turn)])
    assert float(values_of(alone, humanoid)["hjf"]) == pytest.approx(100 * 2 / 27, rel=1e-4)
    assert 0.4 < JERKY / FPS**3 < 2 * 0.258947 * math.sin(1.2)


def test_a_motion_that_ends_a_metre_from_its_last_node_is_a_metre_from_it_seen_from_above(humanoid):
    motions = dataclasses.replace(standing(humanoid, batch=3), finished=torch.tensor([False, True, True]))
    motions.num_frames[1] = 10
    motions.frames.root_pos[1, 10:, 0] += 7.0  # beyond its end
    nodes = torch.tensor([[0.6, -0.8, 2.0], [1.0, 0.0, 0.0], [float("nan")] * 3])
    values = values_of(motions, humanoid, last_nodes=nodes)
    assert values["fwd"][:2].tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert values["finished"][:2].tolist() == [0, 100] and values["accepted"][:2].tolist() == [0, 100]
    for name in ("fwd", "finished", "accepted", "clean"):
        assert values[name][2].isnan(), "a motion without a path has none of that"


def test_a_motion_that_floats_has_its_labels_in_the_air(humanoid):
    values = values_of(standing(humanoid, above=0.3), humanoid)
    assert float(values["floating"]) == 100 and float(values["label_precision"]) == 0
    assert values["label_recall"].isnan(), "no foot stands"
    assert float(values["contact_per_frame"]) == pytest.approx(2 * 300, rel=1e-3)
    assert float(values["tcl"]) == pytest.approx(30 * 0.6, rel=1e-3)


def test_a_motion_hovers_in_the_air_unless_it_falls(humanoid):
    motions = standing(humanoid, batch=3, above=0.3)
    seconds = torch.arange(30) / FPS
    motions.frames.root_pos[1, :, 2] += 3.0 * seconds - 9.81 / 2 * seconds**2 + 2.0  # a throw, high above the ground
    motions.frames.root_pos[2, 10:, 2] -= 0.26  # 4 cm above the ground
    values = values_of(motions, humanoid)
    assert values["hovering"].tolist() == pytest.approx([100, 0, 100 / 3])


def test_who_leans_against_a_wall_hovers(humanoid):
    """It stands with its toes at the middle of a wall of a metre, over a trench."""
    motions = standing(humanoid, above=0.0)
    frames = motions.frames
    points = surface_points(humanoid).placed(
        *humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    )
    edge = float(points[..., 0].max()) - 0.01  # a centimetre of whatever is farthest ahead is in the wall
    heights = torch.where(torch.arange(40) < 20, -0.5, 0.5)[:, None].expand(40, 40)
    wall = Heightfield(heights.contiguous(), torch.tensor([edge - 20 * 0.4 + 0.2, -8.0]), 0.4)
    terrains = laid_end_to_end([wall])
    assert float(values_of(motions, humanoid, terrains)["hovering"]) == 100
    motions.frames.root_pos[..., 2] -= 0.5  # now it stands in the trench
    assert float(values_of(motions, humanoid, terrains)["hovering"]) == 0


def test_labels_are_right_where_feet_touch_and_missed_where_they_stand_without(humanoid):
    motions = standing(humanoid)
    left = humanoid.body_index("left_foot")
    motions.frames.root_pos[0, :6, 2] += 0.05  # 6 of 30 frames in the air
    motions.frames.contacts[0, 20:, left] = 0.0  # and a foot without a label for 10
    values = values_of(motions, humanoid)
    assert float(values["label_precision"]) == pytest.approx(100 * (14 + 24) / (20 + 30), rel=1e-5)
    # What stands: frames 6 to 28, whose next frame is the same; the left foot is labelled in 14 of them.
    assert float(values["label_recall"]) == pytest.approx(100 * (14 + 23) / (23 + 23), rel=1e-5)
    motions.frames.root_pos[..., 0] += 1.1 * SLOW * torch.arange(30) / FPS
    assert values_of(motions, humanoid)["label_recall"].isnan(), "feet that move do not stand"


def random_motions(humanoid, seed: int, frames: int = 8) -> tuple[list[MotionClip], Candidates]:
    """Return clips of other lengths, near rough ground and with any labels, and them as a batch."""
    generator = torch.Generator().manual_seed(seed)
    clips = []
    for number, length in enumerate((frames, frames - 3, frames - 1)):
        pose = standing(humanoid, frames=length).frames
        joints = torch.randn(pose.joint_rot.shape[1:], generator=generator) * 0.1 + torch.tensor([0.0, 0, 0, 1])
        root_rot = torch.randn(length, 4, generator=generator) * 0.1 + torch.tensor([0.0, 0, 0, 1])
        heights = 0.3 * torch.randn(12, 9, generator=generator)
        clips.append(
            MotionClip(
                f"clip_{number}",
                pose.root_pos[0] + 0.2 * torch.randn(length, 3, generator=generator),
                root_rot / root_rot.norm(dim=-1, keepdim=True),
                joints / joints.norm(dim=-1, keepdim=True),
                torch.rand(length, humanoid.num_bodies, generator=generator).mul(1.5).clamp(max=1),
                FPS,
                LoopMode.CLAMP,
                Heightfield(heights, torch.tensor([-2.1, -1.7]), 0.4),
                path_nodes=torch.randn(4, 3, generator=generator),
            )
        )
    return clips, as_batch(clips)


def as_batch(clips: list[MotionClip]) -> Candidates:
    return batch_of([Frames(clip.root_pos, clip.root_rot, clip.joint_rot, clip.contacts) for clip in clips])


def values_of_clips(clips: list[MotionClip], humanoid) -> dict[str, torch.Tensor]:
    terrains = laid_end_to_end([clip.terrain for clip in clips])
    last_nodes = torch.stack([clip.path_nodes[-1] for clip in clips if clip.path_nodes is not None])
    return values_of(as_batch(clips), humanoid, terrains, last_nodes)


@pytest.mark.parametrize("seed", range(3))
def test_a_clip_and_its_mirror_image_measure_the_same(humanoid, seed):
    clips, _ = random_motions(humanoid, seed)
    values = values_of_clips(clips, humanoid)
    mirrored = values_of_clips([mirror_clip(clip, humanoid) for clip in clips], humanoid)
    for name, value in values.items():
        torch.testing.assert_close(mirrored[name], value, rtol=2e-3, atol=1e-3, equal_nan=True)


def test_measures_are_those_of_a_plain_computation(humanoid):
    """Frame by frame and point by point, in loops."""
    clips, _ = random_motions(humanoid, 7)
    values = values_of_clips(clips, humanoid)
    surface = surface_points(humanoid)
    feet = [humanoid.body_index(name) for name in FEET]
    for number, clip in enumerate(clips):
        terrain, none = laid_end_to_end([clip.terrain]), torch.zeros(1, dtype=torch.long)
        penetration = contact = deepest = labelled = right = stands = noticed = deep = 0.0
        middles, near = [], []
        for frame in range(clip.num_frames):
            pose = (clip.root_pos[frame], clip.root_rot[frame], clip.joint_rot[frame])
            points = surface.placed(*humanoid.forward_kinematics(*pose))[None]
            below = (-signed_distance_below_ground(points, terrain, none))[0]
            above = distance_above_ground(points, terrain, none)[0]
            penetration += float(below.sum())
            deepest = max(deepest, float(below.max()))
            deep += float(below.max()) > 0.01
            for body in range(humanoid.num_bodies):
                contact += float(clip.contacts[frame, body]) * float(above[surface.bodies == body].min())
            middles.append([points[0, surface.bodies == foot].mean(0) for foot in feet])
            of_feet = [surface.bodies == foot for foot in feet]
            near.append([max(float(above[foot].min()), float(below[foot].max())) <= FLOATING for foot in of_feet])
        for frame, place in itertools.product(range(clip.num_frames), range(2)):
            is_labelled = float(clip.contacts[frame, feet[place]]) > 0.9
            labelled += is_labelled
            right += is_labelled and near[frame][place]
            if frame + 1 < clip.num_frames:
                speed = float((middles[frame + 1][place] - middles[frame][place]).norm()) * FPS
                is_standing = near[frame][place] and speed < SLOW
                stands += is_standing
                noticed += is_standing and is_labelled
        close = {"rel": 1e-3, "abs": 1e-3, "nan_ok": True}
        assert float(values["tpl"][number]) == pytest.approx(penetration, **close)
        assert float(values["tcl"][number]) == pytest.approx(contact, **close)
        assert float(values["deepest"][number]) == pytest.approx(100 * deepest, **close)
        assert float(values["deep"][number]) == pytest.approx(100 * deep / clip.num_frames, **close)
        expected = 100 * right / labelled if labelled else math.nan
        assert float(values["label_precision"][number]) == pytest.approx(expected, **close)
        expected = 100 * noticed / stands if stands else math.nan
        assert float(values["label_recall"][number]) == pytest.approx(expected, **close)


def test_candidates_are_as_far_apart_as_their_bodies_while_both_go_on():
    generator = torch.Generator().manual_seed(0)
    body_pos = torch.randn(4, 6, 3, 3, generator=generator)
    exists = torch.arange(6) < torch.tensor([6, 4, 5, 2])[:, None]
    distances = []
    for one, other in itertools.combinations(range(4), 2):
        frames = range(min(int(exists[one].sum()), int(exists[other].sum())))
        between = [
            float((body_pos[one, frame, body] - body_pos[other, frame, body]).norm())
            for frame in frames
            for body in range(3)
        ]
        distances.append(sum(between) / len(between))
    assert diversity(body_pos, exists) == pytest.approx(sum(distances) / 6, rel=1e-5)
    apart = torch.zeros(2, 3, 5, 3)
    apart[1, ..., 0] = 0.5
    assert diversity(apart, torch.ones(2, 3, dtype=torch.bool)) == pytest.approx(0.5)
    assert math.isnan(diversity(apart[:1], torch.ones(1, 3, dtype=torch.bool)))
