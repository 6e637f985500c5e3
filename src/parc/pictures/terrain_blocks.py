"""The ground near a motion as solid blocks: what of it is drawn, and its faces."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from parc.pictures.palette import HIGH_GROUND, LOW_GROUND, PIT, blend, rgb
from parc.pictures.ray_casting import Kind, Shapes
from parc.terrain.heightfield import Heightfield

MARGIN = 1.2  # metres of ground that are drawn around the motion
DEEPEST = 0.5  # metres below the lowest body at which pits are cut off
SLAB = 0.2  # metres of solid ground below the lowest top


@dataclass(frozen=True)
class TerrainBlocks:
    """The part of a terrain that is drawn.

    Attributes:
        drawn: which cells are.
        tops: height of each cell's flat top, metres; pits deeper than `floor` are raised to it.
        is_pit: cells whose ground lies deeper than `floor`.
        floor: the deepest ground drawn, metres.
        min_point: x, y of the centre of cell (0, 0), metres.
        cell_size: side of a cell, metres.
    """

    drawn: Bool[np.ndarray, "X Y"]
    tops: Float[np.ndarray, "X Y"]
    is_pit: Bool[np.ndarray, "X Y"]
    floor: float
    min_point: Float[np.ndarray, " 2"]
    cell_size: float


def blocks_near(heightfield: Heightfield, points: Float[np.ndarray, "points 3"]) -> TerrainBlocks:
    """Choose the cells within `MARGIN` of the cells below any of the points (world, metres)."""
    cell_size = heightfield.cell_size
    heights = heightfield.heights.double().numpy()
    min_point = heightfield.min_point.double().numpy()
    cells = np.round((points[:, :2] - min_point) / cell_size).astype(int)
    cells = cells.clip(0, np.array(heights.shape) - 1)
    touched = np.zeros(heights.shape, dtype=bool)
    touched[cells[:, 0], cells[:, 1]] = True
    # The distance is that of cell centres, and the points may be anywhere in theirs.
    drawn = np.asarray(ndimage.distance_transform_edt(~touched)) * cell_size <= MARGIN + cell_size / 2
    floor = float(points[:, 2].min()) - DEEPEST
    is_pit = heights < floor
    return TerrainBlocks(drawn, np.maximum(heights, floor), is_pit, floor, min_point, cell_size)


def height_range(blocks: TerrainBlocks) -> tuple[float, float]:
    """Return the lowest and the highest ground drawn, pits left out, metres."""
    tops = blocks.tops[blocks.drawn & ~blocks.is_pit]
    return (float(tops.min()), float(tops.max())) if len(tops) else (blocks.floor, blocks.floor)


def block_shapes(blocks: TerrainBlocks) -> Shapes:
    """Return the tops of the drawn cells and those sides that stick out of their neighbours.

    A cell's group is its row x columns + column.
    """
    bottom = blocks.tops[blocks.drawn].min() - SLAB
    around = np.pad(np.where(blocks.drawn, blocks.tops, bottom), 1, constant_values=bottom)
    rows, columns = np.nonzero(blocks.drawn)
    tops = blocks.tops[rows, columns]
    centres = blocks.min_point + np.stack([rows, columns], axis=1) * blocks.cell_size
    cells = np.stack([centres[:, 0], centres[:, 1], tops], axis=1)
    half = blocks.cell_size / 2
    x, y = np.array([2 * half, 0, 0]), np.array([0, 2 * half, 0])
    corners = [cells - (x + y) / 2]
    sides = [np.broadcast_to(np.stack([x, y]), (len(cells), 2, 3))]
    owners = [np.arange(len(cells))]
    for step_x, step_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        lower = around[rows + 1 + step_x, columns + 1 + step_y]
        exposed = np.nonzero(lower < tops - 1e-6)[0]
        outward = np.array([step_x, step_y, 0.0])
        along = 2 * half * np.array([-step_y, step_x, 0.0])  # along x up points outward
        foot = cells[exposed] + half * outward - along / 2
        foot[:, 2] = lower[exposed]
        rise = np.zeros((len(exposed), 3))
        rise[:, 2] = (tops - lower)[exposed]
        corners.append(foot)
        sides.append(np.stack([np.broadcast_to(along, rise.shape), rise], axis=1))
        owners.append(exposed)
    owner = np.concatenate(owners)
    return Shapes(
        corners=np.concatenate(corners),
        sides=np.concatenate(sides),
        starts=np.zeros((0, 3)),
        ends=np.zeros((0, 3)),
        radii=np.zeros(0),
        colours=_ground_colours(blocks)[rows, columns][owner],
        kinds=np.full(len(owner), Kind.TERRAIN),
        groups=(rows * blocks.tops.shape[1] + columns)[owner],
    )


def _ground_colours(blocks: TerrainBlocks) -> Float[np.ndarray, "X Y 3"]:
    low, high = height_range(blocks)
    # Under half a metre of difference the colours would claim more than there is.
    shares = ((blocks.tops - low) / max(high - low, 0.5)).clip(0, 1)
    colours = blend(LOW_GROUND, HIGH_GROUND, shares.ravel()).reshape(*shares.shape, 3)
    colours[blocks.is_pit] = rgb(PIT)
    return colours
