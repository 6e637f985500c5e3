"""Boxes as cells: the best turn and shift is found, what is off is measured, and broken files are refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.anim.rotations import rotate_xy
from parc.configuration.errors import UserError
from parc.exchange.boxes import CELL_SIZE, box_corners, rasterised, tops_at


def box(low: tuple[float, float], high: tuple[float, float], top: float, turn: float = 0.0) -> torch.Tensor:
    corners = torch.cartesian_prod(*(torch.tensor(pair) for pair in zip((*low, 0.0), (*high, top), strict=True)))
    return torch.cat([rotate_xy(corners[:, :2], torch.tensor(turn)), corners[:, 2:]], dim=1)


def around(boxes: list[torch.Tensor]) -> torch.Tensor:
    """Return feet all over some boxes."""
    return torch.cat([corners.mean(0) + 0.7 * (corners - corners.mean(0)) for corners in boxes])


# Turns that move no corner by half a sample are none.
TURNS = st.just(0.0) | st.floats(0.03, 0.7) | st.floats(-0.7, -0.03)


@settings(deadline=None, max_examples=10)
@given(turn=TURNS, shift=st.tuples(st.integers(0, 7), st.integers(0, 7)))
def test_boxes_of_whole_cells_are_cells(turn, shift):
    x, y = (0.05 * steps for steps in shift)
    boxes = [box((x, y), (x + 1.2, y + 0.8), 0.5, turn), box((x + 1.2, y), (x + 1.6, y + 0.8), 0.9, turn)]
    found = rasterised(boxes, around(boxes))
    assert math.remainder(found.turn + turn, math.pi / 2) == pytest.approx(0, abs=1e-3)
    # The shifts that are tried are 5 cm apart.
    assert found.tops_off < 1e-4
    assert found.edges_off < 0.03
    assert [int((found.terrain.heights - top).abs().lt(1e-4).sum()) for top in (0.5, 0.9)] == [6, 2]
    # The terrain is in the turned world, where the boxes are too.
    middle = rotate_xy(boxes[1].mean(0)[None, :2], torch.tensor(found.turn))
    assert float(found.terrain.heights_at(middle)) == pytest.approx(0.9)


def test_edges_between_cells_are_measured():
    boxes = [box((0.0, 0.0), (1.0, 4 * CELL_SIZE), 0.5)]  # two and a half cells along x: 20 cm too much or too little
    found = rasterised(boxes, around(boxes))
    length = 2 * (1.0 + 4 * CELL_SIZE)
    assert found.edges_off == pytest.approx(0.2 * 4 * CELL_SIZE / length, rel=0.3)


def test_a_ramp_becomes_steps_that_are_off():
    ramp = box((0.0, 0.0), (2.0, 1.2), 0.1)
    ramp[:, 2] += 0.25 * ramp[:, 0]
    found = rasterised([ramp], around([ramp]))
    # A step of 0.1 m is 2.5 cm off on average.
    assert 0.01 < found.tops_off < 0.03


def test_tops_are_those_of_the_highest_box():
    boxes = [box((0.0, 0.0), (1.0, 1.0), 0.5, 0.3), box((0.0, 0.0), (0.5, 0.5), 0.7, 0.3)]
    places = rotate_xy(torch.tensor([[0.2, 0.2], [0.8, 0.8], [1.2, 0.2]]), torch.tensor(0.3))
    torch.testing.assert_close(tops_at(boxes, places), torch.tensor([0.7, 0.5, 0.0]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 vertices"),
        ("v 1 2 x\n", "line 1"),
        ("v 0 0 0\nv 1 2\n", "line 2"),
        ("v 0 0 nan\n" * 8, "line 1"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\n", "in a plane"),
        ("v 0 0 0\n" * 2000, "2000 vertices"),
    ],
)
def test_what_is_no_box_is_refused(text, message):
    with pytest.raises(UserError, match=message) as error:
        box_corners("box.obj", text)
    assert str(error.value).startswith("box.obj: ")
    assert "\n" not in str(error.value)
