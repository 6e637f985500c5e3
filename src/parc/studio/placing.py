"""Putting nodes of a scene where they belong, also for browsers that knew others by their names."""

import numpy as np
import viser
from jaxtyping import Float


def place(node: viser.SceneNodeHandle, position: Float[np.ndarray, " 3"]) -> None:
    """Put a node somewhere, and tell it to browsers in any case.

    viser says nothing of a position that a new node has to begin with, (0, 0, 0). Where a node of the same name is taken away in
    the same moment, browsers see one node that changes, and leave it where it was.

    Args:
        node: that was just made.
        position: in the frame of its parent, metres.
    """
    node.position = tuple(position + 1.0)
    node.position = tuple(position)
