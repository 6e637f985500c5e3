"""Flat ground under motions that were captured on a floor."""

import torch
from jaxtyping import Float
from torch import Tensor

from parc.terrain.heightfield import Heightfield

CELL_SIZE = 0.4  # metres, that of PARC's clips
MARGIN = 2.0  # metres of ground around a motion


def flat_ground(places: Float[Tensor, "*batch 3"]) -> Heightfield:
    """Return ground at height 0 under all places (world, metres) and around them; its cells lie on one grid for all motions."""
    flat = places.reshape(-1, 3)[:, :2]
    first = torch.floor((flat.amin(0) - MARGIN) / CELL_SIZE)
    last = torch.ceil((flat.amax(0) + MARGIN) / CELL_SIZE)
    rows, columns = (last - first + 1).long().tolist()
    return Heightfield(torch.zeros(rows, columns), first * CELL_SIZE, CELL_SIZE)
