"""Windows that begin at a wrong height: the previous states are raised or sunk, and the motion comes back."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_settings import paper_sampler
from parc.anim.motion_library import MotionLibrary, library_of
from parc.configuration.errors import UserError
from parc.motion_generator.canonical_frame import RelativeZStyle
from parc.motion_generator.height_error import HeightError
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import WindowDraws
from synthetic_clips import preprocessed, random_clip

ERROR = HeightError(chance=0.75, deviation=0.07, frames=8)


@pytest.fixture(scope="module")
def library(humanoid) -> MotionLibrary:
    return library_of(preprocessed(humanoid, [random_clip(humanoid, 0, frames=90)]), [1.0])


def with_and_without(library, height: float, style: RelativeZStyle):
    sampler = paper_sampler(library, style=style, height_error=ERROR)
    nothing = sampler.draw_nothing(torch.zeros(5, dtype=torch.long), torch.linspace(0, 2, 5))
    return sampler.windows(raised(nothing, height)), sampler.windows(nothing)


def raised(draws: WindowDraws, height: float) -> WindowDraws:
    return dataclasses.replace(draws, height_error=torch.full((5,), height))


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.3, 0.3))
def test_a_window_begins_too_high_sees_its_ground_lower_and_comes_down(library, height):
    """Heights are relative to the root of the last previous state, which is raised: all else sinks as it comes down."""
    wrong, right = with_and_without(library, height, RelativeZStyle.RELATIVE_TO_ROOT)
    back = wrong.frames.root_pos[..., 2] - right.frames.root_pos[..., 2]
    torch.testing.assert_close(back[:, :2], torch.zeros(5, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(back[:, 9:], torch.full((5, 6), -height), rtol=0, atol=1e-5)
    between = back[:, 1:10].diff(dim=1) * (-1 if height > 0 else 1)
    assert (between > -1e-5).all()
    torch.testing.assert_close(wrong.frames.root_pos[..., :2], right.frames.root_pos[..., :2])
    inside = right.heightmap.abs() < 2.6  # what is farther is clamped
    lower = (wrong.heightmap - right.heightmap)[inside]
    torch.testing.assert_close(lower, torch.full_like(lower, -height), rtol=0, atol=1e-4)


def test_heights_over_the_floor_keep_their_ground_and_begin_too_high(library):
    wrong, right = with_and_without(library, 0.1, RelativeZStyle.RELATIVE_TO_ROOT_FLOOR)
    torch.testing.assert_close(wrong.heightmap, right.heightmap)
    back = wrong.frames.root_pos[..., 2] - right.frames.root_pos[..., 2]
    torch.testing.assert_close(back[:, :2], torch.full((5, 2), 0.1), rtol=0, atol=1e-5)
    torch.testing.assert_close(back[:, 9:], torch.zeros(5, 6), rtol=0, atol=1e-5)


@pytest.mark.parametrize("height", [0.2, 0.05, -0.05])
def test_labels_of_contact_fade_with_the_height_that_is_wrong(library, height):
    """A label without contact teaches a model to label feet in the air."""
    wrong, right = with_and_without(library, height, RelativeZStyle.RELATIVE_TO_ROOT_FLOOR)
    off = (wrong.frames.root_pos - right.frames.root_pos)[..., 2].abs()
    expected = right.frames.contacts * (1 - off / 0.1).clamp(min=0)[..., None]
    torch.testing.assert_close(wrong.frames.contacts, expected, rtol=0, atol=1e-5)
    assert bool((wrong.frames.contacts[:, 0] == 0).all()) == (height == 0.2)
    torch.testing.assert_close(wrong.frames.contacts[:, 9:], right.frames.contacts[:, 9:])


def test_as_many_windows_have_an_error_as_are_to_and_as_large_a_one():
    errors = ERROR.draw(torch.Generator().manual_seed(0), 20000)
    assert float((errors != 0).float().mean()) == pytest.approx(0.75, abs=0.01)
    assert float(errors[errors != 0].std()) == pytest.approx(0.07, abs=0.001)


def test_without_a_chance_of_any_no_random_number_is_drawn():
    random, untouched = (torch.Generator().manual_seed(0) for _ in range(2))
    assert not HeightError(chance=0.0, deviation=0.07, frames=8).draw(random, 8).any()
    assert torch.equal(random.get_state(), untouched.get_state())


@pytest.mark.parametrize(("name", "value"), [("chance", 1.5), ("deviation", -0.1), ("frames", 0)])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(UserError, match=rf"sampler\.height_error\.{name} is {value}"):
        dataclasses.replace(ERROR, **{name: value})


def test_errors_that_a_window_is_too_short_to_put_right_are_refused(library):
    late = dataclasses.replace(ERROR, frames=14)
    with pytest.raises(UserError, match=r"sampler\.height_error\.frames is 14, expected at most the 13 frames"):
        paper_sampler(library, height_error=late)
