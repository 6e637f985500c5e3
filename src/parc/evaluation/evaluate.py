"""evaluate(settings): from a model or clips to figures with intervals. Knows neither Hydra nor SLURM."""

import contextlib
import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from parc.anim.character import Character
from parc.anim.clip_files import write_clip
from parc.configuration.errors import UserError
from parc.configuration.provenance import continue_command, provenance
from parc.evaluation.display import Display, main_figures
from parc.evaluation.measured_paths import MeasuredPath, MeasuredPaths
from parc.evaluation.motions import ModelMotions, measure_clips
from parc.evaluation.result import PICTURE, RESULT_FILE, Result, Speed
from parc.evaluation.settings import CONFIG_FILE, LOG_FILE, MOTIONS_FOLDER, EvaluateSettings
from parc.evaluation.subject import (
    Clips,
    clips_at,
    find_clips,
    is_of_clips,
    refuse_missing,
    training_clips_of,
)
from parc.evaluation.summary import figures_by_kind, figures_of
from parc.evaluation.table import print_table
from parc.motion_generator.checkpoint_files import CHECKPOINT_FOLDER
from parc.motion_synthesis.generate import digest_of, model_named
from parc.pictures.evaluation_plot import draw_evaluations
from parc.pictures.evaluations import as_evaluation
from parc.stages.log_file import logged_to
from parc.stages.progress import Progress, write_progress
from parc.stages.run_folder import lock_run_folder
from parc.stages.stopping import StopRequest
from parc.training.device import configure_torch, find_device
from parc.training.ranks import find_ranks
from parc.training.run_log import WandbLogger

log = logging.getLogger(__name__)

CLIPS_AT_ONCE = 16
REFERENCE = "training clips"  # the one kind of the clips that a model is compared with


@dataclass(frozen=True)
class Evaluated:
    """What is evaluated, loaded.

    Attributes:
        path: of it: the checkpoint, or the clips.
        digest: SHA-256 of it.
        character: whose motions they are.
        motions: makes those of a model; None where clips are evaluated.
        clips: that are evaluated, or that a model is compared with; None for none.
    """

    path: Path
    digest: str
    character: Character
    motions: ModelMotions | None
    clips: Clips | None


def evaluated(settings: EvaluateSettings) -> Evaluated:
    """Find and load what is evaluated, and what it is compared with.

    Raises:
        UserError: there is nothing, it is damaged, or the settings do not fit it.
    """
    device, of = find_device(settings.device, find_ranks()), Path(settings.of)
    refuse_missing(of)
    if is_of_clips(of):
        clips, character = find_clips(of), settings.character.read()
        settings.rollout.check_with_character(character)
        return Evaluated(of, clips.digest, character, None, clips)
    model = model_named("of", of, device)
    digest = digest_of(model.path)
    settings.rollout.check_with_model(model)
    most = settings.preset.reference_clips
    if settings.reference is None:
        clips = training_clips_of(model.path, most) if most else None
    else:
        clips = clips_at(settings.reference, "reference", most)
    return Evaluated(model.path, digest, model.character.to("cpu"), ModelMotions(settings, model, digest), clips)


def evaluate(settings: EvaluateSettings) -> None:
    """Measure what is not measured yet, and write, print and draw what that comes to.

    Raises:
        UserError: an input or the folder is not as it should be.
        Interrupted: a signal came; what is measured is kept, and the same settings go on.
    """
    settings.refuse_processes(find_ranks().count)
    refuse_missing(Path(settings.of))
    configure_torch(find_device(settings.device, find_ranks()), settings.threads)
    with StopRequest() as stop, lock_run_folder(settings.folder), logged_to(settings.folder / LOG_FILE):
        with stop.at_once(f"before the first motion, nothing is lost; to go on: {continue_command()}"):
            subject = evaluated(settings)
            measured = MeasuredPaths(settings.folder, subject.digest)
            settings.record.write(settings.folder / CONFIG_FILE)
        with contextlib.closing(Display(settings, measured)) as display:
            for task in _tasks(settings, subject):
                if not task.keys <= measured.by_key.keys():
                    with stop.at_once(f"with {display.done} paths measured; to go on: {continue_command()}"):
                        measured.add(task.work())
                        display.show()
        _conclude(settings, subject, measured)


@dataclass(frozen=True)
class _Task:
    """Paths or clips that are measured together.

    Attributes:
        keys: theirs (see `MeasuredPath.key`).
        work: measures them.
    """

    keys: set[tuple[bool, str, int]]
    work: Callable[[], list[MeasuredPath]]


def _tasks(settings: EvaluateSettings, subject: Evaluated) -> list[_Task]:
    tasks = []
    if motions := subject.motions:
        for kind, numbers in settings.groups:
            keys = {(False, kind, number) for number in numbers}
            tasks.append(_Task(keys, partial(_measure_motions, settings, motions, kind, numbers)))
    if clips := subject.clips:
        is_reference = motions is not None
        kinds = [REFERENCE if is_reference else entry.motion_class or "clips" for entry in clips.entries]
        for start in range(0, len(kinds), CLIPS_AT_ONCE):
            some = {number: kinds[number] for number in range(start, min(start + CLIPS_AT_ONCE, len(kinds)))}
            keys = {(is_reference, kind, number) for number, kind in some.items()}
            tasks.append(_Task(keys, partial(_measure_clips, settings, subject, clips, some)))
    return tasks


def _measure_motions(
    settings: EvaluateSettings, motions: ModelMotions, kind: str, numbers: range
) -> list[MeasuredPath]:
    paths, clips = motions.measure(kind, numbers)
    for clip in clips:
        write_clip(settings.folder / MOTIONS_FOLDER / kind / f"{clip.name}.safetensors", clip)
    return paths


def _measure_clips(
    settings: EvaluateSettings, subject: Evaluated, clips: Clips, kinds: dict[int, str]
) -> list[MeasuredPath]:
    read = clips.read(list(kinds), subject.character)
    device, is_reference = find_device(settings.device, find_ranks()), subject.motions is not None
    paths = measure_clips(read, kinds, settings, subject.character, device, is_reference=is_reference)
    # Those that the dataset leaves out are done with, too.
    left_out = [number for number in kinds if number not in read]
    return paths + [MeasuredPath(kinds[number], number, is_reference, "", [], {}, 0.0) for number in left_out]


def _conclude(settings: EvaluateSettings, subject: Evaluated, measured: MeasuredPaths) -> None:
    """Write, print and draw what was found; the result last, with which the evaluation is finished."""
    result = _result(settings, subject, measured)
    print_table(result)
    picture = settings.folder / PICTURE
    draw_evaluations([as_evaluation(result.content, result.name)], picture)
    _send(settings, result)
    result.write(settings.folder)
    length = settings.length
    write_progress(settings.folder, Progress(length.total, length.total, length.unit, main_figures(result.all), True))
    log.info("evaluated: %s; picture: %s", settings.folder / RESULT_FILE, picture)


def _result(settings: EvaluateSettings, subject: Evaluated, measured: MeasuredPaths) -> Result:
    own, reference = measured.of(is_reference=False), measured.of(is_reference=True)
    order = list(settings.terrains)
    own = sorted(own, key=lambda path: order.index(path.kind) if path.kind in order else len(order))
    if not any(path.motions for path in own):
        raise UserError(f"of {settings.of}: there is nothing that could be measured")
    seed, draws = settings.seed, settings.preset.bootstrap_draws
    return Result(
        name=name_of(Path(settings.of)),
        of=str(subject.path),
        digest=subject.digest,
        is_model=subject.motions is not None,
        guidance_scale=settings.rollout.guidance_scale if subject.motions else None,
        preset=settings.preset.name,
        seed=seed,
        paths=sum(bool(path.motions) for path in own),
        kinds=figures_by_kind(own, seed, draws),
        all=figures_of(own, seed, draws),
        reference=figures_of(reference, seed, draws) or None,
        reference_clips=sum(bool(path.motions) for path in reference),
        speed=_speed(own) if subject.motions else None,
    )


def _speed(paths: list[MeasuredPath]) -> Speed:
    motion = math.fsum(each["length"] or 0.0 for path in paths for each in path.motions)
    rollout = math.fsum(path.rollout_seconds for path in paths)
    return Speed(motion, rollout, motion / rollout)


def name_of(of: Path) -> str:
    """Return what is evaluated in a word: the folder's name, and the checkpoint's where one is meant."""
    if of.is_dir() or not of.suffix:
        return of.name
    run = of.parent.parent if of.parent.name == CHECKPOINT_FOLDER else of.parent
    return f"{run.name}/{of.stem}"


def _send(settings: EvaluateSettings, result: Result) -> None:
    """Send the means to Weights & Biases, if that is wanted: one run for each evaluation, however often it is concluded."""
    logger: WandbLogger = settings.logger.make()
    run_id = hashlib.sha256(f"{settings.folder}\0{result.digest}".encode()).hexdigest()[:8]
    logger.start(settings.folder, "evaluation", run_id, settings.record.config, provenance())
    logger.add({"step": 0, **result.flat})
    logger.close()
