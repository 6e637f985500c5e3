"""Files with skeletons of LAFAN1 and CMU become clips of our humanoid: as near as its build lets it, on flat ground."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.demo_motions.generator import make_clip
from parc.exchange.bvh import bvh_document
from parc.exchange.bvh_document import BvhDocument, BvhJoint
from parc.exchange.bvh_file import write_bvh_file
from parc.exchange.bvh_skeletons import SKELETONS, read_bvh, skeleton_of

ROTATIONS = ("Zrotation", "Yrotation", "Xrotation")
OURS = {"pelvis": "Hips", "torso": "Spine1", "head": "Neck"} | {
    f"{side}_{body}": f"{side.capitalize()}{joint}"
    for side in ("left", "right")
    for body, joint in {
        "upper_arm": "Arm", "lower_arm": "ForeArm", "hand": "Hand", "thigh": "UpLeg", "shin": "Leg", "foot": "Foot",
    }.items()
}  # fmt: skip
TOES = {"LAFAN1": "Toe", "CMU": "ToeBase"}


def fixed(kind):
    """Return the joints that they have and we do not, by ours that they are fixed to: names and places in centimetres, y up."""
    toe = (0.0, -3.0, 12.0)
    return {
        "Hips": ("Spine", (0.0, 7.0, -3.0)), "Neck": ("Head", (0.0, 12.0, 0.0)),
        "LeftFoot": (f"Left{TOES[kind]}", toe), "RightFoot": (f"Right{TOES[kind]}", toe),
    }  # fmt: skip


@pytest.fixture(scope="module")
def walk(humanoid) -> MotionClip:
    """Two seconds of a walk over level ground."""
    clip = make_clip(2, 37, humanoid, surface_points(humanoid))
    return clip.with_frames(clip.frames.each(lambda values: values[60:120]))


def as_captured(clip, humanoid, kind, scale, height=0.0, repeated=1) -> BvhDocument:
    """Return a clip as someone larger or smaller would have captured it, in another unit, their floor at another height."""
    ours = bvh_document(clip, humanoid)
    joints, columns, number_of = [], [], {}
    first = 0
    for number, joint in enumerate(ours.joints):
        number_of[number] = len(joints)
        parent = number_of[joint.parent] if number else -1
        offset = tuple((scale * np.array(joint.offset)).tolist())
        joints.append(BvhJoint(OURS[joint.name], parent, offset, joint.channels))
        columns.append(ours.values[:, first : first + len(joint.channels)])
        first += len(joint.channels)
        if OURS[joint.name] in fixed(kind):
            name, place = fixed(kind)[OURS[joint.name]]
            joints.append(BvhJoint(name, len(joints) - 1, tuple((scale * np.array(place)).tolist()), ROTATIONS))
            columns.append(np.zeros((len(ours.values), 3)))
    columns[0] = columns[0] * np.array([scale, scale, scale, 1, 1, 1]) + np.array([0, height, 0, 0, 0, 0])
    # T-pose first where theirs have one.
    values = np.concatenate(columns, axis=1)[1 if kind == "LAFAN1" else 0 :]
    return BvhDocument(tuple(joints), values.repeat(repeated, axis=0), ours.frame_time / repeated)


@pytest.mark.parametrize(("kind", "scale", "height"), [("LAFAN1", 1.13, 4.0), ("CMU", 0.2, -7.0)])
def test_a_walk_that_was_captured_comes_back(walk, humanoid, tmp_path, kind, scale, height):
    write_bvh_file(tmp_path / "walk1.bvh", as_captured(walk, humanoid, kind, scale, height))
    imported, _ = read_bvh(tmp_path / "walk1.bvh", humanoid)
    clip = imported.clip
    assert clip.name == "walk1_0" and clip.fps == 30 and clip.num_frames == walk.num_frames
    assert (clip.terrain.heights == 0).all()
    assert imported.measures["joint error (cm)"] < 2 and imported.measures["deepest (cm)"] < 2
    found, _ = humanoid.forward_kinematics(clip.root_pos, clip.root_rot, clip.joint_rot)
    expected, _ = humanoid.forward_kinematics(walk.root_pos, walk.root_rot, walk.joint_rot)
    level = walk.terrain.heights_at(expected[:, humanoid.body_index("left_foot"), :2]).median()
    expected = expected - torch.stack([*walk.root_pos[0, :2], level])
    assert (found - expected).norm(dim=-1).mean() < 0.02
    feet = [humanoid.body_index(f"{side}_foot") for side in ("left", "right")]
    assert ((clip.contacts[:, feet] > 0.5) == (walk.contacts[:, feet] > 0.5)).float().mean() > 0.8
    assert clip.contacts[:, feet].mean() > 0.2
    stands = clip.contacts[:, feet] > 0.5
    assert found[:, feet, 2][stands].mean() == pytest.approx(0.05, abs=0.02)


def test_other_frame_rates_become_thirty(walk, humanoid, tmp_path):
    document = as_captured(walk, humanoid, "LAFAN1", 1.0, repeated=4)
    assert document.frame_time == pytest.approx(1 / 120)
    write_bvh_file(tmp_path / "a.bvh", document)
    imported, _ = read_bvh(tmp_path / "a.bvh", humanoid)
    assert imported.clip.num_frames == walk.num_frames
    assert imported.measures["joint error (cm)"] < 2


def test_skeletons_are_known_by_their_names(tmp_path):
    lafan1, cmu = SKELETONS
    assert skeleton_of(tmp_path, [*lafan1.joint_of().values(), "Finger"]) is lafan1
    assert skeleton_of(tmp_path, list(cmu.joint_of().values())) is cmu
    assert lafan1.joint_of()["left_hip"] == "LeftUpLeg" and lafan1.joint_of()["right_toe"] == "RightToe"


def test_other_skeletons_are_refused_by_what_they_lack(walk, humanoid, tmp_path):
    document = as_captured(walk, humanoid, "LAFAN1", 1.0)
    renamed = tuple(replace(joint, name=joint.name.replace("Toe", "Ball")) for joint in document.joints)
    write_bvh_file(tmp_path / "a.bvh", replace(document, joints=renamed))
    with pytest.raises(UserError, match=r"a\.bvh: the skeleton lacks LeftToe, RightToe, expected the joints of LAFAN1"):
        read_bvh(tmp_path / "a.bvh", humanoid)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values[:2], r"a\.bvh: lasts 0\.0667 s"),
        (lambda values: np.concatenate([values, values[-1:] + 1e6]), r"a\.bvh: goes farther than 1000 m"),
    ],
)
def test_what_is_no_motion_of_a_body_is_refused(walk, humanoid, tmp_path, change, message):
    document = as_captured(walk, humanoid, "LAFAN1", 1.0)
    write_bvh_file(tmp_path / "a.bvh", replace(document, values=change(document.values)))
    with pytest.raises(UserError, match=message):
        read_bvh(tmp_path / "a.bvh", humanoid)


def test_a_body_without_legs_is_refused(walk, humanoid, tmp_path):
    document = as_captured(walk, humanoid, "LAFAN1", 0.0)
    write_bvh_file(tmp_path / "a.bvh", document)
    with pytest.raises(UserError, match=r"a\.bvh: .*expected legs"):
        read_bvh(tmp_path / "a.bvh", humanoid)
