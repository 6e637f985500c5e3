"""Between our axes (x forward, y left, z up) and those of animation tools (z forward, x left, y up), by one cyclic exchange."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

# The rotation (x, y, z, w) that takes a vector in our axes to the same vector in theirs: x goes to z, y to x, z to y.
Y_UP_ROTATION = (-0.5, -0.5, -0.5, 0.5)


def y_up(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Return vectors, given in our axes, in those of animation tools."""
    return vectors[..., [1, 2, 0]]


def y_up_rotations(rotations: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return rotations (x, y, z, w), given in our axes, in those of animation tools: their axes change as vectors do."""
    return rotations[..., [1, 2, 0, 3]]


def z_up(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Return vectors, given in the axes of animation tools, in ours."""
    return vectors[..., [2, 0, 1]]


def y_up_points(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    """Return points of a mesh, given in our axes, in those of animation tools."""
    return points[:, [1, 2, 0]]
