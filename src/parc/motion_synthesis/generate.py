"""generate(settings): from a trained model to clips in a run's folder. Knows neither Hydra nor SLURM."""

import contextlib
import hashlib
import logging
import math
from pathlib import Path

import torch

from parc.anim.mirror import mirror_bodies
from parc.configuration.errors import UserError
from parc.configuration.provenance import continue_command
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT
from parc.motion_generator.trained_model import TrainedModel, load_trained_model
from parc.motion_synthesis.display import Display, acceptance, before_and_after
from parc.motion_synthesis.generated import Generated, read_generated
from parc.motion_synthesis.saved_clips import (
    clip_path,
    delete_with_mirror_image,
    is_done,
    num_given_up,
    save_with_mirror_image,
    saved,
)
from parc.motion_synthesis.settings import CONFIG_FILE, LOG_FILE, GenerateSettings
from parc.motion_synthesis.synthesis import Synthesis
from parc.stages.iteration import command_that_makes
from parc.stages.log_file import logged_to
from parc.stages.run_folder import lock_run_folder
from parc.stages.stopping import StopRequest
from parc.training.device import configure_torch, find_device
from parc.training.ranks import find_ranks

log = logging.getLogger(__name__)


def generate(settings: GenerateSettings) -> None:
    """Make the motions of a run that its folder does not hold yet.

    Raises:
        UserError: an input or the folder is not as it should be, or no candidate was accepted.
        Interrupted: a signal came; groups of motions that are done are saved, and the same settings make the others.
    """
    settings.refuse_processes(find_ranks().count)
    configure_torch(find_device(settings.device, find_ranks()), settings.threads)
    with StopRequest() as stop, lock_run_folder(settings.folder), logged_to(settings.folder / LOG_FILE):
        with stop.at_once(f"before the first motion, nothing is lost; to go on: {continue_command()}"):
            model = model_of(settings)
            synthesis = Synthesis(settings, model, digest_of(model.path))
            generated = _so_far(settings, synthesis)
            settings.record.write(settings.folder / CONFIG_FILE)
            generated.write(settings.folder)
        with contextlib.closing(Display(settings, generated)) as display:
            for group in settings.groups:
                if not is_done(settings, generated, group):
                    with stop.at_once(f"with {display.done} motions done; to make the others: {continue_command()}"):
                        _make(synthesis, generated, group)
                        display.show(group)
        display.write()
        _conclude(settings, generated)


def model_of(settings: GenerateSettings) -> TrainedModel:
    """Load the model, on the device that computes, and check that motions can be made with it.

    Raises:
        UserError: there is none, it is damaged, or the settings do not fit it.
    """
    device, path = find_device(settings.device, find_ranks()), Path(settings.model_path)
    if not path.exists():
        raise UserError(f"model_path {path}: there is no such run or checkpoint; {command_that_makes(path)}")
    model = model_named("model_path", path, device)
    try:
        mirror_bodies(model.character)
    except UserError as error:
        raise UserError(f"model_path {error}") from error
    settings.rollout.check_with_model(model)
    settings.refinement.check_with_character(model.character)
    return model


def model_named(key: str, path: Path, device: torch.device) -> TrainedModel:
    """Load the model that a setting names, and say so where its training is not finished.

    Raises:
        UserError: there is none, or it is damaged; begins with the key.
    """
    try:
        model = load_trained_model(path, device)
    except UserError as error:
        raise UserError(f"{key} {error}") from error
    if path.is_dir() and model.path.name != FINAL_CHECKPOINT:
        log.warning("%s %s: this training is not finished; its %s is used", key, path, model.path.name)
    return model


def digest_of(model: Path) -> str:
    """Return the SHA-256 of a model's file, hexadecimal."""
    return hashlib.sha256(model.read_bytes()).hexdigest()


def _so_far(settings: GenerateSettings, synthesis: Synthesis) -> Generated:
    """Return what the run has generated so far.

    Raises:
        UserError: another model generated it.
    """
    path, digest = synthesis.model.path, synthesis.model_digest
    generated = read_generated(settings.folder) or Generated(str(path), digest)
    if generated.model_digest != digest:
        raise UserError(
            f"model_path {path} is not the model that made the motions in {settings.folder} (SHA-256 {digest[:12]}, that one's "
            f"{generated.model_digest[:12]}); give output_dir= for new ones, or overwrite=true to make all of them again"
        )
    return generated


def _make(synthesis: Synthesis, generated: Generated, group: int) -> None:
    """Make and save the motions of a group, and record them.

    Raises:
        UserError: they cannot be saved.
    """
    settings = synthesis.settings
    clips, generated.groups[group] = synthesis.make(group)
    character = synthesis.model.character.to("cpu")
    for number in settings.wanted_of(group):
        if number in clips:
            save_with_mirror_image(clip_path(settings, number), clips[number], character)
        else:
            delete_with_mirror_image(clip_path(settings, number))
    generated.write(settings.folder)


def _conclude(settings: GenerateSettings, generated: Generated) -> None:
    """Say what was made.

    Raises:
        UserError: it is nothing.
    """
    given_up, seconds = num_given_up(settings, generated), saved(settings, generated)
    if given_up and not seconds:
        raise UserError(
            f"terrain={settings.terrain_name}: {acceptance(generated)}, so there is nothing to save: {settings.model_path} can "
            "hardly do this; train it longer or on more of such terrain, or give other terrain (terrain=flat is the easiest) or "
            "selection.*, with overwrite=true"
        )
    if given_up:
        log.warning(
            "%d motions were given up: too few candidates were accepted in %d rollouts of their paths (overwrite=true with "
            "more of max_rollouts or rollout.candidates may find some)",
            given_up,
            settings.max_rollouts,
        )
    log.info(
        "generated: %d motions of %.0f s together, and their mirror images, in %s; %s",
        len(seconds),
        math.fsum(seconds.values()),
        settings.folder / settings.terrain_name,
        acceptance(generated),
    )
    if measured := before_and_after(generated):
        log.info("by refinement: %s", measured)
