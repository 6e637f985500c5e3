"""A page to send plays from the disk: by itself, with all of its controls, and without a word to anybody."""

import dataclasses
import time

import numpy as np
import pytest
from browser import running_browser, share_that_differs

from parc.anim.clip_files import write_clip
from parc.studio.viewing import write_page_of
from synthetic_clips import random_clip

pytestmark = pytest.mark.slow
WHITE = np.array([255, 255, 255])  # behind everything
BAR = "//*[@role='slider']/ancestor::div[contains(@class, 'Paper-root')][1]"  # of the player


@pytest.fixture(scope="module")
def page(tmp_path_factory, humanoid):
    """Two motions, of which one has a version before refinement."""
    folder = tmp_path_factory.mktemp("motions")
    cells = (7, 8)
    before = random_clip(humanoid, 5, frames=60, cells=cells).frames
    for number, changes in enumerate([{}, {"unrefined": before}]):
        clip = random_clip(humanoid, number, name=f"walk_{number}", frames=60, cells=cells)
        write_clip(folder / f"{clip.name}.safetensors", dataclasses.replace(clip, **changes))
    return write_page_of([folder], folder / "page.html", "humanoid.xml")


@pytest.fixture(scope="module")
def browser(page):
    with running_browser(560, 520) as browser:
        browser.open(page.as_uri())
        browser.one(BAR)
        yield browser


def time_shown(browser):
    return float(browser.one(f"{BAR}//input").get_attribute("value"))


def pause(browser):
    """Pause the page if it plays."""
    before = time_shown(browser)
    try:
        browser.until(lambda: time_shown(browser) != before, "", seconds=3)
    except pytest.fail.Exception:
        return
    browser.click(f"{BAR}//button")


def go_to(browser, share):
    """Click the track of the slider."""
    from selenium.webdriver.common.action_chains import ActionChains

    track = browser.one("//div[contains(@class, 'Slider-track') and .//*[@role='slider']]")
    across = round((share - 0.5) * track.size["width"])
    ActionChains(browser.driver, duration=50).move_to_element_with_offset(track, across, 0).click().perform()


def test_it_plays_by_itself_and_can_be_paused(browser):
    before = time_shown(browser)
    browser.until(lambda: time_shown(browser) != before, "time passes")
    browser.click(f"{BAR}//button")
    paused = time_shown(browser)
    assert [time_shown(browser) for _ in range(5)] == [paused] * 5
    browser.click(f"{BAR}//button")
    browser.until(lambda: time_shown(browser) != paused, "time passes again")


def test_a_click_on_the_track_goes_to_that_time_and_shows_another_picture(browser, tmp_path):
    pause(browser)
    go_to(browser, 0.1)
    browser.until(lambda: 0.1 < time_shown(browser) < 0.6, "an early time")
    early = browser.picture(tmp_path / "early.png")
    go_to(browser, 0.7)
    browser.until(lambda: 1.5 < time_shown(browser) < 2.3, "a late time")
    late = browser.picture(tmp_path / "late.png")
    assert 0.002 < share_that_differs(early, late) < 0.3  # characters move, grounds stay
    go_to(browser, 0.1)
    browser.until(lambda: 0.1 < time_shown(browser) < 0.6, "the early time again")
    assert share_that_differs(early, browser.picture()) < 0.002


def test_what_is_seen_is_grounds_and_characters_in_their_colours(browser, tmp_path):
    pause(browser)
    picture = browser.picture(tmp_path / "seen.png")
    assert 0.1 < share_that_differs(picture, WHITE, least=10) < 0.9
    red, green, blue = np.moveaxis(picture, -1, 0)
    assert ((blue > red + 60) & (blue > green + 20)).mean() > 5e-4  # characters
    assert ((red > blue + 100) & (green > blue + 50)).mean() > 5e-4  # what touches the ground


def test_at_half_speed_half_the_time_passes(browser):
    pause(browser)
    speed = f"{BAR}//input[contains(@class, 'Select')]"
    browser.choose_at(speed, "0.5x")
    browser.until(lambda: browser.one(speed).get_attribute("value") == "0.5x", "the speed chosen")
    go_to(browser, 0.1)
    browser.until(lambda: 0.1 < time_shown(browser) < 0.6, "an early time")
    clock, before = time.monotonic(), time_shown(browser)
    browser.click(f"{BAR}//button")
    browser.until(lambda: time_shown(browser) > before + 0.7, "time passes")
    assert 0.3 < (time_shown(browser) - before) / (time.monotonic() - clock) < 0.7


def test_no_request_left_the_page_and_nothing_failed(browser, page):
    asked = browser.requests()
    assert {address for address in asked if not address.startswith(("data:", "blob:"))} == {page.as_uri()}
    assert browser.complaints() == []
