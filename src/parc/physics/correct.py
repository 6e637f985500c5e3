"""correct(settings): from a folder of clips to physical ones in a run's folder. Knows neither Hydra nor SLURM."""

import contextlib
import hashlib
import logging
from dataclasses import replace
from pathlib import Path

from parc.anim.clip_files import write_clip
from parc.anim.dataset import IGNORED_FOLDER
from parc.anim.mirror import mirror_bodies, mirror_clip
from parc.anim.motion_clip import MotionClip
from parc.configuration.errors import UserError
from parc.configuration.provenance import continue_command
from parc.physics.corrected import Corrected, CorrectedClip, read_corrected
from parc.physics.correction import Correction, Status
from parc.physics.corrector import Circumstances, Task
from parc.physics.display import Display, outcomes
from parc.physics.recordings import ARCHIVE_SUFFIX, save_recording, save_scene, scene_of
from parc.physics.settings import CONFIG_FILE, ENDINGS, LOG_FILE, SIMULATIONS, CorrectSettings
from parc.stages.log_file import logged_to
from parc.stages.run_folder import lock_run_folder
from parc.stages.stopping import StopRequest
from parc.stages.worker_processes import available_cores
from parc.training.ranks import find_ranks

log = logging.getLogger(__name__)


def correct(settings: CorrectSettings) -> None:
    """Correct the clips of a run that are not done yet.

    Raises:
        UserError: an input or the folder is not as it should be, or no motion became physical.
        Interrupted: a signal came; clips that are done are saved, and the same settings correct the others.
    """
    settings.refuse_processes(find_ranks().count)
    with StopRequest() as stop, lock_run_folder(settings.folder), logged_to(settings.folder / LOG_FILE):
        tasks = checked_tasks(settings)
        # What is left to do stays known, with its files, until it is done again.
        corrected = read_corrected(settings.folder) or Corrected()
        left = [task for task in tasks if not is_done(settings, corrected, task)]
        again = {task.name: digest_of(task.path) for task in left}  # as they are before they are read
        settings.record.write(settings.folder / CONFIG_FILE)
        for archive in lacking_scenes(settings, corrected):
            save_scene(archive)
        how_to_go_on = (
            f"while clips were corrected; those that are done are kept; to correct the others: {continue_command()}"
        )
        display = Display(settings, corrected, len(tasks) - len(left), len(tasks))
        with contextlib.closing(display), stop.at_once(how_to_go_on):
            for task, correction in settings.corrector.corrections(left, _circumstances(settings)):
                saved = _saved(settings, task, correction, again[task.name])
                _delete_earlier(settings, corrected.clips.get(task.name), saved)
                corrected.clips[task.name] = saved
                corrected.write(settings.folder)
                display.show(task, saved)
        corrected.write(settings.folder)  # of a shard without clips, too
        display.write()
        _conclude(settings, corrected)


def checked_tasks(settings: CorrectSettings) -> list[Task]:
    """Return the clips that are to be corrected, after checking that they can be.

    Raises:
        UserError: there are none, they lie where the run saves, or their character does not fit the corrector; names the key.
    """
    motions, folder = (Path(each).resolve() for each in (settings.motions, settings.output_dir))
    if motions.is_dir() and folder.is_relative_to(motions) and IGNORED_FOLDER not in folder.relative_to(motions).parts:
        raise UserError(
            f"output_dir {settings.output_dir} lies in motions {settings.motions}, where what is made would be corrected again; "
            "give another folder"
        )
    tasks = settings.tasks()
    for task in tasks:
        if task.path.resolve().is_relative_to(folder):
            raise UserError(
                f"motions {task.path} lies in output_dir {settings.output_dir}, among what will be made; give another folder"
            )
    settings.corrector.check_with_character(settings.character)
    try:
        mirror_bodies(settings.character.read())
    except UserError as error:
        raise UserError(f"character.char_file: {error}") from error
    return tasks


def digest_of(clip: Path) -> str:
    """Return the SHA-256 of a clip's file, hexadecimal; nothing where it cannot be read, as whoever corrects it will say."""
    try:
        return hashlib.sha256(clip.read_bytes()).hexdigest()
    except OSError:
        return ""


def _circumstances(settings: CorrectSettings) -> Circumstances:
    threads = settings.threads or available_cores()
    return Circumstances(settings.character, settings.seed, threads, settings.folder)


def is_done(settings: CorrectSettings, corrected: Corrected, task: Task) -> bool:
    """Say whether a clip was corrected, and it and its class have not changed since, nor have files been lost that were made."""
    known = corrected.clips.get(task.name)
    return (
        known is not None
        and known.motion_class == task.motion_class
        and all((settings.folder / file).is_file() for file in known.files)
        and known.digest == digest_of(task.path)
    )


def _saved(settings: CorrectSettings, task: Task, correction: Correction, digest: str) -> CorrectedClip:
    """Save what became of a clip whose file had a digest; return what is known of it.

    Raises:
        UserError: it cannot be saved.
    """
    files: list[Path] = []
    if correction.recording is not None:
        files.append(settings.folder / SIMULATIONS / f"{task.name}{ARCHIVE_SUFFIX}")
        save_recording(files[0], correction.recording, with_scene=settings.save_scene)
    clip = correction.clip
    is_data = clip is not None and (
        correction.status is Status.PHYSICAL
        or (correction.status is Status.ASSISTED and correction.assistance <= settings.most_assistance)
    )
    if clip is not None:
        clip = replace(clip, name=task.name + ENDINGS[correction.status])
        files += _save_clip(settings, settings.folder / task.motion_class if is_data else None, clip)
    return CorrectedClip(
        digest=digest,
        motion_class=task.motion_class,
        clip_seconds=correction.clip_seconds,
        files=[file.relative_to(settings.folder).as_posix() for file in files],
        status=correction.status,
        is_data=is_data,
        reason=correction.reason,
        seconds=0.0 if clip is None else clip.seconds,
        first_frame=correction.first_frame,
        assistance=correction.assistance,
        whole_with=correction.whole_with,
        steps_simulated=correction.steps_simulated,
        cpu_seconds=correction.cpu_seconds,
        measures=correction.measures,
    )


def _delete_earlier(settings: CorrectSettings, before: CorrectedClip | None, now: CorrectedClip) -> None:
    """Delete what was made of a clip as it was before it changed, where nothing took its place."""
    for file in set(() if before is None else before.files) - set(now.files):
        path = settings.folder / file
        path.unlink(missing_ok=True)
        if path.suffix == ARCHIVE_SUFFIX:
            scene_of(path).unlink(missing_ok=True)


def lacking_scenes(settings: CorrectSettings, corrected: Corrected) -> list[Path]:
    """Return the recordings that are to have a scene beside them, and have none."""
    if not settings.save_scene:
        return []
    paths = [settings.folder / file for clip in corrected.clips.values() for file in clip.files]
    return [path for path in paths if path.suffix == ARCHIVE_SUFFIX and path.is_file() and not scene_of(path).is_file()]


def _save_clip(settings: CorrectSettings, folder: Path | None, clip: MotionClip) -> list[Path]:
    """Save a clip with its mirror image into a folder of data, or alone where datasets do not look."""
    clips = [clip] if folder is None else [clip, mirror_clip(clip, settings.character.read())]
    folder = folder or settings.folder / IGNORED_FOLDER
    paths = [folder / f"{each.name}.safetensors" for each in clips]
    for path, each in zip(paths, clips, strict=True):
        write_clip(path, each)
    return paths


def lacks_data(settings: CorrectSettings, corrected: Corrected) -> bool:
    """Say whether a run that is done made nothing; of several shards, others may have."""
    return settings.num_shards == 1 and not corrected.seconds


def _conclude(settings: CorrectSettings, corrected: Corrected) -> None:
    """Say what was made.

    Raises:
        UserError: it is nothing.
    """
    if lacks_data(settings, corrected):
        reason = next(iter(corrected.clips.values())).reason
        raise UserError(
            f"motions {settings.motions}: none of {len(corrected.clips)} became physical (the first: {reason}); most_assistance="
            "takes assisted ones as data, and corrector.most_steps= tries harder; both with overwrite=true"
        )
    if not corrected.clips:
        log.info("corrected: no motions, there are fewer than num_shards, %d", settings.num_shards)
        return
    measured = ", ".join(f"{name} {value:.3g}" for name, value in corrected.measures.items())
    log.info(
        "corrected: %s; %.0f s of motions, and their mirror images, in %s; %.1f CPU seconds a second (median); %s",
        outcomes(corrected),
        corrected.seconds,
        settings.folder,
        corrected.cpu_seconds_a_second,
        measured,
    )
