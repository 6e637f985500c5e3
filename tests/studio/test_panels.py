"""The studio's panels without a browser: what is used by its label does what it says, and mistakes are told in one line."""

import os
from unittest import mock

import numpy as np
import pytest
import torch
from viser._messages import SetPositionMessage

from parc.anim.clip_files import read_clip
from parc.studio import motion_list
from parc.studio.motion_list import UNREFINED
from parc.studio.watch_panel import ON_ONE_GROUND, PAGE_SIZE


def test_the_first_motion_is_shown_with_its_figures(person):
    assert person.studio.clip.name == "still"
    assert "1.3 s" in person.read()
    assert "1 to 2 of 2 motions" in person.read()


def test_next_shows_the_next_motion_in_its_versions_and_stops_at_the_last(person):
    person.press("next")
    assert [motion.label for motion in person.studio.scene.motions] == ["refined", UNREFINED]
    person.press("next")
    assert person.studio.clip.name == "walk"
    person.set("version", UNREFINED)
    assert [motion.label for motion in person.studio.scene.motions] == [UNREFINED]
    person.press("previous")
    assert person.studio.clip.name == "still"


def test_motions_are_found_by_parts_of_their_names(person):
    person.set("find", "WAL")
    assert person.studio.clip.name == "walk"
    person.set("find", "nonsense")
    assert "No motion of 2 is called so." in person.read()
    assert person.studio.clip.name == "walk"


def test_what_is_kept_stands_beside_what_is_chosen_next(person):
    person.press("keep beside")
    person.press("next")
    assert [motion.clip.name for motion in person.studio.scene.motions] == ["walk", "walk", "still"]
    assert len(person.studio.scene.grounds) == 3
    person.set("several motions", ON_ONE_GROUND)
    assert len(person.studio.scene.grounds) == 1
    person.press("alone")
    assert len(person.studio.scene.motions) == 2


def test_a_motion_that_is_alone_again_is_said_to_be_where_its_world_is(person):
    """Browsers leave a node of a known name where it was, unless they are told where it is."""
    person.press("next")
    told = {}
    scene = person.studio.server.scene
    queue = scene._queue_scene_message
    with mock.patch.object(
        scene, "_queue_scene_message", lambda message: (told.update(where(message)), queue(message))
    ):
        person.press("previous")
    assert told["/motions/ground_0"] == told["/motions/motion_0"] == (0.0, 0.0, 0.0)


def where(message):
    return {message.name: message.position} if isinstance(message, SetPositionMessage) else {}


@pytest.mark.parametrize("layer", ["contacts", "way of the root, path", "names of bodies", "names of motions"])
def test_layers_change_nothing_but_the_picture(person, layer):
    box = person.element(layer)
    person.studio.playback.go_to(7)
    person.set(layer, not box.value)
    assert person.studio.playback.frame == 7
    assert person.studio.clip.name == "still"


def test_what_the_model_sees_moves_with_the_frames_and_goes_away(person):
    scene = person.studio.server.scene
    person.set("what the model sees", True)
    points = scene._handle_from_node_name["/model_sees/heights"].points.copy()
    person.set("frame", 30)
    assert not np.array_equal(points, scene._handle_from_node_name["/model_sees/heights"].points)
    person.set("what the model sees", False)
    assert "/model_sees/heights" not in scene._handle_from_node_name


def test_play_pause_steps_and_the_slider(person):
    playback = person.studio.playback
    person.press("play / pause")
    assert not playback.playing
    person.press("+ 1")
    person.press("+ 1")
    person.press("- 1")
    assert playback.frame == 1 == person.element("frame").value
    person.set("frame", 25)
    assert playback.frame == 25
    person.set("again at the end", False)
    person.set("frame", 39)
    person.press("play / pause")
    assert (playback.playing, playback.frame) == (True, 0)
    person.set("speed", "1/2 x")
    playback.pass_time(0.2)
    assert playback.frame == 3


def test_dragging_the_slider_ends_where_it_was_left(person):
    """Frames are shown by several threads, and the slider goes on while one of them is: none may set it back."""
    slider = person.element("frame")
    original = person.studio.scene.at

    def slow(frame):
        if frame == 5:
            slider._impl.value = 9  # the browser is ahead
        original(frame)

    person.studio.scene.at = slow
    person.set("frame", 5)
    assert slider.value == 9


def test_the_ground_is_raised_lowered_levelled_and_undone(person):
    def heights():
        return person.studio.clip.terrain.heights

    person.set("a click on the ground", "raise the ground")
    person.set("height (m)", 0.5)
    person.set("radius (m)", 0.0)
    person.click(2.0, 3.2)
    assert heights()[5, 8] == 0.5
    assert (heights() != 0).sum() == 1
    person.set("a click on the ground", "lower the ground")
    person.click(2.0, 3.2)
    assert heights().abs().max() == 0
    person.press("Undo")
    assert heights()[5, 8] == 0.5
    person.set("a click on the ground", "level the ground")
    person.set("radius (m)", 0.5)
    person.click(2.0, 3.2)
    assert (heights() == 0.5).sum() == 5
    for _ in range(2):
        person.press("Undo")
    assert heights().abs().max() == 0
    person.press("Undo")
    assert person.told == [("That cannot be done", "nothing was changed yet", "red")]


def test_boxes_and_stairs_take_two_clicks(person):
    person.set("height (m)", 0.2)
    person.set("a click on the ground", "put a box")
    person.click(0.8, 0.8)
    assert person.told[-1][0] == "From there"
    assert person.studio.clip.terrain.heights.max() == 0
    person.click(1.6, 1.2)
    assert (person.studio.clip.terrain.heights > 0).sum() == 6
    person.press("Undo")
    person.set("a click on the ground", "put stairs")
    person.click(1.2, 2.0)
    person.click(4.0, 2.0)
    along = person.studio.clip.terrain.heights[:, 5]
    assert bool((along.diff()[3:9] >= 0).all())
    assert along.max() > 1.0


def test_more_ground_lies_around(person):
    person.press("More ground around")
    assert person.studio.clip.terrain.heights.shape == (36, 36)


def test_contact_labels_are_set_over_the_frames_that_are_chosen(person, humanoid):
    before = person.studio.clip.contacts
    person.press("play / pause")
    person.set("body", "left_foot")
    person.set("frame", 3)
    person.press("the first")
    person.set("frame", 7)
    person.press("the last")
    person.press("touches nothing")
    changed = torch.nonzero(person.studio.clip.contacts != before)
    foot = humanoid.body_index("left_foot")
    assert changed.tolist() == [[frame, foot] for frame in range(3, 8)]
    assert person.studio.playback.frame == 7
    person.press("Labels from the ground")
    assert set(person.studio.clip.contacts.unique().tolist()) <= {0.0, 1.0}


def test_a_motion_is_saved_under_a_name_of_its_own(person, humanoid, clips):
    person.set("radius (m)", 0.0)
    person.set("a click on the ground", "raise the ground")
    person.click(2.0, 3.2)
    person.press("Save as a clip")
    assert person.told[-1] == ("Saved", str(clips / "studio" / "still_0.safetensors"), "green")
    clip = read_clip(clips / "studio" / "still_0.safetensors", humanoid)
    assert clip.terrain.heights[5, 8] == pytest.approx(0.2)
    assert person.element("file").value == str(clips / "studio" / "still_1.safetensors")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("still.safetensors", "there is such a file already"),
        ("still.npz", "clips are written as .safetensors files"),
        ("still.safetensors/below.safetensors", "still.safetensors"),
        ("x" * 300 + ".safetensors", "too long"),
        ("", "there is such a file already"),
    ],
)
def test_what_cannot_be_saved_is_said_in_one_line(person, clips, name, said):
    content = (clips / "still.safetensors").read_bytes()
    person.set("file", str(clips / name) if name else name)
    person.press("Save as a clip")
    ((title, text, colour),) = person.told
    assert (title, colour) == ("That cannot be done", "red")
    assert said in text
    assert "\n" not in text
    assert (clips / "still.safetensors").read_bytes() == content


def test_a_broken_first_clip_does_not_keep_the_studio_from_opening(open_studio, clips):
    (clips / "a_broken.safetensors").write_bytes(b"not a clip")
    person = open_studio(clips)
    assert "broken" in person.read()
    person.press("next")
    assert person.studio.clip.name == "still"
    person.press("previous")
    assert person.told[-1][2] == "red"
    assert "a_broken.safetensors: not a whole safetensors file" in person.told[-1][1]


def test_a_folder_of_ten_thousand_clips_is_opened_by_reading_one_page(open_studio, clips, monkeypatch):
    for number in range(10_000):
        os.link(clips / "still.safetensors", clips / f"clip_{number:05d}.safetensors")
    read = []
    monkeypatch.setattr(
        motion_list, "read_clip", lambda path, character: read.append(path) or read_clip(path, character)
    )
    person = open_studio(clips)
    assert len(set(read)) == PAGE_SIZE
    assert "1 to 20 of 10002 motions" in person.read()
    read.clear()
    person.set("find", "clip_0999")
    assert len(set(read)) == 10
    assert person.studio.clip.name == "clip_09990"
