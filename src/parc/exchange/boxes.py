"""Captured boxes as a blocky terrain: the turn and the shift of the cells that fit them best, and how far off that is."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from parc.anim.rotations import rotate_xy
from parc.configuration.errors import UserError
from parc.exchange.flat_ground import CELL_SIZE, MARGIN
from parc.terrain.heightfield import Heightfield

SAMPLES = 8  # along a cell's side
SPACING = CELL_SIZE / SAMPLES
COVERED = SAMPLES**2 * 9 // 16  # the sample, by height, whose height a cell gets: half a box's width off, it is covered
STEP = 0.15  # metres of height from which on two places beside each other are on two levels
AROUND = 0.3  # metres around a limb's end within which the terrain matters most
ELSEWHERE = 0.02  # weight of terrain that nobody touches, against where they are most
LARGEST_TERRAIN = 200.0  # metres along a side


@dataclass(frozen=True)
class RasterisedBoxes:
    """Boxes as a terrain, and how far off it is.

    Attributes:
        terrain: in the turned world.
        turn: about z by which the world was turned, radians.
        tops_off: how far the terrain's tops are above or below the boxes' (or the ground), where both are on the same level:
            the mean over the terrain around feet and hands, metres. A box that is tilted is off by half the steps made of it.
        edges_off: how far the terrain's edges are beside those of the boxes: the area on different levels over the length of
            the boxes' edges, around feet and hands, metres; 0 where there are no edges.
    """

    terrain: Heightfield
    turn: float
    tops_off: float
    edges_off: float


def box_corners(source: object, text: str) -> Float[Tensor, "corners 3"]:
    """Return the corners of a box from the text of its OBJ file, in the file's units.

    Raises:
        UserError: there are not 4 to 1000 of them, they are no numbers, or the box is flat; names the source and the line.
    """
    corners = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("v "):
            try:
                corners.append([float(word) for word in line.split()[1:4]])
            except ValueError as error:
                raise UserError(f"{source}: line {number} is {line[:60]!r}, expected v X Y Z") from error
            if len(corners[-1]) != 3 or not np.isfinite(corners[-1]).all():
                raise UserError(f"{source}: line {number} is {line[:60]!r}, expected v and three finite numbers")
    if not 4 <= len(corners) <= 1000:
        raise UserError(f"{source}: {len(corners)} vertices, expected the corners of a box")
    try:
        ConvexHull(np.array(corners))
    except QhullError as error:
        raise UserError(f"{source}: its vertices lie in a plane, expected a box") from error
    return torch.tensor(corners)


def rasterised(boxes: list[Float[Tensor, "corners 3"]], touching: Float[Tensor, "places 3"]) -> RasterisedBoxes:
    """Return the terrain of cells that is nearest to boxes on level ground at height 0.

    The world is turned as one of the boxes stands, the cells are shifted by each of `SAMPLES` x `SAMPLES` shares of a cell, and
    each cell gets the height that (nearly) half of it has at least. The best of these is where the terrain's heights are nearest
    to the boxes', around the feet and hands more than elsewhere.

    Args:
        boxes: the corners of each, metres.
        touching: where feet and hands are, metres.
    """
    return min((_best_shift(boxes, touching, turn) for turn in _turns(boxes)), key=lambda found: found[0])[1]


def _turns(boxes: list[Float[Tensor, "corners 3"]]) -> list[float]:
    """Return by how much the world is turned so that one of the boxes stands along the axes, radians; least first."""
    turns = {0.0}
    for corners in boxes:
        hull = ConvexHull(corners.numpy())
        normals = hull.equations[:, :3]
        sides = normals[np.abs(normals[:, 2]) < 0.1]
        if len(sides):
            angle = np.arctan2(sides[0, 1], sides[0, 0])
            turns.add(round(float((-angle + np.pi / 4) % (np.pi / 2) - np.pi / 4), 4))
    return sorted(turns, key=abs)


def _best_shift(
    boxes: list[Float[Tensor, "corners 3"]], touching: Float[Tensor, "places 3"], turn: float
) -> tuple[float, RasterisedBoxes]:
    """Return the error of the best terrain of the world turned by `turn`, and that terrain."""
    angle = torch.tensor(turn)
    touching = rotate_xy(touching[:, :2], angle)
    low, high = touching.amin(0) - MARGIN, touching.amax(0) + MARGIN
    if float((high - low).max()) > LARGEST_TERRAIN:
        raise UserError(
            f"the captured motion goes {float((high - low).max()):.0f} m far, expected at most {LARGEST_TERRAIN:.0f} m"
        )
    cells = torch.ceil((high - low) / CELL_SIZE).long().tolist()
    # One cell more than there are, so that there are as many whole ones at every shift.
    counts = [(count + 1) * SAMPLES for count in cells]
    along = [first + SPACING * (torch.arange(count) + 0.5) for first, count in zip(low.tolist(), counts, strict=True)]
    places = torch.stack(torch.meshgrid(*along, indexing="ij"), dim=-1)
    heights = tops_at(boxes, rotate_xy(places, -angle))
    weights = _weights(touching, low, counts)
    best = None
    for shift_x in range(SAMPLES):
        for shift_y in range(SAMPLES):
            part = (slice(shift_x, shift_x + cells[0] * SAMPLES), slice(shift_y, shift_y + cells[1] * SAMPLES))
            blocks = heights[part].unflatten(1, (-1, SAMPLES)).unflatten(0, (-1, SAMPLES)).transpose(1, 2).flatten(2)
            medians = blocks.median(dim=-1).values
            spread = medians.repeat_interleave(SAMPLES, 0).repeat_interleave(SAMPLES, 1)
            error = float((weights[part] * (spread - heights[part]).abs()).sum())
            if best is None or error < best[0]:
                first = low + SPACING * torch.tensor([shift_x, shift_y]) + CELL_SIZE / 2
                best = (error, medians, first, spread, part)
    assert best is not None
    error, medians, first, spread, part = best
    off = _measured(spread, heights[part], weights[part])
    return error, RasterisedBoxes(Heightfield(medians, first, CELL_SIZE), turn, *off)


def tops_at(boxes: list[Float[Tensor, "corners 3"]], places: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """Return the height of the highest box's top, or of the ground at 0, at each place (metres).

    A box is where all planes of its hull are above: those that face up bound its top, those that face down its bottom.
    """
    highest = torch.zeros(places.shape[:-1])
    for corners in boxes:
        planes = torch.from_numpy(np.unique(ConvexHull(corners.numpy()).equations.round(7), axis=0)).float()
        level = places @ planes[:, :2].T + planes[:, 3]  # of each plane at z = 0; inside is where level + normal z <= 0
        upward, downward = planes[:, 2] > 1e-4, planes[:, 2] < -1e-4
        top = (-level[..., upward] / planes[upward, 2]).amin(-1)
        bottom = (-level[..., downward] / planes[downward, 2]).amax(-1)
        within = (level[..., ~upward & ~downward] <= 0).all(-1) & (top >= bottom)
        highest = torch.where(within, torch.maximum(highest, top), highest)
    return highest + 0.0  # no negative zeros


def _weights(touching: Float[Tensor, "places 2"], low: Float[Tensor, "2"], counts: list[int]) -> Float[Tensor, "X Y"]:
    """Return how much each sample of the terrain counts: by how often feet and hands are around it."""
    sample = ((touching - low) / SPACING).long()
    often = torch.zeros(counts).index_put((sample[:, 0], sample[:, 1]), torch.tensor(1.0), accumulate=True)
    reach = round(AROUND / SPACING)
    around = F.avg_pool2d(often[None], 2 * reach + 1, stride=1, padding=reach)[0].sqrt()
    return ELSEWHERE + around / around.max()


def _measured(
    heights: Float[Tensor, "X Y"], wanted: Float[Tensor, "X Y"], weights: Float[Tensor, "X Y"]
) -> tuple[float, float]:
    """Return how far tops and edges are off (see `RasterisedBoxes`)."""
    apart = (heights - wanted).abs()
    level = apart < STEP
    tops = (apart * weights)[level].sum() / weights[level].sum()
    length = sum(
        ((wanted.diff(dim=dim).abs() >= STEP) * weights.narrow(dim, 0, wanted.shape[dim] - 1)).sum() for dim in (0, 1)
    )
    edges = SPACING * (weights * ~level).sum() / length if length > 0 else torch.tensor(0.0)
    return float(tops), float(edges)
