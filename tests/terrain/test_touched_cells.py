import pytest
import torch

from parc.terrain.heightfield import Heightfield
from parc.terrain.touched_cells import find_touched_cells, height_bounds, lowest_points


def terrain_and_points(seed):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (int(number) for number in torch.randint(2, 12, (2,), generator=generator))
    heights = torch.randn(rows, columns, generator=generator)
    points = torch.rand(7, 9, 3, generator=generator) * torch.tensor([rows * 0.5, columns * 0.5, 3]) - 0.3
    return Heightfield(heights, torch.tensor([0.1, -0.2]), 0.4), points


@pytest.mark.parametrize("seed", range(20))
def test_touched_cells_are_those_below_the_points_frame_by_frame(seed):
    terrain, points = terrain_and_points(seed)
    touched = find_touched_cells(points, terrain)
    for frame in range(len(points)):
        expected = {tuple(cell) for cell in terrain.cells_at(points[frame, :, :2]).tolist()}
        rows = touched.cells[touched.offsets[frame] : touched.offsets[frame + 1]].tolist()
        assert [tuple(row) for row in rows] == sorted(expected)
    assert touched.offsets[-1] == len(touched.cells)


@pytest.mark.parametrize("seed", range(20))
def test_bounds_freeze_what_is_touched_and_free_what_is_not(seed):
    terrain, points = terrain_and_points(seed)
    root = points[:, 0]
    bounds = height_bounds(points, root, terrain)
    lowest = lowest_points(points, terrain)
    cells = terrain.cells_at(points[..., :2])
    kinds = set()
    for row in range(terrain.heights.shape[0]):
        for column in range(terrain.heights.shape[1]):
            above = points[(cells == torch.tensor([row, column])).all(-1)][:, 2]
            height, (upper, lower) = terrain.heights[row, column], bounds[row, column]
            floor = terrain.heights.min() - 3
            if len(above) == 0:
                assert lowest[row, column] == torch.inf
                assert (upper, lower) == (root[:, 2].max() + 3, floor)
                kinds.add("untouched")
            elif above.min() - height >= 0.8:
                torch.testing.assert_close(upper, above.min() - 0.8)
                assert lower == floor
                kinds.add("jumped over")
            else:
                assert upper == lower == height
                kinds.add("touched")
    assert len(kinds) > 1


def test_bounds_hold_the_terrain_where_the_motion_is():
    terrain, points = terrain_and_points(3)
    bounds = height_bounds(points, points[:, 0], terrain)
    cells = find_touched_cells(points, terrain).cells
    heights = terrain.heights[cells[:, 0], cells[:, 1]]
    assert (heights <= bounds[cells[:, 0], cells[:, 1], 0] + 1e-6).all()
    assert (heights >= bounds[cells[:, 0], cells[:, 1], 1] - 1e-6).all()


def test_a_cell_touched_once_and_jumped_over_later_stays_frozen():
    terrain = Heightfield(torch.zeros(3, 1), torch.zeros(2), 1.0)
    points = torch.tensor([[[1.0, 0, 2.0]], [[1.0, 0, 0.1]], [[2.0, 0, 2.0]]])
    bounds = height_bounds(points, points[:, 0], terrain)
    assert bounds[1, 0].tolist() == [0, 0]
    assert bounds[2, 0].tolist() == pytest.approx([1.2, -3])
    assert bounds[0, 0].tolist() == [5, -3]
