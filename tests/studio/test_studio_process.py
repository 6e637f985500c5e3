"""The studio as a process: ten thousand clips are there at once, and Ctrl+C ends it without a word."""

import os
import urllib.request

import pytest
from studio_process import running_studio

from parc.anim.clip_files import write_clip
from synthetic_clips import random_clip

pytestmark = pytest.mark.slow
CLIPS = 10_000


def opened(folder):
    """Open a studio and get its first page; return the seconds and megabytes that it took. Ctrl+C must end it."""
    with running_studio(folder) as studio:
        with urllib.request.urlopen(studio.address, timeout=30) as page:
            assert b"<title>" in page.read()
        megabytes = studio.megabytes()
        assert studio.listens_at() == [f"0100007F:{studio.port:04X}"]
        assert studio.interrupt() == 0
        count = len(list(folder.iterdir()))
        assert studio.printed == [f"{count} motions at {studio.address} (Ctrl+C ends)"]
        return studio.seconds_to_start, megabytes


def test_ten_thousand_clips_take_hardly_longer_and_no_more_memory_than_one(tmp_path, humanoid):
    clip = random_clip(humanoid, frames=200, name="walk", cells=(20, 20))  # 60 KB: 600 MB all together
    for folder in ("one", "many"):
        (tmp_path / folder).mkdir()
    write_clip(tmp_path / "one" / "walk.safetensors", clip)
    for number in range(CLIPS):
        os.link(tmp_path / "one" / "walk.safetensors", tmp_path / "many" / f"walk_{number:05d}.safetensors")
    seconds_of_one, megabytes_of_one = opened(tmp_path / "one")
    seconds, megabytes = opened(tmp_path / "many")
    assert seconds < 2 * seconds_of_one + 5
    assert megabytes < megabytes_of_one + 100
