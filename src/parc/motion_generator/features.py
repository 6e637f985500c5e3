"""Motions as numbers for the network: features of each frame, and their statistics."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import roma
import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.frames import Frames
from parc.anim.rotations import rotation_from_6d, rotation_to_6d
from parc.configuration.errors import UserError
from parc.configuration.files import read_text, read_yaml, write_text_whole
from parc.configuration.schema import Settings

STATISTICS_FILE = "sampler_stats.txt"  # of a run, in its folder
# Settings of samplers that statistics depend on.
WINDOW_SETTINGS = ("num_frames", "num_previous_states", "fps", "relative_z_style")
SMALLEST_STD = 1e-5
FROM_SCRATCH = "to train from scratch, give iteration.input_model_path=null iteration.sampler_stats_filepath=null"


class RotationType(str, Enum):
    """How rotations are coded: exponential maps and joint DOFs, or the images of the x and z axes (6 numbers each)."""

    DEFAULT = "DEFAULT"
    ROT_6D = "ROT_6D"


@dataclass(frozen=True)
class Motion:
    """Poses in a window's canonical frame.

    Attributes:
        root_pos: metres.
        root_rot: (x, y, z, w).
        joint_pos: positions of all bodies but the root, metres; what the features say, or forward kinematics.
        joint_rot: (x, y, z, w) against the parent body.
        contacts: soft contact labels.
    """

    root_pos: Float[Tensor, "batch frames 3"]
    root_rot: Float[Tensor, "batch frames 4"]
    joint_pos: Float[Tensor, "batch frames joints 3"]
    joint_rot: Float[Tensor, "batch frames joints 4"]
    contacts: Float[Tensor, "batch frames bodies"]


@dataclass(frozen=True)
class PosedMotion(Motion):
    """A motion with the placement of all bodies by forward kinematics, which its joint positions agree with.

    Attributes:
        body_pos: metres.
        body_rot: (x, y, z, w), in the window's canonical frame.
    """

    body_pos: Float[Tensor, "batch frames bodies 3"]
    body_rot: Float[Tensor, "batch frames bodies 4"]


class MotionFeatures:
    """The layout of a frame's features: root position, root rotation, joint positions, joint rotations, contacts.

    Args:
        character: whose poses are coded.
        rotation_type: how rotations are coded.
    """

    def __init__(self, character: Character, rotation_type: RotationType) -> None:
        self.character = character
        self.rotation_type = rotation_type
        self.rotation_size, joint_rotations = 3, character.num_dofs
        if rotation_type is RotationType.ROT_6D:
            self.rotation_size, joint_rotations = 6, 6 * character.num_joints
        self.sizes = [3, self.rotation_size, 3 * character.num_joints, joint_rotations, character.num_bodies]
        self.num_features = sum(self.sizes)
        self.joint_positions = slice(sum(self.sizes[:2]), sum(self.sizes[:3]))

    def posed(self, frames: "Frames | Motion") -> PosedMotion:
        """Return the motion of frames, with all bodies placed by forward kinematics."""
        body_pos, body_rot = self.character.forward_kinematics(frames.root_pos, frames.root_rot, frames.joint_rot)
        return PosedMotion(
            root_pos=frames.root_pos,
            root_rot=frames.root_rot,
            joint_pos=body_pos[..., 1:, :],
            joint_rot=frames.joint_rot,
            contacts=frames.contacts,
            body_pos=body_pos,
            body_rot=body_rot,
        )

    def encode(self, motion: Motion) -> Float[Tensor, "batch frames features"]:
        """Return the features of a motion."""
        placed = self.encode_placement(motion.root_pos, motion.root_rot, motion.joint_pos)
        return torch.cat([placed, self.encode_pose(motion.joint_rot, motion.contacts)], dim=-1)

    def encode_placement(
        self,
        root_pos: Float[Tensor, "batch frames 3"],
        root_rot: Float[Tensor, "batch frames 4"],
        joint_pos: Float[Tensor, "batch frames joints 3"],
    ) -> Float[Tensor, "batch frames placement"]:
        """Return the first features, those that change when a motion is seen in another frame (metres, x y z w)."""
        six = self.rotation_type is RotationType.ROT_6D
        rotation = rotation_to_6d(root_rot) if six else roma.unitquat_to_rotvec(root_rot)
        return torch.cat([root_pos, rotation, joint_pos.flatten(-2)], dim=-1)

    def encode_pose(
        self, joint_rot: Float[Tensor, "batch frames joints 4"], contacts: Float[Tensor, "batch frames bodies"]
    ) -> Float[Tensor, "batch frames pose"]:
        """Return the last features, those that are the same in every frame of reference (x y z w)."""
        six = self.rotation_type is RotationType.ROT_6D
        rotations = rotation_to_6d(joint_rot).flatten(-2) if six else self.character.dofs_from_rotations(joint_rot)
        return torch.cat([rotations, contacts], dim=-1)

    def decode(self, features: Float[Tensor, "batch frames features"]) -> Motion:
        """Return the motion that features say, joint positions as predicted and contacts not clamped."""
        root_pos, root_rot, joint_pos, joint_rot, contacts = features.split(self.sizes, dim=-1)
        if self.rotation_type is RotationType.ROT_6D:
            root_rotation = rotation_from_6d(root_rot)
            joint_rotation = rotation_from_6d(joint_rot.unflatten(-1, (-1, 6)))
        else:
            root_rotation = roma.rotvec_to_unitquat(root_rot)
            joint_rotation = self.character.rotations_from_dofs(joint_rot)
        return Motion(root_pos, root_rotation, joint_pos.unflatten(-1, (-1, 3)), joint_rotation, contacts)

    def project(self, features: Float[Tensor, "batch frames features"]) -> Float[Tensor, "batch frames features"]:
        """Return features with joint positions replaced by forward kinematics, and contacts clamped to 0..1."""
        motion = self.decode(features)
        joint_pos = self.character.forward_kinematics(motion.root_pos, motion.root_rot, motion.joint_rot)[0][..., 1:, :]
        before, joint_rotations = features[..., : self.joint_positions.start], features.split(self.sizes, dim=-1)[3]
        return torch.cat([before, joint_pos.flatten(-2), joint_rotations, motion.contacts.clamp(0, 1)], dim=-1)


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean and standard deviation of each feature at each frame of a window."""

    mean: Float[Tensor, "frames features"]
    std: Float[Tensor, "frames features"]

    def standardise(self, features: Float[Tensor, "batch frames features"]) -> Float[Tensor, "batch frames features"]:
        """Return features in standard deviations from the mean."""
        return (features - self.mean) / self.std

    def unstandardise(self, features: Float[Tensor, "batch frames features"]) -> Float[Tensor, "batch frames features"]:
        """Undo `standardise`."""
        return features * self.std + self.mean

    def of_first(self, frames: int) -> "FeatureStatistics":
        """Return those of the first frames of a window."""
        return FeatureStatistics(self.mean[:frames], self.std[:frames])

    def write(self, path: Path, windows: Settings) -> None:
        """Write `sampler_stats.txt`: YAML with nested lists `mean` and `std`, as PARC's, and what windows they are of.

        Args:
            path: of the file.
            windows: the settings of a sampler that make windows what they are.
        """
        content = {"mean": self.mean.tolist(), "std": self.std.tolist(), "windows": windows}
        write_text_whole(path, yaml.dump(content, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))


def read_statistics(
    path: Path, num_frames: int, num_features: int, windows: Settings | None = None
) -> FeatureStatistics:
    """Read `sampler_stats.txt`, ours or PARC's.

    Args:
        path: of the file.
        num_frames: frames of a window.
        num_features: features of a frame.
        windows: what a sampler's windows are (see `FeatureStatistics.write`). Files of PARC's and of older versions do not
            say what theirs were.

    Raises:
        UserError: the file is missing, broken, or of other windows, frames or features.
    """
    if not path.is_file():
        raise UserError(f"sampler_stats_filepath {path}: there is no such file; give the sampler_stats.txt of a run")
    try:
        content = read_yaml(path, read_text(path))
        arrays = [np.asarray(content[name], dtype=np.float32) for name in ("mean", "std")]
        theirs = dict(content.get("windows", {}))
    except (UserError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = " ".join(str(error).removeprefix(f"{path}: ").split())[:160]
        raise UserError(f"{path}: expected YAML with number lists 'mean' and 'std' ({reason})") from error
    for name, value in (windows or {}).items():
        if theirs.get(name, value) != value:
            raise UserError(
                f"sampler.{name} is {value}, but the statistics in {path} are of windows with {theirs[name]}; expected the "
                f"same; {FROM_SCRATCH}"
            )
    for name, array in zip(("mean", "std"), arrays, strict=True):
        if array.shape != (num_frames, num_features):
            raise UserError(
                f"{path}: {name} has shape {list(array.shape)}, expected {[num_frames, num_features]} (frames, features); "
                "were these statistics made with another sampler, character or rotation_type?"
            )
        if not np.isfinite(array).all() or (name == "std" and (array <= 0).any()):
            raise UserError(f"{path}: {name} holds numbers that cannot be, expected finite ones and std above 0")
    mean, std = (torch.from_numpy(array) for array in arrays)
    return FeatureStatistics(mean, std)
