"""Files of simulations: archives of arrays that anyone can replay, and the scenes that viewers open."""

import zipfile
from pathlib import Path

import numpy as np

from parc.configuration.errors import UserError
from parc.configuration.files import write_text_whole, write_whole
from parc.physics.correction import Recording

ARCHIVE_SUFFIX = ".npz"


def save_recording(archive: Path, recording: Recording, *, with_scene: bool) -> None:
    """Save a simulation: `qpos` and `qvel` of every state, `ctrl` of every step, `steps_per_frame`, and `xml`, the model's MJCF.

    Args:
        archive: where it goes, a file of NumPy's (.npz) without objects.
        recording: to be saved.
        with_scene: whether its scene is saved beside it; one of an earlier simulation goes either way.

    Raises:
        UserError: it cannot be saved.
    """

    def write(part: Path) -> None:
        with part.open("wb") as stream:
            np.savez(
                stream,
                qpos=recording.positions,
                qvel=recording.velocities,
                ctrl=recording.commands,
                steps_per_frame=np.int64(recording.steps_per_frame),
                xml=np.str_(recording.xml),
            )

    scene_of(archive).unlink(missing_ok=True)
    write_whole(archive, write)
    if with_scene:
        write_text_whole(scene_of(archive), recording.xml)


def scene_of(archive: Path) -> Path:
    """Return where the scene of a simulation goes, beside it."""
    return archive.with_suffix(".xml")


def save_scene(archive: Path) -> None:
    """Save the scene of a simulation that was saved without, an MJCF file that MuJoCo's viewers open, beside it.

    Raises:
        UserError: the simulation cannot be read, or the scene not be saved.
    """
    try:
        with np.load(archive, allow_pickle=False) as recorded:
            xml = str(recorded["xml"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{archive}: no scene can be made of this simulation ({error}); delete it and give the same command again, which "
            "makes it again"
        ) from error
    write_text_whole(scene_of(archive), xml)
