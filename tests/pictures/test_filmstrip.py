"""Filmstrips as files and as figures."""

import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from standing_clips import standing_clip

from generated_clips import making
from parc.anim.clip_files import read_clip
from parc.configuration.errors import UserError
from parc.pictures.figure_files import write_figure
from parc.pictures.filmstrip import draw_filmstrip, filmstrip_figure

pytestmark = pytest.mark.usefixtures("coarse_pictures")


def png_size(path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


@pytest.fixture(scope="module")
def clip(humanoid):
    clip = standing_clip(humanoid, torch.zeros(20, 20), start=(2.6, 4.0), end=(5.4, 4.0))
    return replace(clip, name="$odd_name$")


@pytest.fixture(scope="module")
def figure(clip, humanoid, coarse_pictures):
    return filmstrip_figure(clip, humanoid, poses=5)


def test_a_filmstrip_is_a_png_the_size_of_a_slide(clip, humanoid, tmp_path):
    path = tmp_path / "new folder" / "film.png"
    draw_filmstrip(clip, humanoid, path, poses=2)
    assert png_size(path) == (1920, 1080)
    assert [file.name for file in path.parent.iterdir()] == ["film.png"]


def test_a_filmstrip_has_the_scene_and_a_panel_for_each_pose_with_its_time(figure):
    scene, *panels = figure.axes
    labels = [panel.texts[0].get_text().split("   ") for panel in panels]
    assert [number for number, _ in labels] == [f"$\\bf{{{number}}}$" for number in range(1, 6)]
    assert [time for _, time in labels] == ["0.00 s", "0.20 s", "0.40 s", "0.57 s", "0.77 s"]
    numbers = [text.get_text() for text in scene.texts if text.get_text().isdigit()]
    assert numbers[0] == "1" and numbers[-1] == "5"


def test_panels_lie_side_by_side_below_the_scene(figure):
    scene, *panels = (axes.get_position() for axes in figure.axes)
    borders = [border for panel in panels for border in (panel.x0, panel.x1)]
    assert borders == sorted(borders) and borders[0] > 0 and borders[-1] < 1
    assert all(panel.y0 > 0 and panel.y1 < scene.y0 for panel in panels)


def test_panels_show_the_poses_and_their_contacts(figure):
    for panel in figure.axes[1:]:
        picture = np.asarray(panel.get_images()[0].get_array())
        blue = (picture[..., 2] > picture[..., 0] + 0.15).mean()
        orange = (picture[..., 0] > picture[..., 2] + 0.3).mean()
        assert blue > 0.02 and orange > 0.001


def test_the_title_says_name_seconds_and_frames_as_they_are(figure):
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "$odd_name$"
    assert texts[1] == "0.80 s  ·  24 frames at 30 frames/s"


def test_the_picture_of_a_generated_clip_says_how_it_was_made_and_shows_the_path_to_follow(clip, humanoid, figure):
    nodes = torch.tensor([[2.6, 4.4, 0.0], [4.0, 4.4, 0.0]])
    made = making(model="/data/$iter1$/p1_train_gen/final_model.ckpt", mirrored=True)
    generated = filmstrip_figure(replace(clip, made=made, path_nodes=nodes), humanoid, poses=2)
    caption = generated.texts[2]
    assert caption.get_text() == (
        "terrain of 20 x 20 cells of 0.4 m  ·  motion 17 of seed 5, candidate 3, mirrored  ·  "
        "model 4f3a9c21 (p1_train_gen/final_model.ckpt), guidance 0.5  ·  penetration 1.25, contact 0.125, total 0.138"
    )
    generated.canvas.draw()
    box = caption.get_window_extent()
    assert box.x0 > 0 and box.x1 < 1920 and box.y0 > 0
    for panel in generated.axes[1:]:
        assert box.y1 < panel.texts[0].get_window_extent().y0
    assert "path to follow" in legend(generated)
    assert len(figure.texts) == 2 and "path to follow" not in legend(figure)


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_long_caption_stays_on_the_slide(clip, humanoid):
    losses = {f"a loss with quite a long name, number {number}": 1e-3 for number in range(6)}
    generated = filmstrip_figure(replace(clip, made=making(losses=losses)), humanoid, poses=2)
    generated.canvas.draw()
    assert generated.texts[2].get_window_extent().x1 < 1920


def test_a_clip_of_two_frames_has_two_panels(humanoid):
    clip = standing_clip(humanoid, torch.zeros(12, 12), start=(2.0, 2.0), end=(2.1, 2.0), frames=2)
    assert len(filmstrip_figure(clip, humanoid).axes) == 3


def test_a_folder_that_cannot_be_written_is_one_line(figure, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_figure(figure, tmp_path / "file" / "film.png")


@pytest.mark.slow
def test_every_real_clip_makes_a_filmstrip(clips_folder, humanoid, tmp_path):
    for path in sorted(clips_folder.glob("*.pkl")):
        draw_filmstrip(read_clip(path, humanoid), humanoid, tmp_path / "film.png")
        assert png_size(tmp_path / "film.png") == (1920, 1080)
