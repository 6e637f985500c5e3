"""Films as files, read back."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from standing_clips import standing_clip

from parc.configuration.errors import UserError
from parc.pictures.film import Film
from parc.pictures.film_files import write_film
from parc.pictures.moving_picture import film_of_clip


def square_film(count: int = 7, rate: float = 30.0, size: tuple[int, int] = (40, 30)) -> Film:
    """A blue square that goes to the right over a grey floor."""
    width, height = size

    def frame(number: int) -> np.ndarray:
        picture = np.full((height, width, 3), 255, dtype=np.uint8)
        picture[height // 2 :] = (169, 176, 179)
        picture[5:15, number : number + 10] = (61, 138, 201)
        return picture

    return Film(width, height, count, rate, frame)


def read_back(path) -> tuple[list[np.ndarray], list[int]]:
    frames, durations = [], []
    with Image.open(path) as image:
        assert image.info.get("loop") == 0
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(round(image.info["duration"]))
    return frames, durations


def test_a_gif_has_every_frame_as_it_was_and_the_films_pace(tmp_path):
    film = square_film()
    write_film(film, tmp_path / "film.gif")
    frames, durations = read_back(tmp_path / "film.gif")
    assert durations == [30, 40, 30, 30, 40, 30, 30]  # 30 frames a second in hundredths of a second
    for number, frame in enumerate(frames):
        # Colours are those of the palette, looked up by the upper bits.
        assert np.abs(frame.astype(int) - film.frame(number)).max() <= 2
        assert (frame[0, -1] == 255).all()
    assert len(frames) == 7


def test_a_webp_has_every_frame_and_the_films_pace(tmp_path):
    film = square_film()
    write_film(film, tmp_path / "film.webp")
    frames, durations = read_back(tmp_path / "film.webp")
    assert len(frames) == 7 and sum(durations) == 233 and set(durations) == {33, 34}
    assert np.abs(frames[3].astype(int) - film.frame(3)).mean() < 3


def test_a_gif_of_a_frame_that_stays_keeps_it_and_its_time(tmp_path):
    still = square_film().frame(3)
    write_film(Film(40, 30, 3, 10.0, lambda number: still), tmp_path / "film.gif")
    frames, durations = read_back(tmp_path / "film.gif")
    assert durations == [100, 100, 100]
    assert all((frame == frames[0]).all() for frame in frames)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_the_same_film_gives_the_same_bytes(suffix, humanoid, tmp_path, coarse_pictures):
    clip = standing_clip(humanoid, torch.zeros(14, 14), start=(2.0, 2.4), end=(3.0, 2.4), frames=6)
    for name in ("first", "second"):
        write_film(film_of_clip(clip, humanoid), tmp_path / f"{name}{suffix}")
    content = (tmp_path / f"first{suffix}").read_bytes()
    assert content == (tmp_path / f"second{suffix}").read_bytes()
    assert len(content) < 60_000
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"first{suffix}", f"second{suffix}"]


def test_many_colours_are_kept_to_the_palettes_nearest(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    write_film(Film(40, 40, 2, 10.0, lambda number: np.roll(noise, number, axis=0)), tmp_path / "film.gif")
    frames, _ = read_back(tmp_path / "film.gif")
    assert np.abs(frames[1].astype(int) - np.roll(noise, 1, axis=0)).mean() < 20


def test_a_long_delay_is_at_most_what_the_format_can_say(tmp_path):
    write_film(square_film(count=2, rate=1e-4), tmp_path / "film.gif")
    assert read_back(tmp_path / "film.gif")[1] == [655350, 655350]


def test_a_film_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"expected a moving picture's name to end in \.gif, \.webp, \.mp4"):
        write_film(square_film(), tmp_path / "film.avi")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"needs the program ffmpeg; install it, or give a name in \.gif or \.webp"):
        write_film(square_film(), tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []

    def broken(number: int) -> np.ndarray:
        raise UserError("frame 2 is broken")

    film = square_film()
    with pytest.raises(UserError, match="frame 2"):
        write_film(Film(film.width, film.height, 3, 30.0, broken), tmp_path / "film.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Stand in for ffmpeg: takes the frames and writes how many bytes came and what it was told, or fails."""

    def stand_in(*, fails: bool = False) -> None:
        (tmp_path / "bin").mkdir(exist_ok=True)
        script = tmp_path / "bin" / "ffmpeg"
        work = (
            'echo "no such encoder" >&2; exit 1'
            if fails
            else 'count=$(wc -c); for f; do :; done; echo "$count $*" > "$f"'
        )
        script.write_text(f"#!/bin/sh\n{work}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    return stand_in


def test_an_mp4_is_what_ffmpeg_makes_of_all_frames(program, tmp_path):
    program()
    write_film(square_film(count=5), tmp_path / "film.mp4")
    told = (tmp_path / "film.mp4").read_text()
    assert told.startswith(f"{5 * 40 * 30 * 3} ") and "-s 40x30 -r 30.000000" in told


def test_what_ffmpeg_complains_of_is_one_line(program, tmp_path):
    program(fails=True)
    with pytest.raises(UserError, match="ffmpeg failed: no such encoder; give"):
        write_film(square_film(count=400), tmp_path / "film.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg here")
@pytest.mark.parametrize("size", [(40, 30), (41, 31)])
def test_an_mp4_of_the_real_ffmpeg(size, tmp_path):
    write_film(square_film(size=size), tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"
