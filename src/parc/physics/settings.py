"""The settings of a run that corrects motions, and what has to fit together in them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from parc.anim.clip_names import CORRECTED_ENDINGS
from parc.anim.dataset import IGNORED_FOLDER, ClipEntry, entries_at
from parc.anim.mirror import MIRRORED, without_mirror_images
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.configuration.schema import FilePath, MayChange
from parc.physics.correction import Status
from parc.physics.corrector import Corrector, Task
from parc.stages.iteration import Iteration
from parc.stages.settings import Length, RunSettings, refuse_shard
from parc.training.device import refuse_device

CONFIG_FILE, LOG_FILE = "correct_config.yaml", "correct.log"  # of a run, in its folder
SIMULATIONS = "simulations"  # the folder of recordings, in a run's
ENDINGS = dict(zip(Status, CORRECTED_ENDINGS, strict=True))  # of clips' names
CLIP_NAME = re.compile(rf".+({'|'.join(ENDINGS.values())})({MIRRORED})?\.safetensors")  # of the files that it saves
LONGEST_NAME = 200  # bytes of a clip's name: file systems have 255 for what is made of it, while it is written, too
RECORDING_NAME = re.compile(r".+\.(npz|xml)")  # of those in SIMULATIONS


@dataclass(frozen=True)
class CorrectSettings(RunSettings):
    """The settings of a run that corrects motions.

    What becomes of a clip depends on the clip and the settings, and on no other clip: shards and runs that were stopped give what
    one run gives.

    Attributes:
        threads: CPU threads; None for as many as there are cores.
        seed: of all randomness.
        iteration: which round this is.
        character: of all clips.
        motions: that are to be corrected; mirror images of others are made again from those.
        shard: which part of them this run corrects, from 0.
        num_shards: how many parts there are.
        corrector: how.
        most_assistance: largest assistance of motions that are data, a share of the character's weight.
        save_scene: whether the MuJoCo scene of each motion is saved beside its recording.
    """

    threads: MayChange[int | None]
    seed: int
    iteration: Iteration
    character: CharacterFile
    motions: FilePath
    shard: int
    num_shards: int
    corrector: Corrector
    most_assistance: float
    save_scene: MayChange[bool]

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}, expected 0 or more")
        refuse_device("cpu", self.threads)
        refuse_shard(self.shard, self.num_shards)
        if self.most_assistance < 0:
            raise UserError(f"most_assistance is {self.most_assistance}, expected 0 or more")

    @property
    def length(self) -> Length:
        """How many clips this shard corrects, as far as they are there."""
        try:
            return Length(len(self.tasks()), "motions")
        except UserError:
            return Length(0, "motions")

    def tasks(self) -> list[Task]:
        """Return the clips of this shard, in the order of their names.

        Raises:
            UserError: there are none, a name is too long, or a class is no name for a folder of data; names the key.
        """
        if not Path(self.motions).exists():
            raise UserError(
                f"motions {self.motions}: there is no such file or folder; expected clips, such as those that `python -m "
                "parc.generate` makes"
            )
        entries = without_mirror_images(entries_at(self.motions, "motions"), lambda entry: entry.path.stem)
        tasks = [Task(_name_of(entry), entry.path, _class_of(entry)) for entry in entries]
        return sorted(tasks, key=lambda task: task.name)[self.shard :: self.num_shards]


def _name_of(entry: ClipEntry) -> str:
    name = entry.path.stem
    if (length := len(os.fsencode(name))) > LONGEST_NAME:
        raise UserError(
            f"motions {entry.path}: its name is {length} bytes long, expected at most {LONGEST_NAME}, so that what is made of it "
            "can be named, too; rename it"
        )
    return name


def _class_of(entry: ClipEntry) -> str:
    """Return the class of a clip, the name of the folder in a run's that holds what is made of it.

    Raises:
        UserError: nothing can be saved, or found again, in a folder of this name.
    """
    name = entry.motion_class or entry.path.resolve().parent.name
    if name in (IGNORED_FOLDER, SIMULATIONS, "", ".", "..") or "/" in name:
        raise UserError(
            f"motions {entry.path}: its class is '{name}', expected the name of a folder of data, which '{IGNORED_FOLDER}' and "
            f"'{SIMULATIONS}' are not; move it into a folder of another name, or give it another class in a manifest"
        )
    return name
