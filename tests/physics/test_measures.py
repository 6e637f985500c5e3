"""What is said of a simulated motion is so: of motions that are off by what is known."""

from dataclasses import replace

import pytest
import torch
from easy_clips import FEET, standing_clip

from parc.anim.motion_clip import MotionClip
from parc.physics.measures import (
    BODIES_OFF,
    ROOT_OFF,
    WORST_BODIES_OFF,
    measures_of_simulated,
    why_no_success,
)


def moved(clip: MotionClip, shift: torch.Tensor) -> MotionClip:
    return replace(clip, root_pos=clip.root_pos + shift)


def shift_of(clip: MotionClip, axis: int, values: torch.Tensor) -> torch.Tensor:
    shift = torch.zeros(clip.num_frames, 3)
    shift[:, axis] = values
    return shift


def test_a_motion_that_is_the_clip_is_not_off(humanoid):
    clip = standing_clip()
    found = measures_of_simulated(clip, clip, humanoid, FEET)
    assert found[ROOT_OFF] == found[BODIES_OFF] == found[WORST_BODIES_OFF] == 0
    assert found["smoothness"] == pytest.approx(1) and found["contact precision (%)"] == 100
    assert found["slide (m/s)"] == found["slide of the clip (m/s)"] < 0.02
    assert found["deep (%)"] == found["deep of the clip (%)"] == 0


def test_distances_are_in_metres_and_speeds_in_metres_a_second(humanoid):
    clip = standing_clip()
    frames = torch.arange(clip.num_frames)
    drifting = moved(clip, shift_of(clip, 1, 0.01 * frames))
    found = measures_of_simulated(drifting, clip, humanoid, FEET)
    last = 0.01 * (clip.num_frames - 1)
    assert found[ROOT_OFF] == found[WORST_BODIES_OFF] == pytest.approx(last, rel=1e-3)
    assert found[BODIES_OFF] == pytest.approx(last / 2, rel=1e-3)
    assert found["slide (m/s)"] == pytest.approx(0.3, abs=0.02)
    assert found["slide of the clip (m/s)"] < 0.02
    sunk = moved(clip, shift_of(clip, 2, torch.where(frames < 4, -0.05, 0.0)))
    found = measures_of_simulated(sunk, clip, humanoid, FEET)
    assert found["deep (%)"] == pytest.approx(400 / clip.num_frames) and found["deep of the clip (%)"] == 0
    assert found["smoothness"] > 2


def test_contacts_count_where_the_clip_labels_them(humanoid):
    clip = standing_clip()
    left = humanoid.body_index("left_foot")
    labels = clip.contacts.clone()
    assert labels[:, left].min() == 1
    labels[:, left] = 0
    found = measures_of_simulated(clip, replace(clip, contacts=labels), humanoid, FEET)
    assert (found["contact precision (%)"], found["contact recall (%)"]) == (50, 100)
    found = measures_of_simulated(replace(clip, contacts=labels), clip, humanoid, FEET)
    assert (found["contact precision (%)"], found["contact recall (%)"]) == (100, 50)
    nowhere = replace(clip, contacts=torch.zeros_like(labels))
    found = measures_of_simulated(nowhere, clip, humanoid, FEET)
    assert "contact precision (%)" not in found and found["contact recall (%)"] == 0, "it never touches the ground"


def test_a_success_is_near_in_every_frame():
    near = {ROOT_OFF: 0.29, WORST_BODIES_OFF: 0.49}
    assert why_no_success(near) == ""
    assert why_no_success(near | {ROOT_OFF: 0.3}) == "root off (m) is 0.30, expected less than 0.3"
    assert why_no_success(near | {WORST_BODIES_OFF: 0.6}).startswith("bodies off at worst (m) is 0.60")
