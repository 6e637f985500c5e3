"""Changing the terrain around a motion where the motion does not touch it, so that the model sees more of terrains."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parc.configuration.errors import UserError

Heightmaps = Float[Tensor, "batch rows columns"]
Bounds = Float[Tensor, "batch rows columns 2"]


@runtime_checkable
class HeightmapAugmentation(Protocol):
    """A way to change local heightmaps within bounds.

    Drawing and changing are apart, so that several processes can draw one batch and change their part of it.
    """

    def draw(self, generator: torch.Generator, batch: int, shape: tuple[int, int]) -> dict[str, Tensor]:
        """Draw the random numbers of a batch of heightmaps of `shape`; the batch is the first axis of each tensor."""
        ...

    def change(self, heightmap: Heightmaps, bounds: Bounds, draws: dict[str, Tensor]) -> Heightmaps:
        """Return changed heightmaps, every height between its bounds (`[..., 0]` upper, `[..., 1]` lower)."""
        ...


class NoAugmentation:
    """Leave heightmaps as they are."""

    def draw(self, generator: torch.Generator, batch: int, shape: tuple[int, int]) -> dict[str, Tensor]:
        """Draw nothing."""
        return {}

    def change(self, heightmap: Heightmaps, bounds: Bounds, draws: dict[str, Tensor]) -> Heightmaps:
        """Return the heightmaps themselves."""
        return heightmap


class HeightNoise:
    """Give every cell a height of its own, U(-max_height, max_height), between its bounds.

    Args:
        max_height: metres.
    """

    def __init__(self, max_height: float) -> None:
        if max_height <= 0:
            raise UserError(f"sampler.augmentation.max_height is {max_height}, expected metres above 0")
        self.max_height = max_height

    def draw(self, generator: torch.Generator, batch: int, shape: tuple[int, int]) -> dict[str, Tensor]:
        """Draw a height for every cell."""
        return {"heights": _uniform(generator, -self.max_height, self.max_height, batch, *shape)}

    def change(self, heightmap: Heightmaps, bounds: Bounds, draws: dict[str, Tensor]) -> Heightmaps:
        """Return the drawn heights, clamped to the bounds."""
        return clamp_to_bounds(draws["heights"], bounds)


@dataclass(frozen=True)
class MaxpoolAndBoxes:
    """The paper's augmentation: now and then one height for all, wider plateaus by max-pooling, and random boxes.

    Attributes:
        flat_chance: chance that the whole map is set to one height first.
        pool_chance: chance of each of the three max-pools (square, along x, along y; in random order).
        max_pool_half_width: largest half-width of a pool, cells.
        max_boxes: most boxes a map.
        min_box_length: shortest side of a box, cells.
        max_box_length: longest side of a box, cells.
        max_height: heights are drawn from U(-max_height, max_height), metres.
    """

    flat_chance: float
    pool_chance: float
    max_pool_half_width: int
    max_boxes: int
    min_box_length: float
    max_box_length: float
    max_height: float

    def __post_init__(self) -> None:
        for name in ("flat_chance", "pool_chance"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"sampler.augmentation.{name} is {getattr(self, name)}, expected a chance in 0..1")
        for name in ("max_pool_half_width", "max_boxes", "min_box_length", "max_height"):
            if getattr(self, name) < 0:
                raise UserError(f"sampler.augmentation.{name} is {getattr(self, name)}, expected 0 or more")
        if self.max_box_length < self.min_box_length:
            raise UserError(
                f"sampler.augmentation.max_box_length is {self.max_box_length}, expected at least min_box_length "
                f"({self.min_box_length})"
            )

    def draw(self, generator: torch.Generator, batch: int, shape: tuple[int, int]) -> dict[str, Tensor]:
        """Draw whether and how each heightmap is flattened, pooled and built upon."""

        def whole_numbers(largest: int, *size: int) -> Int[Tensor, "..."]:
            return torch.randint(0, largest + 1, size, generator=generator)

        boxes = self.max_boxes
        return {
            "flat": torch.rand(batch, generator=generator) < self.flat_chance,
            "flat_height": _uniform(generator, -self.max_height, self.max_height, batch),
            "pool_order": torch.rand(batch, 3, generator=generator).argsort(dim=1),
            "pooled": torch.rand(batch, 3, generator=generator) < self.pool_chance,
            "pool_half_width": whole_numbers(self.max_pool_half_width, batch, 3),
            "num_boxes": whole_numbers(boxes, batch),
            "box_centre": torch.rand(batch, boxes, 2, generator=generator) * torch.tensor(shape),
            "box_lengths": _uniform(generator, self.min_box_length, self.max_box_length, batch, boxes, 2),
            "box_angle": _uniform(generator, 0.0, 2 * torch.pi, batch, boxes),
            "box_height": _uniform(generator, -self.max_height, self.max_height, batch, boxes),
        }

    def change(self, heightmap: Heightmaps, bounds: Bounds, draws: dict[str, Tensor]) -> Heightmaps:
        """Return the heightmaps flattened, pooled and built upon as drawn, clamped to their bounds."""
        heightmap = torch.where(draws["flat"][:, None, None], draws["flat_height"][:, None, None], heightmap)
        for place in range(3):
            chosen = draws["pooled"][:, place].nonzero()[:, 0]
            kind, half_width = draws["pool_order"][chosen, place], draws["pool_half_width"][chosen, place]
            # Kind 0 is square, 1 runs along x, 2 along y.
            pooled = max_pool(heightmap[chosen], half_width * (kind != 2), half_width * (kind != 1))
            heightmap = heightmap.index_copy(0, chosen, clamp_to_bounds(pooled, bounds[chosen]))
        for box in range(self.max_boxes):
            inside = cells_in_box(
                heightmap.shape[1:],
                draws["box_centre"][:, box],
                draws["box_lengths"][:, box],
                draws["box_angle"][:, box],
            )
            drawn = inside & (box < draws["num_boxes"])[:, None, None]
            heightmap = torch.where(drawn, draws["box_height"][:, box, None, None], heightmap)
        return clamp_to_bounds(heightmap, bounds)


def clamp_to_bounds(heightmap: Heightmaps, bounds: Bounds) -> Heightmaps:
    """Return heights no higher than `bounds[..., 0]` and no lower than `bounds[..., 1]`."""
    return torch.minimum(torch.maximum(heightmap, bounds[..., 1]), bounds[..., 0])


def max_pool(
    heightmap: Heightmaps, half_width_x: Int[Tensor, " batch"], half_width_y: Int[Tensor, " batch"]
) -> Heightmaps:
    """Max-pool each heightmap with its own half-widths (cells); the kernel spans 2 k + 1 cells, nothing lies beside the map."""
    along_y = _max_along_y(heightmap, half_width_y)
    return _max_along_y(along_y.transpose(1, 2), half_width_x).transpose(1, 2)


def _max_along_y(heightmap: Heightmaps, half_width: Int[Tensor, " batch"]) -> Heightmaps:
    """Max-pool along the second axis: the maximum over any span is that of two spans of a power of two that cover it."""
    batch, _, columns = heightmap.shape
    margin = int(half_width.max()) if batch else 0
    if margin == 0:
        return heightmap
    # maxima[n][..., c] is over cells c to c + 2^n - 1 of the map with its margins.
    maxima = [F.pad(heightmap, (margin, margin), value=-torch.inf)]
    for power in range((2 * margin + 1).bit_length() - 1):
        maxima.append(torch.maximum(maxima[-1], F.pad(maxima[-1][..., 2**power :], (0, 2**power), value=-torch.inf)))
    spans = torch.stack(maxima, dim=1)
    width = 2 * half_width + 1
    power = torch.log2(width.float() + 0.5).long()
    first = torch.arange(columns) + (margin - half_width)[:, None]
    last = first + (width - 2**power)[:, None]
    maps = spans[torch.arange(batch), power]
    rows = heightmap.shape[1]
    return torch.maximum(*(maps.gather(2, cells[:, None].expand(-1, rows, -1)) for cells in (first, last)))


def cells_in_box(
    shape: torch.Size,
    centre: Float[Tensor, "batch 2"],
    lengths: Float[Tensor, "batch 2"],
    angle: Float[Tensor, " batch"],
) -> Bool[Tensor, "batch rows columns"]:
    """Return which cells are in a box: their offset from its centre, turned by +angle, is less than half its lengths.

    Args:
        shape: cells along both axes.
        centre: of each box, in cells.
        lengths: of its sides, in cells.
        angle: radians.
    """
    along_x = torch.arange(shape[0])[:, None] - centre[:, 0, None, None]
    along_y = torch.arange(shape[1]) - centre[:, 1, None, None]
    sin, cos = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    half = lengths[:, :, None, None] / 2
    return ((cos * along_x - sin * along_y).abs() < half[:, 0]) & ((sin * along_x + cos * along_y).abs() < half[:, 1])


def _uniform(generator: torch.Generator, low: float, high: float, *size: int) -> Float[Tensor, "..."]:
    return low + (high - low) * torch.rand(size, generator=generator)
