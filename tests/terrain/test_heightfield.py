import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parc.terrain.heightfield import Heightfield, laid_end_to_end, nearest_cell

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


def heightfield(shape=(5, 7), min_point=(-1.0, 2.0), cell_size=0.5, seed=0):
    heights = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return Heightfield(heights, torch.tensor(min_point), cell_size)


@settings(deadline=None, max_examples=60)
@given(SIZES, st.floats(0.05, 3), st.integers(0, 2**31))
def test_a_point_belongs_to_the_cell_whose_centre_is_nearest(shape, cell_size, seed):
    generator = torch.Generator().manual_seed(seed)
    terrain = heightfield(shape, (seed % 7 - 3.0, seed % 5 - 2.0), cell_size, seed)
    # From a cell and a half beside the map on one side to as much beside it on the other.
    span = torch.tensor(shape) + 2
    points = terrain.min_point + (torch.rand(60, 2, generator=generator) * span - 1.5) * cell_size
    rows = terrain.min_point[0] + torch.arange(shape[0]) * cell_size
    columns = terrain.min_point[1] + torch.arange(shape[1]) * cell_size
    cells = terrain.cells_at(points)
    for axis, centres in enumerate((rows, columns)):
        distances = (points[:, axis, None] - centres).abs()
        own = distances.gather(1, cells[:, axis, None])[:, 0]
        torch.testing.assert_close(own, distances.min(1).values, atol=1e-5 * cell_size, rtol=1e-4)
    assert torch.equal(terrain.heights_at(points), terrain.heights[cells[:, 0], cells[:, 1]])


def test_cells_are_flat_and_never_interpolated():
    terrain = heightfield()
    centre = terrain.min_point + torch.tensor([2, 3]) * 0.5
    within = centre + (torch.rand(200, 2) - 0.5) * 0.499
    assert (terrain.heights_at(within) == terrain.heights[2, 3]).all()


@pytest.mark.parametrize(
    ("point", "cell"),
    [((-1e6, 2.0), (0, 0)), ((1e6, 2.0), (4, 0)), ((-1.0, -1e6), (0, 0)), ((-1.0, 1e6), (0, 6)), ((9.0, 9.0), (4, 6))],
)
def test_points_beside_the_map_belong_to_its_border(point, cell):
    assert heightfield().cells_at(torch.tensor(point)).tolist() == list(cell)


@pytest.mark.parametrize("shape", [(5, 7), (6, 8)])
def test_what_is_no_number_has_some_cell_too(shape):
    """A motion that diverges is to be found out by its numbers, not by an error deep inside."""
    points = torch.tensor([[float("nan"), 3.0], [0.0, float("nan")], [float("inf"), float("-inf")]])
    terrain = heightfield(shape)
    assert terrain.cells_at(points).tolist() == [[0, 2], [2, 0], [shape[0] - 1, 0]]
    together = laid_end_to_end([terrain, terrain]).heights_at(torch.tensor([1]), points[None])
    assert torch.equal(together[0], terrain.heights_at(points))


def test_borders_between_cells_go_to_the_even_one():
    assert nearest_cell(torch.tensor([0.5, 1.5, 2.5, 3.5]), torch.tensor(0.0), 1.0, 9).tolist() == [0, 2, 2, 4]


def test_each_place_may_be_looked_up_in_a_terrain_of_its_own():
    generator = torch.Generator().manual_seed(0)
    places = torch.randn(6, 40, generator=generator) * 4
    least, size = torch.randn(6, 1, generator=generator), torch.rand(6, 1, generator=generator) + 0.1
    count = torch.randint(1, 20, (6, 1), generator=generator)
    together = nearest_cell(places, least, size, count)
    for number in range(6):
        alone = nearest_cell(places[number], least[number, 0], float(size[number]), int(count[number]))
        assert torch.equal(together[number], alone)


def test_terrains_laid_end_to_end_have_their_own_heights_also_beside_the_map():
    alone = [heightfield((n + 2, 9 - n), (n - 1.0, 2.0 * n), 0.3 + n / 5, seed=n) for n in range(5)]
    which = torch.tensor([4, 0, 2, 2, 1, 3])
    points = torch.randn(6, 50, 2, generator=torch.Generator().manual_seed(0)) * 5
    heights = laid_end_to_end(alone).heights_at(which, points)
    for item, number in enumerate(which.tolist()):
        assert torch.equal(heights[item], alone[number].heights_at(points[item]))
