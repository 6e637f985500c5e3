"""A browser without a display, for tests that use pages and the studio as a person does: by what is written on them."""

import base64
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PACKAGES = Path(__file__).with_name("packages.txt")
PIXELS_PER_LENGTH = 0.5
# WebGL is drawn by the processor: small windows, and half the pixels of them, so that a frame takes half a second.
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    f"--force-device-scale-factor={PIXELS_PER_LENGTH}", "--hide-scrollbars",
]  # fmt: skip
PATIENCE = 60.0  # seconds for what a healthy browser does soon
TOLD = 0.5  # seconds within which a page tells the server what was written; of a pressed button it tells at once


def why_no_browser() -> str | None:
    """Return what is missing; None where nothing is."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        return f"there is no browser: apt-get install --no-install-recommends {' '.join(PACKAGES.read_text().split())}"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed: pip install -e '.[dev]', and for the browser apt-get install " + " ".join(
            PACKAGES.read_text().split()
        )
    return None


@contextmanager
def running_browser(width: int, height: int) -> "Iterator[Browser]":
    """Run Chromium for a while, or skip the test where it is missing; CI sets PARC_REQUIRE_BROWSER=1, and it fails."""
    if reason := why_no_browser():
        if os.environ.get("PARC_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{reason} (PARC_REQUIRE_BROWSER=1)", pytrace=False)
        pytest.skip(f"{reason} (PARC_REQUIRE_BROWSER=1 makes this a failure)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
    try:
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """A window of Chromium. Whatever it is asked for, it waits for until it is there."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Open an address, and close the note that pictures are drawn by the processor."""
        self.driver.get(address)
        self.click("//*[contains(@class, 'Notification-root')][contains(., 'Software WebGL')]//button")

    def until(self, happened: Callable[[], object], what: str, seconds: float = PATIENCE) -> Any:
        """Wait for something that a healthy page does soon, and return it; elements may be replaced while it is looked for."""
        from selenium.common.exceptions import WebDriverException

        deadline, problem = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            try:
                if found := happened():
                    return found
            except WebDriverException as error:
                problem = error
            time.sleep(0.1)
        pytest.fail(f"waited {seconds:.0f} s in vain: {what}\n{problem or ''}\n{self.text()}")

    def all(self, xpath: str) -> list:
        """Return the elements that are visible."""
        return [element for element in self.driver.find_elements("xpath", xpath) if element.is_displayed()]

    def one(self, xpath: str):
        return self.until(lambda: next(iter(self.all(xpath)), None), xpath)

    def text(self) -> str:
        """Return all that can be read."""
        return self.driver.execute_script("return document.body.innerText")

    def reads(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until something can be read."""
        self.until(lambda: text in self.text(), f"to read {text!r}", seconds)

    def click(self, xpath: str) -> None:
        def clicked() -> bool:
            self.all(xpath)[0].click()
            return True

        self.until(lambda: self.all(xpath) and clicked(), f"to click {xpath}")

    def press(self, button: str) -> None:
        """Press the button of this name on the tab that is open."""
        self.click(f"//button[normalize-space()={button!r}]")

    def open_tab(self, name: str) -> None:
        self.click(f"//*[@role='tab'][normalize-space()={name!r}]")

    def row(self, label: str) -> str:
        """Return the path of what stands beside a label."""
        return f"//label[normalize-space()={label!r}]/ancestor::div[contains(@class, 'Flex-root')][1]"

    def value(self, label: str) -> str:
        """Return what is written in the field beside a label."""
        return self.one(f"{self.row(label)}//input").get_attribute("value")

    def write(self, label: str, text: str) -> None:
        """Replace what is written in the field beside a label."""
        from selenium.webdriver.common.keys import Keys

        field = self.one(f"{self.row(label)}//input")
        field.click()
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.BACKSPACE, text, Keys.TAB)
        time.sleep(TOLD)

    def choose(self, label: str, option: str) -> None:
        """Choose from the list beside a label."""
        self.choose_at(f"{self.row(label)}//input", option)

    def choose_at(self, xpath: str, option: str) -> None:
        self.click(xpath)
        path = f"//*[@role='option'][normalize-space()={option!r}]"
        (found, *_) = self.until(lambda: self.driver.find_elements("xpath", path), f"to choose {option!r}")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'nearest'})", found)
        found.click()

    def notes(self) -> list[str]:
        """Return the notes in red that are shown whole: a page may draw a note's text before its title."""
        roots = self.all("//*[contains(@class, 'Notification-root')]")
        texts = [root.text for root in roots if "red" in (root.get_attribute("style") or "")]
        return [text for text in texts if len(text.splitlines()) > 1]

    def click_picture(self, x: float, y: float) -> None:
        """Click a place of the picture, from (0, 0) in its upper left corner to (1, 1) in its lower right one."""
        from selenium.webdriver.common.action_chains import ActionChains

        canvas = self._canvas()
        size = canvas.size
        across, down = round((x - 0.5) * size["width"]), round((y - 0.5) * size["height"])
        ActionChains(self.driver, duration=50).move_to_element_with_offset(canvas, across, down).click().perform()

    def picture(self, keep: Path | None = None) -> np.ndarray:
        """Return what is seen of the scene: (rows, columns, red green blue), 0..255.

        Args:
            keep: a file to which the whole page is written too.
        """
        shot = self.until(
            lambda: self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"}), "a picture of the page"
        )
        image = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
        if keep is not None:
            image.save(keep)
        corner, size = self._canvas().location, self._canvas().size
        box = (corner["x"], corner["y"], corner["x"] + size["width"], corner["y"] + size["height"])
        return np.asarray(image.crop(tuple(round(PIXELS_PER_LENGTH * side) for side in box))).astype(int)

    def _canvas(self):
        """Return the largest one: where the scene is drawn."""
        return max(self.all("//canvas"), key=lambda each: each.size["width"] * each.size["height"])

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        return asked + [each["params"]["url"] for each in messages if each["method"] == "Network.webSocketCreated"]

    def complaints(self) -> list[str]:
        """Return the errors of the page's own programs since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


def share_that_differs(one: np.ndarray, other: np.ndarray, least: int = 40) -> float:
    """Return the share of the pixels that clearly differ."""
    return float((np.abs(one - other).max(-1) >= least).mean())
