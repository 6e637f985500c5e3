"""The studio as its users have it: a process on this machine alone, and a browser in which everything is done by hand.

All tests share one studio and one browser, and each begins with the motion that it chooses.
"""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from browser import Browser, running_browser, share_that_differs
from studio_process import running_studio

from parc.anim.clip_files import read_clip, write_clip
from synthetic_clips import level_clip, random_clip
from walker import write_walker

pytestmark = pytest.mark.slow
CELLS = 16  # in each direction, of level ground
HEADS = {"still": "still", "tower": "tower", "walk": "before refinement"}  # of columns of figures
MIDDLE = (0.5, 0.5)  # of the picture, where the middle of the ground is


@pytest.fixture(scope="module")
def clips(tmp_path_factory, humanoid):
    """Clips on level ground: `still` without, `walk` with a version before refinement; and a `tower`."""
    folder = tmp_path_factory.mktemp("clips")
    cells = (CELLS, CELLS)
    before = random_clip(humanoid, 5, cells=cells).frames
    write_clip(folder / "still.safetensors", level_clip(humanoid, 0, name="still", cells=cells))
    write_clip(folder / "walk.safetensors", level_clip(humanoid, 1, name="walk", cells=cells, unrefined=before))
    tower = level_clip(humanoid, 0, name="tower", cells=cells)
    heights = torch.full(cells, -5.0)
    heights[5:14, 5:11] = 0.0
    tower = dataclasses.replace(tower, terrain=dataclasses.replace(tower.terrain, heights=heights))
    write_clip(folder / "tower.safetensors", tower)
    return folder


@pytest.fixture(scope="module")
def studio(clips, humanoid, tmp_path_factory):
    model = write_walker(tmp_path_factory.mktemp("model") / "walker.ckpt", humanoid, sway=0.02)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clips.parent)  # motions are saved where the command is given
        with running_studio(clips, "--model", model, "--model-package", "walker") as studio:
            yield studio


@pytest.fixture(scope="module")
def window(studio):
    with running_browser(900, 640) as browser:
        browser.open(studio.address)
        browser.reads("find")
        browser.press("play / pause")
        yield browser


@pytest.fixture
def still(window):
    """The browser with the motion `still` as it is in its file, at its first frame."""
    show(window, "walk")
    show(window, "still")
    return window


def show(browser: Browser, name: str) -> None:
    """Choose a motion in the list, and pause it."""
    browser.open_tab("Watch")
    browser.write("find", "")
    browser.choose("motion", name)
    browser.until(lambda: HEADS[name] in figures(browser), f"figures of {name}")
    pause(browser)
    browser.write("frame", "0")
    browser.until(lambda: frame(browser) == 0, "the first frame")


def figures(browser: Browser) -> str:
    """Return what is written in the table of figures, the first that there is."""
    return browser.one("//table[contains(., 'over 1 cm deep')]").text


def frame(browser: Browser) -> int:
    return int(browser.one(f"{browser.row('frame')}//*[@role='slider']").get_attribute("aria-valuenow"))


def pause(browser: Browser) -> None:
    """Pause if it plays."""
    if plays(browser):
        browser.press("play / pause")
        browser.until(lambda: not plays(browser), "to pause")


def plays(browser: Browser, seconds: float = 1.0) -> bool:
    before = frame(browser)
    try:
        browser.until(lambda: frame(browser) != before, "", seconds)
    except pytest.fail.Exception:
        return False
    return True


def saved(browser: Browser, humanoid):
    """Save what is worked on as a clip; return that."""
    browser.open_tab("Correct")
    path = Path(browser.value("file"))
    browser.press("Save as a clip")
    browser.until(path.is_file, f"{path} is written")
    return read_clip(path, humanoid)


def set_tool(browser: Browser, name: str) -> None:
    browser.choose("a click on the ground", name)


def test_it_listens_on_this_machine_alone(studio):
    assert studio.listens_at() == [f"0100007F:{studio.port:04X}"]


def test_it_plays_pauses_steps_and_scrubs(still, tmp_path):
    assert not plays(still)
    early = still.picture(tmp_path / "early.png")
    still.press("play / pause")
    still.until(lambda: frame(still) > 0, "it plays")
    still.press("play / pause")
    still.until(lambda: not plays(still), "it pauses")
    at = frame(still)
    still.press("- 1")
    still.until(lambda: frame(still) == at - 1, "the frame before")
    still.press("+ 1")
    still.until(lambda: frame(still) == at, "the next frame")
    slider = still.one(f"{still.row('frame')}//*[@role='slider']")
    slider.send_keys("\ue010")  # the key End
    still.until(lambda: frame(still) == 39, "the last frame")
    late = still.picture(tmp_path / "late.png")
    assert share_that_differs(early, late) > 0.002


def test_the_list_is_searched_and_gone_through(window):
    show(window, "still")
    window.press("next")
    window.until(lambda: HEADS["tower"] in figures(window), "figures of the next motion")
    window.press("next")
    window.until(lambda: HEADS["walk"] in figures(window), "figures of the next motion beside what it was before")
    window.write("find", "ill")
    window.until(lambda: window.value("motion") == "still", "what was searched for")
    window.reads("1 to 1 of 1 motions")
    window.write("find", "nonsense")
    window.reads("No motion of 3 is called so.")
    window.write("find", "")
    window.reads("1 to 3 of 3 motions")


def test_figures_and_what_the_model_sees_are_shown(still, tmp_path):
    assert re.search(r"length\s+1\.3 s", figures(still))
    before = still.picture()
    still.click(f"{still.row('what the model sees')}//input")
    still.until(
        lambda: share_that_differs(before, still.picture(tmp_path / "sees.png")) > 0.002, "points on the ground"
    )
    still.click(f"{still.row('what the model sees')}//input")
    still.until(lambda: share_that_differs(before, still.picture()) < 0.002, "no points on the ground")


def test_a_click_on_the_ground_makes_candidates_to_choose_from_and_go_on(still, humanoid, tmp_path):
    set_tool(still, "go there")
    still.open_tab("Generate")
    still.click_picture(*MIDDLE)
    still.reads("candidate")
    choice = still.until(lambda: still.value("candidate"), "candidates")
    assert "arrives" in choice
    pause(still)
    still.picture(tmp_path / "candidates.png")
    still.press("Go on with this one")
    still.until(lambda: not still.all(still.row("candidate")), "one motion")
    first = saved(still, humanoid)
    assert first.num_frames > 40
    assert first.path_nodes is not None
    still.open_tab("Generate")
    still.click_picture(0.45, 0.6)
    still.until(lambda: still.value("candidate"), "candidates that go on")
    pause(still)
    second = saved(still, humanoid)
    assert second.num_frames > first.num_frames
    torch.testing.assert_close(second.root_pos[: first.num_frames], first.root_pos)


def test_the_ground_is_raised_where_it_is_clicked_and_undone(still, humanoid, tmp_path):
    set_tool(still, "raise the ground")
    before = still.picture()
    still.click_picture(*MIDDLE)
    still.until(lambda: share_that_differs(before, still.picture(tmp_path / "raised.png")) > 0.002, "other ground")
    heights = saved(still, humanoid).terrain.heights
    torch.testing.assert_close(heights.unique(), torch.tensor([0.0, 0.2]))
    assert 4 <= int((heights > 0).sum()) <= 10  # cells within 0.6 m
    rows, columns = torch.nonzero(heights > 0, as_tuple=True)
    assert (torch.stack([rows, columns]).float().mean(1) - (CELLS - 1) / 2).abs().max() < 5
    still.press("Undo")
    still.until(lambda: share_that_differs(before, still.picture()) < 0.002, "the ground as it was")
    assert saved(still, humanoid).terrain.heights.abs().max() == 0


def test_contact_labels_are_set_over_the_frames_chosen(still, clips, humanoid):
    still.open_tab("Correct")
    still.choose("body", "left_foot")
    still.write("from frame", "3")
    still.write("to frame", "7")
    before = read_clip(clips / "still.safetensors", humanoid)
    still.press("touches nothing")
    still.until(lambda: (saved(still, humanoid).contacts != before.contacts).any(), "other labels")
    changed = torch.nonzero(saved(still, humanoid).contacts != before.contacts)
    foot = humanoid.body_index("left_foot")
    assert changed.tolist() == [[frame, foot] for frame in range(3, 8)]


def test_mistakes_are_one_line_in_red_and_change_nothing(still, clips, humanoid):
    still.open_tab("Correct")
    content = (clips / "walk.safetensors").read_bytes()
    still.write("file", str(clips / "walk.safetensors"))
    still.press("Save as a clip")
    (note,) = still.until(still.notes, "a note in red")
    assert note.splitlines() == [
        "That cannot be done",
        f"{clips / 'walk.safetensors'}: there is such a file already; choose another name",
    ]
    assert (clips / "walk.safetensors").read_bytes() == content
    still.until(lambda: not still.notes(), "the note goes away")
    show(still, "tower")
    set_tool(still, "go there")
    still.click_picture(0.5, 0.85)  # the low ground before the tower
    (note,) = still.until(still.notes, "a note in red")
    assert len(note.splitlines()) == 2
    assert "no way" in note


def test_two_browsers_show_the_same_and_do_not_disturb_each_other(still, studio):
    first = still.driver.current_window_handle
    still.driver.switch_to.new_window("window")
    second = still.driver.current_window_handle
    still.open(studio.address)
    still.reads("find")
    show(still, "walk")
    still.write("frame", "12")
    still.driver.switch_to.window(first)
    still.until(lambda: frame(still) == 12 and HEADS["walk"] in figures(still), "what the other browser chose")
    still.driver.switch_to.window(second)
    still.driver.close()
    still.driver.switch_to.window(first)
    still.press("+ 1")
    still.until(lambda: frame(still) == 13, "the next frame")


def test_nothing_was_asked_of_other_machines_and_ctrl_c_ends_it_without_a_word(window, studio):
    asked = window.requests()
    own = (studio.address, studio.address.replace("http", "ws", 1), "data:", "blob:", "chrome:", "about:")
    assert not [address[:200] for address in asked if not address.startswith(own)]
    assert window.complaints() == []
    assert studio.interrupt() == 0
    assert studio.printed == [f"3 motions at {studio.address} (Ctrl+C ends)"]
