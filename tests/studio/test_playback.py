"""Time in the viewer: it passes at the speed that is asked for, and ends or begins again."""

import pytest

from parc.studio.playback import Playback


@pytest.fixture
def shown():
    return []


@pytest.fixture
def playback(shown):
    playback = Playback(shown.append)
    playback.begin(10, 30.0)
    return playback


def test_frames_follow_the_clock(playback, shown):
    playback.pass_time(0.1)
    playback.pass_time(0.05)
    assert shown == [0, 3, 4]


def test_half_speed_shows_half_as_many(playback):
    playback.speed = 0.5
    playback.pass_time(0.2)
    assert playback.frame == 3


def test_at_the_end_it_begins_again(playback):
    playback.pass_time(0.35)
    assert playback.frame == 0


def test_without_loop_it_stays_at_the_last_frame(playback):
    playback.loops = False
    playback.pass_time(5.0)
    assert playback.frame == 9
    playback.pass_time(0.1)
    assert playback.frame == 9


def test_a_pause_shows_nothing_new(playback, shown):
    playback.playing = False
    playback.pass_time(1.0)
    assert shown == [0]


def test_frames_beyond_the_ends_stand_for_these(playback, shown):
    playback.go_to(99)
    playback.go_to(-4)
    assert shown == [0, 9, 0]


def test_it_runs_by_itself_until_it_is_stopped(playback, shown):
    playback.begin(10_000, 3000.0)
    playback.start()
    playback.stop()
    assert not playback._thread.is_alive()
