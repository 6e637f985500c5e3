"""Frames that several processes draw: in order, the same, few at a time, and with every failure said."""

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from parc.configuration.errors import UserError
from parc.pictures import drawn_frames as module
from parc.pictures.drawn_frames import drawn_frames
from parc.pictures.film import Film

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process draws")


def frame(number: int) -> np.ndarray:
    return np.full((300, 200, 3), number, dtype=np.uint8)  # larger than what a pipe holds


FILM = Film(200, 300, 11, 30.0, frame)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("numbers", [range(11), [0, 4, 9], [5]])
def test_frames_come_in_order_whatever_the_number_of_processes(processes, numbers):
    drawn = list(drawn_frames(FILM, numbers, processes))
    np.testing.assert_array_equal(drawn, [frame(number) for number in numbers])
    assert not multiprocessing.active_children()


def test_few_frames_are_held_and_whoever_stops_early_leaves_no_process(tmp_path):
    def noted(number: int) -> np.ndarray:
        (tmp_path / str(number)).touch()
        return frame(number)

    frames = drawn_frames(replace(FILM, num_frames=200, frame=noted), range(200), 2)
    assert len(list(islice(frames, 3))) == 3
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) <= 3 + 2
    assert len(multiprocessing.active_children()) == 2
    frames.close()
    assert not multiprocessing.active_children()


def test_what_goes_wrong_in_a_process_is_raised_here():
    def broken(number: int) -> np.ndarray:
        if number == 4:
            raise UserError("frame 4 is broken")
        return frame(number)

    frames = drawn_frames(replace(FILM, frame=broken), range(11), 2)
    assert len(list(islice(frames, 4))) == 4
    with pytest.raises(UserError, match="frame 4 is broken"):
        next(frames)
    assert not multiprocessing.active_children()


def test_a_killed_process_is_one_line():
    def killed(number: int) -> np.ndarray:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return frame(number)

    with pytest.raises(UserError, match="a process that draws frames was killed; is there enough memory"):
        list(drawn_frames(replace(FILM, frame=killed), range(11), 2))


def test_short_films_are_drawn_here_and_long_ones_on_every_core(monkeypatch):
    monkeypatch.setattr(module, "_cores", lambda: 2)
    here = replace(FILM, frame=lambda number: np.full((300, 200, 3), os.getpid() % 256, dtype=np.uint8))
    worth = module.WORTH_A_PROCESS // (200 * 300) + 1
    assert {int(each[0, 0, 0]) for each in drawn_frames(here, range(2 * worth - 2))} == {os.getpid() % 256}
    assert len({int(each[0, 0, 0]) for each in drawn_frames(here, range(2 * worth))} - {os.getpid() % 256}) == 2
