"""What a BVH file holds: a skeleton, and the channels of its joints frame by frame."""

from dataclasses import dataclass

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Triple

POSITION, ROTATION = "position", "rotation"  # names of channels, behind an axis


@dataclass(frozen=True)
class BvhJoint:
    """A joint of a BVH skeleton.

    Attributes:
        name: as in the file.
        parent: index of the parent joint; -1 for the root.
        offset: from the parent when all channels are 0, in the parent's axes, in the file's unit of length.
        channels: three rotations, and three positions in some joints, such as "Xposition" or "Zrotation", in the file's order.
        end_site: of a joint without children, where its bone ends, in its axes; None where the file does not say.
    """

    name: str
    parent: int
    offset: Triple
    channels: tuple[str, ...]
    end_site: Triple | None = None


@dataclass(frozen=True)
class BvhDocument:
    """What a BVH file holds.

    Attributes:
        joints: depth first, the root first.
        values: the channels of all joints one after the other; angles in degrees.
        frame_time: seconds a frame.
    """

    joints: tuple[BvhJoint, ...]
    values: Float[np.ndarray, "frames channels"]
    frame_time: float

    def local_poses(self) -> tuple[Float[Tensor, "frames joints 3"], Float[Tensor, "frames joints 4"]]:
        """Return position and rotation (x, y, z, w) of every joint against its parent, in double precision.

        Rotations apply in the order of the channels, about axes that turn along. Position channels take the place of the
        offset, as LAFAN1 means them, whose root has one that is not 0.
        """
        positions, rotations, first = [], [], 0
        for joint in self.joints:
            values = torch.from_numpy(self.values[:, first : first + len(joint.channels)]).double()
            first += len(joint.channels)
            place = torch.tensor(joint.offset, dtype=torch.float64).repeat(len(values), 1)
            for axis, of_axis in enumerate("XYZ"):
                if of_axis + POSITION in joint.channels:
                    place[:, axis] = values[:, joint.channels.index(of_axis + POSITION)]
            positions.append(place)
            turning = [number for number, channel in enumerate(joint.channels) if channel.endswith(ROTATION)]
            order = "".join(joint.channels[number][0] for number in turning)
            rotations.append(roma.euler_to_unitquat(order, values[:, turning], degrees=True))
        return torch.stack(positions, dim=1), torch.stack(rotations, dim=1)  # pyright: ignore[reportArgumentType]

    def joint_positions(self) -> Float[Tensor, "frames joints 3"]:
        """Return the position of every joint in the file's world and unit of length, in double precision."""
        positions, rotations = self.local_poses()
        placed: list[Tensor] = []
        turned: list[Tensor] = []
        for number, joint in enumerate(self.joints):
            place, rotation = positions[:, number], rotations[:, number]
            if joint.parent >= 0:
                place = placed[joint.parent] + roma.quat_action(turned[joint.parent], place)
                rotation = roma.quat_product(turned[joint.parent], rotation)
            placed.append(place)
            turned.append(rotation)
        return torch.stack(placed, dim=1)
