"""BVH files of any tool are read; broken ones give one line that says where, whatever is broken."""

import numpy as np
import pybvh
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parc.configuration.errors import UserError
from parc.exchange.bvh_document import BvhDocument, BvhJoint
from parc.exchange.bvh_file import read_bvh_file, write_bvh_file

POSITIONS, ROTATIONS = ("Xposition", "Yposition", "Zposition"), ("Zrotation", "Xrotation", "Yrotation")
ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 0 90 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Upper Arm
  {
    OFFSET 10 0 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 5 0 0
    }
  }
}
MOTION
Frames: 2
Frame Time: .05
1 2 3 90 0 0 0 0 0
1 2 3 0 90 0 10 20 30
"""


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "take.bvh"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_bvh_file(path)

    return read_text


@st.composite
def skeletons(draw):
    """Return name, parent, offset and channels of each joint."""
    joints = []
    for number in range(draw(st.integers(1, 6))):
        # Depth first: the parent is the joint before or one above it.
        line, above = [], number - 1
        while above >= 0:
            line.append(above)
            above = joints[above][1]
        parent = draw(st.sampled_from(line)) if line else -1
        offset = tuple(draw(st.lists(st.integers(-50, 50).map(float), min_size=3, max_size=3)))
        rotations = tuple(draw(st.permutations(ROTATIONS)))
        channels = draw(st.sampled_from([rotations, (*POSITIONS, *rotations), (*rotations, *POSITIONS)]))
        joints.append((f"joint{number}", parent, offset, channels))
    return joints


def moving(skeleton):
    joints = tuple(BvhJoint(*joint) for joint in skeleton)
    width = sum(len(joint.channels) for joint in joints)
    return BvhDocument(joints, 180 * np.sin(np.arange(1.0, 3 * width + 1)).reshape(3, width), 0.025)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(skeletons())
def test_what_is_written_is_read_again(tmp_path, skeleton):
    document, path = moving(skeleton), tmp_path / "a.bvh"
    write_bvh_file(path, document)
    again = read_bvh_file(path)
    assert again.joints == document.joints and again.frame_time == document.frame_time
    assert again.values == pytest.approx(document.values, abs=1e-6)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(skeletons(), st.permutations(ROTATIONS))
def test_joints_are_where_an_independent_reader_has_them(tmp_path, skeleton, order):
    # That reader takes positions of the root alone.
    channels = [(*POSITIONS, *order)] + [tuple(c for c in joint[3] if c in ROTATIONS) for joint in skeleton[1:]]
    document = moving([(*joint[:3], of_joint) for joint, of_joint in zip(skeleton, channels, strict=True)])
    write_bvh_file(tmp_path / "a.bvh", document)
    theirs = pybvh.read_bvh_file(str(tmp_path / "a.bvh")).joint_positions()
    assert document.joint_positions().numpy() == pytest.approx(theirs, abs=1e-3)


def test_names_orders_and_places(read):
    document = read(ARM)
    assert [joint.name for joint in document.joints] == ["Hips", "Upper Arm"]
    assert document.joints[1].end_site == (5, 0, 0)
    assert document.frame_time == 0.05
    # A quarter turn about z takes x to y, one about y takes x to -z.
    assert document.joint_positions()[:, 1].numpy() == pytest.approx(np.array([[1, 12, 3], [1, 2, -7]]), abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        ARM.replace("\n", "\r\n"),
        ARM.replace("\n", "\r"),
        ARM.replace("  ", "\t"),
        ARM.replace("\n{", " {"),
        ARM.replace(" 0\n", " 0 \n\n"),
        "\ufeff" + ARM,
        ARM.replace("JOINT", "joint").replace("End Site", "End site").replace("Zrotation", "ZRotation"),
        ARM.removesuffix("\n"),
    ],
    ids=["Windows", "old Macs", "tabs", "braces at the end", "empty lines", "byte order mark", "capitals", "no last line end"],
)  # fmt: skip
def test_other_tools_ways_of_writing_are_read_alike(read, text):
    expected, document = read(ARM), read(text)
    assert document.joints == expected.joints
    assert (document.values == expected.values).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ARM.replace("  OFFSET 0 90 0\n", ""), "line 5: a JOINT within a joint that has no OFFSET and CHANNELS yet"),
        (ARM.replace("OFFSET 10 0 0", "OFFSET 10 0"), "line 8: OFFSET 10 0, expected three numbers"),
        (ARM.replace("OFFSET 10 0 0", "OFFSET 10 0 nan"), "line 8: OFFSET 10 0 nan, expected numbers up to"),
        (ARM.replace("3 Yrotation", "4 Yrotation"), "line 9: CHANNELS 4"),
        (ARM.replace("3 Yrotation", "3 Xrotation"), "line 9: CHANNELS 3 Xrotation Xrotation Zrotation, expected 3 and"),
        (ARM.replace("3 Yrotation", "3 Wrotation"), "line 9: CHANNELS 3 Wrotation"),
        (ARM.replace("6 Xposition Yposition", "5 Xposition"), "line 5: CHANNELS 5"),
        (ARM.replace("      OFFSET 5 0 0\n", ""), "line 12: ends an End Site without an OFFSET"),
        (ARM.replace("}\nMOTION", "MOTION"), "line 15: 'MOTION' has no place there"),
        (ARM.replace("}\nMOTION", "}\nROOT B\n{\n}\nMOTION"), "line 16: a second ROOT"),
        (ARM.replace("ROOT Hips\n{", "ROOT Hips"), "line 3: 'OFFSET', expected a '{' after each ROOT"),
        (ARM.replace("ROOT Hips", "ROOT"), "line 2: a ROOT without a name"),
        (ARM.split("MOTION")[0], "ends within its HIERARCHY"),
        (ARM.replace("Frames: 2", "Frames: 3"), "Frames is 3, but 2 lines of channels follow"),
        (ARM.replace("Frames: 2", "Frames: 1e300"), "Frames is 1e+300, but 2 lines"),
        (ARM.replace("Frames: 2", "Frames: two"), "line 17: 'Frames: two', expected 'Frames:' and a number"),
        (ARM.replace("Frame Time: .05", "Frame Time: 0"), "line 18: Frame Time is 0"),
        (ARM.replace("1 2 3 0 90", "1 2 3 0"), "line 20: 8 numbers, expected the 9 channels"),
        (ARM.replace("10 20 30", "10 inf 30"), "line 20: 'inf' in column 8"),
        (ARM.replace("10 20 30", "10 1e99 30"), "line 20: '1e99' in column 8"),
        (ARM.replace("10 20 30", "10 2O 30"), "line 20: '2O' in column 8"),
        ("PK\x03\x04", "line 1: "),
        ("", "ends within its HIERARCHY"),
        ("HIERARCHY\n" + "ROOT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Xrotation Yrotation Zrotation\n"
         + "JOINT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Xrotation Yrotation Zrotation\n" * 1000, "more than 1000 joints"),
    ],
)  # fmt: skip
def test_broken_files_give_one_line_that_says_where(read, tmp_path, text, message):
    with pytest.raises(UserError) as error:
        read(text)
    assert str(error.value).startswith(f"{tmp_path / 'take.bvh'}: ") and "\n" not in str(error.value)
    assert message in str(error.value)


def test_a_deep_skeleton_needs_no_deep_stack(tmp_path):
    joints = tuple(BvhJoint(f"j{number}", number - 1, (0.0, 1.0, 0.0), ROTATIONS) for number in range(1000))
    write_bvh_file(tmp_path / "a.bvh", BvhDocument(joints, np.zeros((1, 3000)), 0.1))
    assert read_bvh_file(tmp_path / "a.bvh").joints == joints


def test_files_beyond_the_limits_are_refused_before_they_are_taken_apart(tmp_path, monkeypatch):
    path = tmp_path / "a.bvh"
    path.write_text(ARM)
    monkeypatch.setattr("parc.exchange.bvh_file.MOST_LINES", 19)
    with pytest.raises(UserError, match="more than 19 lines"):
        read_bvh_file(path)
    monkeypatch.setattr("parc.exchange.bvh_file.LARGEST_BVH", 100)
    with pytest.raises(UserError, match="expected at most"):
        read_bvh_file(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_bvh_file(tmp_path / "none.bvh")


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, len(ARM)),
    flips=st.lists(st.tuples(st.integers(0, len(ARM) - 1), st.integers(0, 255)), max_size=4),
)
def test_damaged_files_are_refused_or_whole(read, cut, flips):
    data = bytearray(ARM.encode())
    for place, value in flips:
        data[place] = value
    try:
        document = read(bytes(data[:cut]) if cut % 3 else bytes(data))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert document.values.shape == (2, sum(len(joint.channels) for joint in document.joints))
        assert np.isfinite(document.joint_positions().numpy()).all()
