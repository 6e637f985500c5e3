"""Where whoever follows a path is to look: the node some way ahead, or the last one before a corner."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parc.terrain.heightfield import Heightfields

LOOKED_AT = 12  # places on the straight way to a node


def node_ahead(
    terrains: Heightfields,
    which: Int[Tensor, " batch"],
    nodes: Float[Tensor, "batch nodes 3"],
    last: Int[Tensor, " batch"],
    place: Float[Tensor, "batch 2"],
    ahead: int,
    corner_height: float | None,
) -> Int[Tensor, " batch"]:
    """Return the node some way after the one that is nearest to a place, or the last one of the path.

    A nearer one is returned, the next after the nearest at least, where the straight way farther on leads over a corner: over
    ground that is higher than any of the path up to there and than the place itself, or lower than any of the path. Whoever is
    told to go straight there walks into a wall or falls off an edge that the path goes around; over a step, or a gap that the
    path jumps, the straight way is as good.

    Args:
        terrains: in whose frames the paths are.
        which: terrain each path leads over.
        nodes: x, y, z of each path, metres, the last one repeated to the length of the longest path.
        last: number of the last node of each.
        place: x, y from which each looks, metres.
        ahead: how many nodes after the nearest one, at most.
        corner_height: metres of difference from which on ground counts as higher or lower; None for paths followed without
            regard to it.
    """
    nearest = torch.linalg.norm(nodes[..., :2] - place[:, None], dim=-1).argmin(1)
    if corner_height is None:
        return torch.minimum(nearest + ahead, last)
    numbers = torch.minimum(nearest[:, None] + torch.arange(ahead + 1, device=nearest.device), last[:, None])
    ways = nodes[..., :2].gather(1, numbers[..., None].expand(-1, -1, 2))
    ground = terrains.heights_at(which, ways)
    # Who is about to leap stands high while the nearest node may be over the gap already.
    here = terrains.heights_at(which, place[:, None])
    highest = torch.maximum(ground, here).cummax(1).values[:, 1:, None]
    lowest = ground.cummin(1).values[:, 1:, None]
    shares = torch.arange(1, LOOKED_AT + 1, device=place.device)[:, None] / LOOKED_AT
    straight = place[:, None, None] + shares * (ways[:, 1:, None] - place[:, None, None])
    under = terrains.heights_at(which, straight.flatten(1, 2)).unflatten(1, (ahead, LOOKED_AT))
    is_level = (under <= highest + corner_height) & (under >= lowest - corner_height)
    seen = is_level.all(-1).long().cumprod(1).sum(1)
    return torch.minimum(nearest + seen.clamp(min=1), last)
