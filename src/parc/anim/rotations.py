"""What the project needs of rotations beyond `roma`: headings, turns about z, interpolation, angles, 6-D codes.

Quaternions are (x, y, z, w), unit; q and -q are the same rotation. z is up, x is forward at heading 0.
"""

import roma
import torch
from jaxtyping import Float
from torch import Tensor


def heading(rotation: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """Return the heading (radians): the direction, seen from above, of the x axis rotated by `rotation`."""
    x, y, z, w = rotation.unbind(-1)
    return torch.atan2(2 * (x * y + z * w), w * w + x * x - y * y - z * z)


def turn_about_z(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 4"]:
    """Return the quaternion that turns by `angle` (radians) about z."""
    zero = torch.zeros_like(angle)
    return torch.stack([zero, zero, torch.sin(angle / 2), torch.cos(angle / 2)], dim=-1)


def rotate_xy(vectors: Float[Tensor, "*batch 2"], angle: Float[Tensor, "*#batch"]) -> Float[Tensor, "*batch 2"]:
    """Turn x, y vectors by `angle` (radians), counter-clockwise."""
    sin, cos = torch.sin(angle), torch.cos(angle)
    x, y = vectors.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)


def slerp(
    start: Float[Tensor, "*batch 4"], end: Float[Tensor, "*batch 4"], share: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*batch 4"]:
    """Go the share 0..1 of the shorter way from `start` to `end`; exact for nearly equal rotations too.

    sin((1 - t) a) start + sin(t a) end, over sin(a), where a is the angle between the quaternions (Shoemake 1985).
    """
    share = share[..., None]
    cosine = (start * end).sum(-1, keepdim=True)
    # The angle by its tangent: the arc cosine of a number near 1 has hardly a digit left.
    end = torch.where(cosine < 0, -end, end)
    angle = 2 * torch.atan2((start - end).norm(dim=-1, keepdim=True), (start + end).norm(dim=-1, keepdim=True))
    # Below this the way is straight to the last bit, and sin(a) / a is 1.
    angle = angle.clamp(min=1e-4)
    blend = torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end
    return blend / torch.sin(angle)


def rotation_angle(rotation: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """Return the angle of a rotation in 0..pi (radians): 2 atan2(|v|, |w|), and 0 with zero gradient for |v| <= 1e-5."""
    squared = rotation[..., :3].square().sum(-1)
    turned = squared > 1e-10
    # The square root is taken of a safe number where the branch is thrown away: its gradient at 0 is infinite.
    length = torch.sqrt(torch.where(turned, squared, 1.0))
    return torch.where(turned, 2 * torch.atan2(length, rotation[..., 3].abs()), 0.0)


def angle_between(first: Float[Tensor, "*batch 4"], second: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """Return the angle (radians, 0..pi) between two rotations."""
    return rotation_angle(roma.quat_product(first, roma.quat_conjugation(second)))


def rotation_to_6d(rotation: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 6"]:
    """Return the images of x and of z under a rotation: a code without jumps (Zhou et al., CVPR 2019)."""
    matrix = roma.unitquat_to_rotmat(rotation)
    return torch.cat([matrix[..., 0], matrix[..., 2]], dim=-1)


def rotation_from_6d(code: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 4"]:
    """Return the rotation whose images of x and z are nearest to `code` (x exactly, z made perpendicular to it)."""
    # special_gramschmidt keeps its first column and makes its second perpendicular: columns (x, z) give (x, z, x * z = -y).
    axes = code.unflatten(-1, (2, 3)).transpose(-1, -2)
    x, z, minus_y = roma.special_gramschmidt(axes, epsilon=1e-8).unbind(-1)  # pyright: ignore[reportArgumentType]
    return roma.rotmat_to_unitquat(torch.stack([x, -minus_y, z], dim=-1))
