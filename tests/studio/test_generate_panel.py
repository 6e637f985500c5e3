"""The panel that makes motions, without a browser: characters go where is clicked, and candidates are chosen from."""

import pytest
import torch

from parc.studio import generate_panel
from parc.studio.generate_panel import ANEW, FRAME_SHOWN


def test_without_a_model_the_panel_says_how_to_get_one(person):
    assert "give `--model RUN`" in person.read()
    assert person.element("a click on the ground").value == "nothing"


def test_a_click_makes_candidates_and_the_one_chosen_is_gone_on_from(with_model):
    person = with_model
    start = person.studio.clip
    end = start.root_pos[-1, :2].tolist()
    person.click(end[0] - 2.0, end[1])
    assert len(person.studio.scene.motions) == 2
    choice = person.element("candidate")
    assert len(choice.options) == 2
    person.set("candidate", choice.options[1])
    person.press("Go on with this one")
    first = person.studio.clip
    assert len(person.studio.scene.motions) == 1
    torch.testing.assert_close(first.root_pos[:40], start.root_pos)
    assert (first.root_pos[-1, :2] - torch.tensor([end[0] - 2.0, end[1]])).norm() < 0.6
    person.click(end[0] - 2.0, end[1] + 1.6)
    torch.testing.assert_close(person.studio.clip.root_pos[: first.num_frames], first.root_pos)
    assert person.told == []
    person.press("Undo")
    assert person.studio.clip.num_frames == first.num_frames


def test_a_motion_goes_on_from_the_frame_that_is_shown(with_model):
    with_model.press("play / pause")
    with_model.set("frame", 10)
    with_model.set("go on from", FRAME_SHOWN)
    before = with_model.studio.clip
    with_model.click(5.2, 3.2)
    torch.testing.assert_close(with_model.studio.clip.root_pos[:11], before.root_pos[:11])
    assert not torch.allclose(with_model.studio.clip.root_pos[11:20], before.root_pos[11:20])


def test_a_motion_begins_at_the_first_click(with_model):
    with_model.set("go on from", ANEW)
    with_model.click(1.2, 1.2)
    assert with_model.told == [("Begins there", "Now click where it is to go.", "blue")]
    with_model.click(4.0, 1.2)
    clip = with_model.studio.clip
    assert (clip.root_pos[0, :2] - torch.tensor([1.2, 1.2])).norm() < 0.1
    assert (clip.root_pos[-1, :2] - torch.tensor([4.0, 1.2])).norm() < 0.6


def test_a_path_that_is_drawn_is_walked(with_model):
    with_model.set("a click on the ground", "draw a path")
    with_model.set("straight to the place", True)
    for place in [(3.2, 4.4), (1.2, 4.4)]:
        with_model.click(*place)
    with_model.press("Walk the path that was drawn")
    nodes = with_model.studio.clip.path_nodes
    assert (nodes[:, :2] - torch.tensor([3.2, 4.4])).norm(dim=1).min() < 0.3
    torch.testing.assert_close(nodes[-1, :2], torch.tensor([1.2, 4.4]))


def test_after_the_terrain_changes_the_motion_is_made_again(with_model):
    with_model.click(1.2, 3.2)
    first = with_model.studio.clip
    with_model.set("a click on the ground", "raise the ground")
    with_model.set("height (m)", 0.1)
    with_model.set("radius (m)", 3.0)
    with_model.click(2.0, 3.2)
    again = with_model.studio.clip
    assert again.terrain.heights.max() == pytest.approx(0.1)
    assert again.path_nodes[:, 2].max() > first.path_nodes[:, 2].max()


def test_a_motion_that_is_chosen_has_nothing_to_do_with_what_was_made_before(with_model):
    with_model.click(1.2, 3.2)
    with_model.press("next")
    with_model.press("previous")
    with_model.set("a click on the ground", "raise the ground")
    with_model.click(1.2, 1.2)
    assert with_model.studio.clip.num_frames == 40
    assert with_model.studio.clip.path_nodes is None
    with pytest.raises(StopIteration):
        with_model.element("candidate")


def test_a_place_without_a_way_is_said_in_one_line_and_the_next_click_is_a_new_one(with_model):
    with_model.set("a click on the ground", "raise the ground")
    with_model.set("height (m)", 2.0)
    with_model.click(1.2, 1.2)
    with_model.click(1.2, 1.2)  # higher than anybody climbs
    with_model.set("a click on the ground", "go there")
    before = with_model.studio.clip
    with_model.click(1.2, 1.2)
    assert [(title, colour) for title, _, colour in with_model.told] == [("That cannot be done", "red")]
    assert with_model.studio.clip is before
    with_model.click(4.8, 4.8)
    torch.testing.assert_close(with_model.studio.clip.path_nodes[-1, :2], torch.tensor([4.8, 4.8]))


def test_while_motions_are_made_another_click_asks_for_none(with_model, monkeypatch):
    """A second click, in a thread of its own, must neither wait nor mix its place with that of the first."""
    answered = generate_panel.answered

    def impatient(*asked):
        with_model.click(4.8, 4.8)
        return answered(*asked)

    monkeypatch.setattr(generate_panel, "answered", impatient)
    with_model.click(1.2, 3.2)
    assert [(title, colour) for title, _, colour in with_model.told] == [("That cannot be done", "red")]
    torch.testing.assert_close(with_model.studio.clip.path_nodes[-1, :2], torch.tensor([1.2, 3.2]))


def test_a_click_on_the_ground_of_another_candidate_goes_on_with_that(with_model):
    person = with_model
    person.click(1.2, 3.2)
    second = person.studio.scene.motions[1]
    person.set("a click on the ground", "raise the ground")
    person.set("make the motion again", False)
    person.click(4.8, 4.8, number=1)
    assert person.studio.clip.frames.same_as(second.clip.frames)
