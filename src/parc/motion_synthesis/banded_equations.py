"""Linear equations between neighbouring frames, solved for many motions at once."""

import torch
from jaxtyping import Float
from torch import Tensor


def solve_banded(
    blocks: list[Float[Tensor, "batch frames size size"]], right: Float[Tensor, "batch frames size"]
) -> Float[Tensor, "batch frames size"]:
    """Solve A x = right for a symmetric positive definite A that couples only frames near each other.

    Some frames together are one block of a block-tridiagonal matrix, whose Cholesky factor is made one block after the other.
    Where A is not positive definite the solution is no solution, and perhaps not finite.

    Args:
        blocks: A's block of frames t and t + k is `blocks[k][:, t]`; those whose second frame is not there are not looked at. The
            number of frames is a multiple of the reach, `len(blocks) - 1`.
        right: the right-hand side.
    """
    reach = len(blocks) - 1
    batch, frames, size = right.shape
    groups, wide = frames // reach, reach * size
    blocks = [block.unflatten(1, (groups, reach)) for block in blocks]
    within = right.new_zeros(batch, groups, reach, size, reach, size)
    across = right.new_zeros(batch, groups, reach, size, reach, size)
    for first in range(reach):
        for second in range(first, reach):  # the lower triangle: all that is looked at
            within[:, :, second, :, first] = blocks[second - first][:, :, first].transpose(-1, -2)
        for second in range(first + 1):
            across[:, :, first, :, second] = blocks[reach + second - first][:, :, first]
    within, across = within.reshape(batch, groups, wide, wide), across.reshape(batch, groups, wide, wide)
    parts = right.reshape(batch, groups, wide, 1)
    factors, links, solved = [], [], []
    for group in range(groups):
        block, part = within[:, group], parts[:, group]
        if group:
            block = block - links[-1].mT @ links[-1]
            part = part - links[-1].mT @ solved[-1]
        factor = torch.linalg.cholesky_ex(block).L
        both = torch.linalg.solve_triangular(factor, torch.cat([across[:, group], part], dim=-1), upper=False)
        factors.append(factor)
        links.append(both[..., :-1])
        solved.append(both[..., -1:])
    result = [torch.linalg.solve_triangular(factors[-1].mT, solved[-1], upper=True)]
    for group in range(groups - 2, -1, -1):
        rest = solved[group] - links[group] @ result[-1]
        result.append(torch.linalg.solve_triangular(factors[group].mT, rest, upper=True))
    return torch.stack(result[::-1], dim=1).reshape(batch, frames, size)
