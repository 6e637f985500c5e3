"""The formats that motions can be converted to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parc.anim.clip_files import write_clip
from parc.anim.dataset import ClipEntry
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.exchange.bvh import write_bvh
from parc.exchange.glb import write_glb
from parc.exchange.mimickit import PLACE, write_mimickit, write_mimickit_dataset
from parc.exchange.mujoco_scene import write_mujoco
from parc.exchange.parc_clip import write_parc, write_parc_dataset
from parc.exchange.protomotions import write_protomotions

Writer = Callable[[Path, str, MotionClip, CharacterFile], list[Path]]


@dataclass(frozen=True)
class Format:
    """A format to convert to.

    Attributes:
        write: writes a clip into a folder that is there, and returns the files, the main one last. It is given the destination,
            the folder relative to that, the clip, and whose it is.
        write_dataset: writes a list of all clips of a destination with their sampling weights, for formats that have such lists.
    """

    write: Writer
    write_dataset: Callable[[Path, list[ClipEntry]], object] | None = None


def _in_its_folder(write: Callable[[Path, MotionClip, CharacterFile], list[Path]]) -> Writer:
    """Return a writer whose files do not say where they lie."""
    return lambda destination, folder, clip, character: write(destination / folder, clip, character)


def _write_ours(folder: Path, clip: MotionClip, _: CharacterFile) -> list[Path]:
    file = folder / f"{clip.name}.safetensors"
    write_clip(file, clip)
    return [file]


def _write_mimickit(destination: Path, folder: str, clip: MotionClip, character: CharacterFile) -> list[Path]:
    return write_mimickit(destination / folder, clip, character, place=f"{PLACE}/{folder}")


FORMATS = {
    "clips": Format(_in_its_folder(_write_ours)),
    "parc": Format(_in_its_folder(write_parc), write_parc_dataset),
    "mimickit": Format(_write_mimickit, write_mimickit_dataset),
    "protomotions": Format(_in_its_folder(write_protomotions)),
    "mujoco": Format(_in_its_folder(write_mujoco)),
    "bvh": Format(_in_its_folder(write_bvh)),
    "glb": Format(_in_its_folder(write_glb)),
}
"""By their names, as `--to` takes them."""
