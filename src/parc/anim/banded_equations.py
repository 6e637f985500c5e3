"""Costs whose quadratic models couple only frames near each other, and their minima: linear equations, solved in batches."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEAST_RAISE = 1e-6  # of the diagonal: keeps what hardly matters from going far


@dataclass(frozen=True)
class NormalEquations:
    """The cost of each motion, and its quadratic model in changes of poses: cost + 2 gradient . x + x . blocks x.

    Attributes:
        cost: of each motion.
        gradient: half the gradient.
        blocks: half the Gauss-Newton Hessian: `blocks[k][:, t]` couples frames t and t + k.
    """

    cost: Float[Tensor, " batch"]
    gradient: Float[Tensor, "batch frames changes"]
    blocks: list[Float[Tensor, "batch frames changes changes"]]

    def of(self, rows: Tensor) -> "NormalEquations":
        """Return those of some motions."""
        return NormalEquations(self.cost[rows], self.gradient[rows], [block[rows] for block in self.blocks])

    def or_where(self, other: Bool[Tensor, " batch"], instead: "NormalEquations") -> "NormalEquations":
        """Return these, and others instead where `other` is true."""
        pairs = zip(self.blocks, instead.blocks, strict=True)
        return NormalEquations(
            torch.where(other, instead.cost, self.cost),
            torch.where(other[:, None, None], instead.gradient, self.gradient),
            [torch.where(other[:, None, None, None], theirs, own) for own, theirs in pairs],
        )

    def step(
        self, damping: Float[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch frames changes"], Float[Tensor, " batch"]]:
        """Return the step to the minimum of the model with damping x its diagonal added, and how much the model gains by it."""
        diagonal = self.blocks[0].diagonal(dim1=-2, dim2=-1)
        # What nothing depends on, such as frames beyond the end, stays where it is.
        raised = torch.where(diagonal > 0, damping[:, None, None] * diagonal + LEAST_RAISE, 1.0)
        first = self.blocks[0] + torch.diag_embed(raised)
        step = -solve_banded([first, *self.blocks[1:]], self.gradient)
        # There blocks step + raised step is -gradient, which saves the products with the blocks.
        return step, (raised * step.square() - self.gradient * step).sum((1, 2))


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
