"""Correction by a tracker of somebody else's: a program that is given a folder of clips, and returns one."""

import contextlib
import logging
import math
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parc.anim.character import Character
from parc.anim.clip_files import CLIP_SUFFIXES, read_clip
from parc.anim.dataset import IGNORED_FOLDER, ClipEntry, weighted
from parc.anim.mjcf import CharacterFile
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError, nearest_name
from parc.configuration.files import PART_SUFFIX, unwritable
from parc.configuration.messages import duration
from parc.configuration.schema import MayChange
from parc.configuration.trusted import refuse_untrusted_command
from parc.exchange.converting import DATASET
from parc.exchange.formats import FORMATS
from parc.physics.correction import Correction, Status, with_simulated_frames
from parc.physics.corrector import Circumstances, Task, refuse_clips, refuse_least_part, refuse_to_stand_on
from parc.physics.hopeless import why_hopeless
from parc.physics.measures import measures_of_simulated, why_no_success
from parc.physics.outside_program import Ended, run_outside

log = logging.getLogger(__name__)

MOTIONS, RESULTS = "motions", "results"  # folders of a run's, while its tracker is at work
STAND_INS = (MOTIONS, RESULTS, "character", "seed", "threads")
_STAND_IN = re.compile(r"\{([a-z]+)\}")


class OutsideTracker:
    """Has a program follow all clips of a run at once, and measures what it returns.

    The program is given a folder of clips, and fills another with what its character did: clips of ours or PARC's under the
    names of those that it was given, as many frames a second, from their first frames on. Contact labels are the program's;
    terrain, path and everything else stay the clip's. That it was simulated is the program's word: what is found out here is
    how near to its clip it is.

    Args:
        command: the program and its arguments, each a word, which no shell sees. In them, {motions} stands for the folder that it
            is given, {results} for the one to be filled, {character} for the MJCF file, {seed} and {threads} for the run's.
        format: of what it is given, one of `FORMATS`.
        standing: bodies that stand on the ground, for what is measured.
        least_part: share of a clip, from its first frame on, that is enough of it; 1 for whole clips only.
        timeout: seconds after which the program is stopped; None for none.

    Raises:
        UserError: the command lacks a folder, there is no such format, or a number is out of range.
    """

    def __init__(
        self,
        command: list[str],
        format: str,
        standing: list[str],
        least_part: float,
        timeout: MayChange[float | None],
    ) -> None:
        self.command, self.format, self.standing = command, format, tuple(standing)
        self.least_part, self.timeout = least_part, timeout
        named = [name for word in command for name in _STAND_IN.findall(word)]
        for name in named:
            if name not in STAND_INS:
                near = nearest_name(name, list(STAND_INS))
                known = ", ".join(f"{{{each}}}" for each in STAND_INS)
                raise UserError(f"corrector.command: {{{name}}} stands for nothing{near}; expected one of {known}")
        for name in (MOTIONS, RESULTS):
            if name not in named:
                raise UserError(
                    f"corrector.command does not say {{{name}}}, expected the tracker to be told that folder"
                )
        if format not in FORMATS:
            raise UserError(
                f"corrector.format is '{format}', expected one of {', '.join(FORMATS)}{nearest_name(format, list(FORMATS))}"
            )
        refuse_least_part(least_part)
        if timeout is not None and timeout <= 0:
            raise UserError(f"corrector.timeout is {timeout}, expected more than 0 seconds, or null for none")

    def check_with_character(self, character: CharacterFile) -> None:
        """Check that the program is there, and that the character has the bodies that the settings name.

        Raises:
            UserError: something is missing, or somebody else's config names the program; names the key.
        """
        refuse_to_stand_on(self.standing, character.read())
        refuse_untrusted_command("corrector.command")
        if shutil.which(self.command[0]) is None:
            raise UserError(
                f"corrector.command: there is no program '{self.command[0]}' here; expected a name that is found in PATH, or the "
                "path of a file that may be executed"
            )

    def corrections(self, tasks: Sequence[Task], circumstances: Circumstances) -> Iterator[tuple[Task, Correction]]:
        """Yield what became of each clip: of hopeless ones at once, of all others when the program has ended.

        Raises:
            UserError: the program failed, after what it did return whole; or, at the end, clips cannot be read or written.
        """
        character = circumstances.character.read()
        with _folder_in(circumstances.folder) as folder:
            given: list[_Given] = []
            refused: list[UserError] = []
            for task in tasks:
                try:
                    clip = read_clip(task.path, character)
                    why = why_hopeless(clip, character)
                    file = None if why else self._write(folder / MOTIONS, task, clip, circumstances)
                except UserError as error:
                    log.warning("%s", error)
                    refused.append(error)
                    continue
                except OSError as error:
                    raise unwritable(folder / MOTIONS, error) from error
                if file is None:
                    yield task, Correction(Status.FAILED, why, clip_seconds=clip.seconds)
                else:
                    given.append(_Given(task, clip.seconds, file))
            if given:
                self._write_list(folder / MOTIONS, given)
                ended = self._run(folder, len(given), circumstances)
                yield from self._returned(folder / RESULTS, given, ended, character)
        refuse_clips(refused, len(tasks))

    def _write(self, folder: Path, task: Task, clip: MotionClip, circumstances: Circumstances) -> Path:
        try:
            return FORMATS[self.format].write(folder, "", clip, circumstances.character)[-1]
        except UserError as error:
            raise UserError(f"{task.path}: {error}") from error

    def _write_list(self, folder: Path, given: "Sequence[_Given]") -> None:
        write_dataset = FORMATS[self.format].write_dataset
        if write_dataset is not None:
            entries = [ClipEntry(each.file, each.task.motion_class) for each in given]
            write_dataset(folder / DATASET, weighted(entries, [each.seconds for each in given]))

    def _run(self, folder: Path, count: int, circumstances: Circumstances) -> Ended:
        values = {
            MOTIONS: folder / MOTIONS,
            RESULTS: folder / RESULTS,
            "character": Path(circumstances.character.path).absolute(),
            "seed": circumstances.seed,
            "threads": circumstances.threads,
        }
        command = [_STAND_IN.sub(lambda found: str(values[found[1]]), word) for word in self.command]
        log.info("motions for the tracker: %d; %s", count, shlex.join(self.command))
        try:
            return run_outside(command, self.timeout)
        except UserError as error:
            raise UserError(f"corrector.command: {error}") from error

    def _returned(
        self, folder: Path, given: "Sequence[_Given]", ended: Ended, character: Character
    ) -> Iterator[tuple[Task, Correction]]:
        """Yield what became of clips; where the program failed, of those that it did return whole: the others are left to do."""
        returned = [each for each in given if _file_of(folder, each.task)]
        went_well = ended.code == 0
        if went_well and not returned:
            raise UserError(
                f"corrector.command: the tracker ended well, and returned none of {len(given)} clips; expected files such as "
                f"{given[0].task.name}{CLIP_SUFFIXES[0]} in {{results}}, where it left {_listed(folder)}"
            )
        cpu_share = ended.cpu_seconds / sum(each.seconds for each in given)
        kept = 0
        for each in given if went_well else returned:
            correction = self._correction(_file_of(folder, each.task), each.task, character)
            if went_well or correction.clip is not None:
                kept += 1
                yield each.task, replace(correction, clip_seconds=each.seconds, cpu_seconds=cpu_share * each.seconds)
        if not went_well:
            said = f"; it said: {ended.said}" if ended.said else ""
            raise UserError(
                f"corrector.command: the tracker {self._why_failed(ended)}; it returned {kept} of {len(given)} clips whole, "
                f"which are kept, and the same command gives it the others{said}"
            )

    def _why_failed(self, ended: Ended) -> str:
        if ended.code is None:
            return f"was stopped after {duration(self.timeout or 0)} (corrector.timeout)"
        return f"failed with exit code {ended.code}"

    def _correction(self, file: Path | None, task: Task, character: Character) -> Correction:
        """Return what became of a clip, by the file that was returned of it."""
        if file is None:
            return Correction(Status.FAILED, "the tracker returned nothing for it")
        clip = read_clip(task.path, character)
        try:
            returned = read_clip(file, character)
        except UserError as error:
            reason = str(error).removeprefix(f"{file}: ")
            return Correction(Status.FAILED, f"the tracker's {file.name} cannot be taken: {reason}")
        if why := _why_of_another(returned, clip):
            return Correction(Status.FAILED, f"the tracker returned {why}")
        count, is_whole = returned.num_frames, returned.num_frames == clip.num_frames
        followed = clip.part(0, count)
        simulated = with_simulated_frames(followed, returned.frames)
        measures = measures_of_simulated(simulated, followed, character, self.standing)
        part = "" if is_whole else f"the tracker returned {count} of {clip.num_frames} frames"
        why = why_no_success(measures) or (part if count < self.least_part * clip.num_frames else "")
        if why:
            return Correction(Status.FAILED, why, simulated, measures=measures)
        whole_with = 0.0 if is_whole else None
        return Correction(Status.PHYSICAL, part, simulated, whole_with=whole_with, measures=measures)


@dataclass(frozen=True)
class _Given:
    """A clip that the program was given.

    Attributes:
        task: whose it is.
        seconds: its length.
        file: that was written.
    """

    task: Task
    seconds: float
    file: Path


@contextlib.contextmanager
def _folder_in(run: Path) -> Iterator[Path]:
    """Make a folder for a program, where datasets do not look, with one of motions and one of results; remove it at the end.

    A run that is killed leaves it; whoever goes on with the run takes it away, by its name.
    """
    ignored = run / IGNORED_FOLDER
    try:
        ignored.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".tracker.", suffix=PART_SUFFIX, dir=ignored)).absolute()
        for inside in (MOTIONS, RESULTS):
            (folder / inside).mkdir()
    except OSError as error:
        raise unwritable(ignored, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # there are clips in it
            ignored.rmdir()


def _file_of(folder: Path, task: Task) -> Path | None:
    files = (folder / f"{task.name}{suffix}" for suffix in CLIP_SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def _why_of_another(returned: MotionClip, clip: MotionClip) -> str:
    """Say what keeps a motion from being one of a clip, or of its first frames; nothing where it may be."""
    if not math.isclose(returned.fps, clip.fps, rel_tol=1e-6):
        return f"{returned.fps:g} frames a second, expected {clip.fps:g}"
    if returned.num_frames > clip.num_frames:
        return f"{returned.num_frames} frames, expected at most {clip.num_frames}"
    return ""


def _listed(folder: Path, most: int = 5) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join([*names[:most], *["..."] * (len(names) > most)]) or "nothing"
