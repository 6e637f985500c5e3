"""The studio's panels without a browser: what is used by its label does what it says, and mistakes are told in one line."""

import os
from contextlib import ExitStack
from unittest import mock

import numpy as np
import pytest
import torch
import viser
from viser import ClientHandle, GuiEvent, SceneNodePointerEvent
from viser._messages import SetPositionMessage

from parc.anim.clip_files import read_clip, write_clip
from parc.configuration.trusted import trust
from parc.studio import motion_list
from parc.studio.generate_panel import ANEW, FRAME_SHOWN
from parc.studio.motion_list import UNREFINED, motions_in
from parc.studio.motion_requests import default_pieces
from parc.studio.server import THIS_MACHINE, running_server
from parc.studio.viewing import studio_with_panels
from parc.studio.watch_panel import ON_ONE_GROUND, PAGE_SIZE
from synthetic_clips import level_clip, random_clip
from walker import walker

trust(["walker"])
CELLS = (16, 16)
SOMEBODY = mock.create_autospec(ClientHandle, instance=True)  # whose browser it is


class Person:
    """Somebody at a studio, who uses what panels show by its label and clicks the ground from straight above."""

    def __init__(self, studio) -> None:
        self.studio = studio
        self.told: list[tuple[str, str, str]] = []
        studio.say = lambda title, text, colour="blue": self.told.append((title, text, colour))

    def element(self, label, kind=viser.GuiInputHandle | viser.GuiButtonHandle | viser.GuiButtonGroupHandle):
        """The element with this label, the first that is shown."""
        elements = self.studio.server.gui._gui_input_handle_from_uuid.values()
        return next(each for each in elements if isinstance(each, kind) and each.label == label and each.visible)

    def set(self, label, value):
        """Give the element with a label a value."""
        self._use(self.element(label), value)

    def press(self, button):
        """Press a button, or one of a group of buttons."""
        elements = self.studio.server.gui._gui_input_handle_from_uuid.values()
        for element in elements:
            if isinstance(element, viser.GuiButtonGroupHandle) and button in element.options:
                self._use(element, button)
                return
        self._use(self.element(button, viser.GuiButtonHandle), True)

    def click(self, x, y, number=0):
        """Click the ground of a motion at a place of its world."""
        offset = self.studio.scene.offsets[number]
        ground = self.studio.scene.ground_of(number)
        above = (float(offset[0] + x), float(offset[1] + y), 50.0)
        event = SceneNodePointerEvent(
            SOMEBODY, 0, "click", ground.node, above, (0.0, 0.0, -1.0), (0.5, 0.5), None, None
        )
        self.studio._clicked(number, event)

    def read(self):
        """All text of the panels."""
        handles = self.studio.server.gui._container_handle_from_uuid.values()
        children = [child for handle in handles for child in handle._children.values()]
        return "\n".join(child.content for child in children if isinstance(child, viser.GuiMarkdownHandle))

    def _use(self, element, value):
        element._impl.value = value
        for callback in element._impl.update_cb:
            callback(GuiEvent(client=SOMEBODY, client_id=0, target=element))


@pytest.fixture
def clips(tmp_path, humanoid):
    """Clips on level ground: `still` without, `walk` with a version before refinement."""
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "still.safetensors", level_clip(humanoid, 0, name="still", cells=CELLS))
    before = random_clip(humanoid, 5, cells=CELLS).frames
    write_clip(folder / "walk.safetensors", level_clip(humanoid, 1, name="walk", cells=CELLS, unrefined=before))
    return folder


@pytest.fixture(scope="module", autouse=True)
def pieces():
    """Composed once for all studios of these tests."""
    made = default_pieces()
    with mock.patch("parc.studio.viewing.default_pieces", return_value=made):
        yield


@pytest.fixture
def open_studio(humanoid):
    """Open a studio on a folder, and let a person in."""
    with ExitStack() as stack:

        def opened(folder, model=None) -> Person:
            server = stack.enter_context(running_server(THIS_MACHINE, 0, "test"))
            return Person(studio_with_panels(server, humanoid, motions_in([folder]), model, folder / "studio"))

        yield opened


@pytest.fixture
def person(open_studio, clips):
    return open_studio(clips)


@pytest.fixture
def with_model(open_studio, clips, humanoid):
    """A person whose studio has a model that walks straight."""
    person = open_studio(clips, walker(humanoid))
    person.set("candidates", 2)
    return person


def test_the_first_motion_is_shown_with_its_figures(person):
    assert person.studio.clip.name == "still"
    assert "1.3 s, 40 frames" in person.read()
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
    with mock.patch.object(scene, "_queue_scene_message", lambda message: (told.update(where(message)), queue(message))):
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
    from parc.studio import generate_panel

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
