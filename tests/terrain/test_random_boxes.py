import numpy as np
import pytest

from parc.terrain.generators import random_boxes


def boxes(seed, **changes):
    settings = {"shape": (30, 20), "count": 10, "sides": (5.0, 10.0), "heights": (-2.0, 2.0)} | changes
    return random_boxes(np.random.default_rng(seed), **settings)


def test_boxes_are_the_same_from_the_same_seed():
    assert (boxes(1) == boxes(1)).all()
    assert (boxes(1) != boxes(2)).any()


@pytest.mark.parametrize("seed", range(20))
def test_heights_are_the_floor_or_within_the_bounds(seed):
    terrain = boxes(seed, heights=(0.5, 2.0))
    assert terrain.shape == (30, 20)
    assert np.all((terrain == 0) | ((terrain >= 0.5) & (terrain <= 2)))


@pytest.mark.parametrize("seed", range(20))
def test_a_box_is_a_rectangle_with_sides_as_asked(seed):
    inside = np.argwhere(boxes(seed, count=1, shape=(60, 60), sides=(5.0, 10.0)) != 0)
    if len(inside):
        extent = np.ptp(inside, axis=0) + 1
        assert len(inside) == extent.prod()
        assert (extent <= 10).all()


def test_without_boxes_there_is_the_floor():
    assert (boxes(0, count=0) == 0).all()
