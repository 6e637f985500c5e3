"""Contact labels set by hand change what is meant and nothing else; those from geometry are where bodies stand."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_settings import standing_frames
from parc.anim.contact_labels import with_contact, with_contacts_from_geometry
from parc.anim.motion_clip import MotionClip
from parc.anim.surface_points import surface_points
from parc.configuration.errors import UserError
from parc.terrain.heightfield import Heightfield
from synthetic_clips import random_clip

FEET = ["left_foot", "right_foot"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.data(), st.floats(0, 1))
def test_a_label_is_set_in_the_frames_that_are_meant_and_setting_it_back_gives_the_clip(humanoid, seed, data, label):
    clip = random_clip(humanoid, seed, frames=20)
    first = data.draw(st.integers(0, 19))
    last = data.draw(st.integers(first + 1, 20))
    body = data.draw(st.sampled_from(humanoid.body_names))
    before = clip.contacts.clone()
    after = with_contact(clip, humanoid, body, first, last, label)
    assert torch.equal(clip.contacts, before)
    meant = torch.zeros_like(before, dtype=torch.bool)
    meant[first:last, humanoid.body_index(body)] = True
    torch.testing.assert_close(after.contacts[meant], torch.full((last - first,), label))
    assert torch.equal(after.contacts[~meant], before[~meant])
    assert dataclasses.replace(after, contacts=clip.contacts) == clip
    for frame in range(first, last):
        after = with_contact(after, humanoid, body, frame, frame + 1, float(before[frame, humanoid.body_index(body)]))
    assert torch.equal(after.contacts, before)


def test_what_is_no_label_no_body_and_no_range_is_one_line(humanoid):
    clip = random_clip(humanoid, frames=10)
    with pytest.raises(UserError, match="no body 'left_hoof'; did you mean 'left_foot'"):
        with_contact(clip, humanoid, "left_hoof", 0, 3, 1.0)
    for first, last in ((-1, 3), (3, 3), (5, 11)):
        with pytest.raises(UserError, match="expected a range within 0 to 10"):
            with_contact(clip, humanoid, "left_foot", first, last, 1.0)
    for label in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="expected 0 to 1"):
            with_contact(clip, humanoid, "left_foot", 0, 3, label)


def standing_clip(humanoid, above: float, speed: float = 0.0, ground: float = 0.0) -> MotionClip:
    """Return a clip that stands upright, its feet so far (metres) above level ground, carried along x."""
    frames = standing_frames(1, humanoid, 12).each(lambda values: values[0])
    points = surface_points(humanoid).placed(
        *humanoid.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
    )
    moved = torch.stack([torch.arange(12) * speed / 30, torch.zeros(12), torch.full((12,), above + ground)], dim=-1)
    lowest = torch.tensor([0.0, 0.0, 1.0]) * points[..., 2].min()
    clip = random_clip(humanoid, frames=12)
    terrain = Heightfield(torch.full((20, 20), ground), torch.tensor([-4.0, -4.0]), 0.4)
    frames = dataclasses.replace(frames, root_pos=frames.root_pos - lowest + moved, contacts=clip.contacts)
    return dataclasses.replace(clip.with_frames(frames), terrain=terrain)


@pytest.mark.parametrize(
    ("above", "speed", "labelled"),
    [
        (0.0, 0.0, True),
        (0.019, 0.0, True),
        (0.021, 0.0, False),
        (-0.05, 0.0, True),
        (0.0, 0.19, True),
        (0.0, 0.21, False),
    ],
)
def test_feet_are_labelled_where_they_are_on_the_ground_and_slow(humanoid, above, speed, labelled):
    clip = standing_clip(humanoid, above, speed, ground=0.7)
    contacts = with_contacts_from_geometry(clip, humanoid, surface_points(humanoid)).contacts
    feet = [humanoid.body_index(foot) for foot in FEET]
    assert contacts.dtype == clip.contacts.dtype and (contacts[:, feet] == float(labelled)).all()
    others = [body for body in range(humanoid.num_bodies) if body not in feet]
    assert (contacts[:, others] == 0).all()


def test_a_foot_is_labelled_from_the_frame_in_which_it_comes_down_to_that_in_which_it_leaves(humanoid):
    clip = standing_clip(humanoid, 0.0)
    lifted = clip.root_pos + torch.tensor([0.0, 0.0, 0.3]) * torch.tensor([1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1])[:, None]
    clip = dataclasses.replace(clip, root_pos=lifted)
    contacts = with_contacts_from_geometry(clip, humanoid, surface_points(humanoid)).contacts
    assert contacts[:, humanoid.body_index("left_foot")].tolist() == [0.0] * 3 + [1.0] * 4 + [0.0] * 5
