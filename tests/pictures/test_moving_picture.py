"""What films of motions show, and where their camera is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from standing_clips import standing_clip

from generated_clips import making
from parc.anim.dataset import ClipEntry
from parc.configuration.composing import pieces_of_option
from parc.pictures import moving_picture
from parc.pictures.film import Film, frames_at, rate_of
from parc.pictures.motion_scene import build_scene
from parc.pictures.moving_picture import film_of_clip, film_of_clips, spread_over_classes
from parc.pictures.moving_scene import CORNER_HEIGHT, NODES_AHEAD, target_of
from parc.pictures.palette import CONTACT, MOVING_POSE, PATH_NODES, TARGET, rgb
from parc.pictures.shots import WIDEST_VIEW, shots_of

pytestmark = pytest.mark.usefixtures("coarse_pictures")


@pytest.fixture(scope="module")
def clip(humanoid):
    return standing_clip(humanoid, torch.zeros(20, 20), start=(2.6, 4.0), end=(5.4, 4.0))


def like(picture, colour: str) -> int:
    """Count pixels of about a colour's hue, whatever their light."""
    pixels = picture / np.maximum(picture.max(-1, keepdims=True), 1)
    return int((np.abs(pixels - rgb(colour) / rgb(colour).max()).max(-1) < 0.12).sum())


def scene_part(film: Film, number: int):
    return film.frame(number)[45:-45]  # without captions and legend


def test_a_film_shows_the_bodies_and_their_contacts_where_they_are_at_each_frame(clip, humanoid):
    film = film_of_clip(clip, humanoid)
    assert (film.width, film.height, film.num_frames, film.rate) == (640, 360, 24, 30.0)
    first, last = (scene_part(film, number) for number in (0, 23))
    for picture in (first, last):
        assert like(picture, MOVING_POSE) > 300 and like(picture, CONTACT) > 5
    middles = []
    for picture in (first, last):
        pixels = picture / np.maximum(picture.max(-1, keepdims=True), 1)
        blue = np.abs(pixels - rgb(MOVING_POSE) / rgb(MOVING_POSE).max()).max(-1) < 0.12
        middles.append(np.nonzero(blue)[1].mean())
    assert middles[1] > middles[0] + 50  # the side is chosen on which motions go to the right


def test_frames_do_not_depend_on_which_was_drawn_before(clip, humanoid):
    generated = replace(clip, path_nodes=torch.tensor([[2.6 + 0.4 * n, 4.3, 0.0] for n in range(8)]))
    film, other = film_of_clip(generated, humanoid), film_of_clip(generated, humanoid)
    backward = {number: film.frame(number) for number in (20, 3, 20)}
    for number in (3, 20):
        np.testing.assert_array_equal(other.frame(number), backward[number])


def test_the_path_and_the_target_are_shown_where_a_clip_has_them(clip, humanoid):
    nodes = torch.tensor([[1.0 + 0.4 * n, 4.6, 0.0] for n in range(16)])
    picture = scene_part(film_of_clip(replace(clip, path_nodes=nodes), humanoid), 0)
    assert like(picture, PATH_NODES) > 10 and like(picture, TARGET) > 10
    plain = scene_part(film_of_clip(clip, humanoid), 0)
    assert like(plain, PATH_NODES) == 0 and like(plain, TARGET) == 0


def test_the_target_is_as_many_nodes_ahead_as_in_a_rollout_and_at_most_the_last(clip, humanoid):
    nodes = torch.tensor([[1.0 + 0.4 * n, 4.6, 0.0] for n in range(14)])
    scene = build_scene(replace(clip, path_nodes=nodes), humanoid, 160, 100)
    nearest = 4  # x = 2.6
    rollout = pieces_of_option("generate", [], ["rollout"])["rollout"]
    assert (rollout["nodes_ahead"], rollout["corner_height"]) == (NODES_AHEAD, CORNER_HEIGHT)
    for frame, node in ((0, nearest + NODES_AHEAD), (23, -1)):
        target = target_of(scene, frame)
        assert target is not None
        np.testing.assert_allclose(target, nodes[node].double().numpy())
    assert target_of(build_scene(clip, humanoid, 160, 100), 0) is None


def test_what_made_a_clip_and_how_far_it_is_are_written_on_it(clip, humanoid):
    plain = film_of_clip(clip, humanoid).frame(0)
    made = film_of_clip(replace(clip, made=making()), humanoid).frame(0)
    assert (made[-55:-20] < 200).sum() > 1000  # letters
    assert (plain[-20:] == made[-20:]).all()  # the legend
    later = film_of_clip(clip, humanoid).frame(9)
    clock = np.s_[:22, -70:]
    assert (plain[clock] != later[clock]).any()
    assert (plain[:44, :-70] == later[:44, :-70]).all()


def test_a_grid_has_a_cell_for_each_clip_and_what_ends_early_stays(clip, humanoid, monkeypatch):
    monkeypatch.setattr(moving_picture, "CELL_SIZES", {4: (200, 140), 12: (160, 120)})
    short = replace(
        clip, **{name: getattr(clip, name)[:6] for name in ("root_pos", "root_rot", "joint_rot", "contacts")}
    )
    film = film_of_clips([clip, short, clip], humanoid, "three")
    assert film.width == 600 and 140 < film.height < 200 and film.num_frames == 24
    first, early, late = (film.frame(number) for number in (0, 5, 23))
    np.testing.assert_array_equal(early[28:168, 200:400], late[28:168, 200:400])
    assert (first[28:168, 200:400] != early[28:168, 200:400]).any()
    for left in (0, 400):
        assert (early[28:168, left : left + 200] != late[28:168, left : left + 200]).any()
    np.testing.assert_array_equal(early[28:168, :200], early[28:168, 400:])


@pytest.mark.parametrize(("clips", "columns", "rows"), [(1, 1, 1), (4, 2, 2), (5, 3, 2), (12, 4, 3)])
def test_grids_are_wider_than_high(clip, humanoid, clips, columns, rows, monkeypatch):
    size = moving_picture.CELL_SIZES[4 if clips <= 4 else 12]
    assert columns * size[0] > rows * size[1]
    # Cells themselves are looked at above.
    monkeypatch.setattr(moving_picture, "_Cell", lambda *_: None)
    film = film_of_clips([clip] * clips, humanoid, "many")
    assert film.width == columns * size[0] and rows * size[1] < film.height < rows * size[1] + 60


def test_of_fast_clips_every_second_frame_is_shown_or_fewer():
    assert [rate_of(float(fps)) for fps in (24, 30, 50, 60, 120)] == [24, 30, 25, 30, 30]
    assert frames_at(60.0, 10, 30.0, 6).tolist() == [0, 2, 4, 6, 8, 9]
    assert frames_at(30.0, 4, 30.0, 6).tolist() == [0, 1, 2, 3, 3, 3]


@given(st.integers(1, 400), st.floats(1, 30))
def test_delays_in_whole_hundredths_keep_the_pace(count, rate):
    film = Film(1, 1, count, rate, lambda number: np.zeros((1, 1, 3), dtype=np.uint8))
    delays = film.delays(0.01)
    assert len(delays) == count and min(delays) >= 1
    assert sum(delays) * 0.01 == pytest.approx(count / rate, abs=0.0051)


def long_clip(humanoid, metres: float, frames: int):
    heights = torch.zeros(int(metres / 0.4) + 12, 12)
    return standing_clip(humanoid, heights, start=(2.0, 2.4), end=(2.0 + metres, 2.4), frames=frames)


def test_over_a_short_way_the_camera_stands_still(clip, humanoid):
    shots = shots_of(build_scene(clip, humanoid, 320, 160), np.arange(24), 30.0, 320, 160)
    assert len(shots) == 1 and (shots[0].corners == 0).all()
    assert (shots[0].camera.width, shots[0].camera.height) == (320, 160)
    assert 160 / shots[0].camera.pixels_per_metre <= WIDEST_VIEW


@settings(max_examples=4, deadline=None)
@given(st.floats(20, 40), st.integers(60, 200))
def test_over_a_long_way_the_camera_follows_and_the_bodies_stay_in_view(humanoid, metres, frames):
    scene = build_scene(long_clip(humanoid, metres, frames), humanoid, 160, 80)
    shots = shots_of(scene, np.arange(frames), 30.0, 160, 80)
    assert sum(len(shot.corners) for shot in shots) == frames and len(shots) > 1
    last = None
    for shot in shots:
        assert 80 / shot.camera.pixels_per_metre < WIDEST_VIEW
        assert shot.camera.width <= 1.6 * 160 and shot.camera.height <= 1.6 * 80  # so that memory has a bound
        for number, (row, column) in enumerate(shot.corners):
            assert row >= 0 and column >= 0
            assert row + 80 <= shot.camera.height and column + 160 <= shot.camera.width
            pixels = shot.camera.project(scene.posed.positions[shot.first + number])
            assert ((pixels[:, 0] > column) & (pixels[:, 0] < column + 160)).all()
            assert ((pixels[:, 1] > row) & (pixels[:, 1] < row + 80)).all()
            # From shot to shot, too, it goes on by whole pixels and by few.
            scale = shot.camera.pixels_per_metre
            place = np.array([shot.camera.left * scale + column, shot.camera.top * scale - row])
            if last is not None:
                step = place - last
                np.testing.assert_allclose(step, step.round(), atol=1e-6)
                assert np.abs(step).max() < 30 * scale * metres / frames / 5
            last = place


def test_a_film_of_a_long_way_shows_the_bodies_from_beginning_to_end(humanoid):
    film = film_of_clip(long_clip(humanoid, 30.0, 60), humanoid)
    for number in (0, 20, 40, 59):
        assert like(scene_part(film, number), MOVING_POSE) > 200


def test_clips_are_chosen_evenly_over_a_folder_and_its_classes():
    def entries(**classes: int) -> list[ClipEntry]:
        return [ClipEntry(Path(name, f"{n}.pkl"), name) for name, count in classes.items() for n in range(count)]

    def chosen(most: int = 12, **classes: int) -> list[str]:
        return [str(entry.path.with_suffix("")) for entry in spread_over_classes(entries(**classes), most)]

    assert chosen(a=2, b=1) == ["a/0", "a/1", "b/0"]
    assert chosen(4, a=9, b=5) == ["a/0", "a/8", "b/0", "b/4"]
    assert chosen(4, a=9, b=1) == ["a/0", "a/4", "a/8", "b/0"]
    assert chosen(3, a=1, b=1, c=1, d=1, e=1) == ["a/0", "c/0", "e/0"]
    assert len(chosen(a=100, b=100, c=2)) == 12
