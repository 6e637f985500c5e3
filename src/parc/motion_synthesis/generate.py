"""generate(settings): from a trained model to clips in a run's folder. Knows neither Hydra nor SLURM."""

import contextlib
import hashlib
import logging
from pathlib import Path

from parc.anim.mirror import mirror_bodies
from parc.configuration.errors import UserError
from parc.configuration.provenance import continue_command
from parc.motion_generator.trained_model import TrainedModel, load_trained_model
from parc.motion_synthesis.display import Display, acceptance, before_and_after
from parc.motion_synthesis.generated import Generated, read_generated
from parc.motion_synthesis.saved_clips import clip_path, is_done, num_given_up, num_saved, save_with_mirror_image
from parc.motion_synthesis.settings import CONFIG_FILE, LOG_FILE, GenerateSettings
from parc.motion_synthesis.synthesis import Synthesis
from parc.stages.iteration import command_that_makes
from parc.stages.log_file import logged_to
from parc.stages.run_folder import lock_run_folder
from parc.stages.stopping import StopRequest
from parc.training.device import compute_deterministically, find_device
from parc.training.ranks import find_ranks

log = logging.getLogger(__name__)


def generate(settings: GenerateSettings) -> None:
    """Make the motions of a run that its folder does not hold yet.

    Raises:
        UserError: an input or the folder is not as it should be, or no candidate is accepted.
        Interrupted: a signal came; groups of motions that are done are saved, and the same settings make the others.
    """
    settings.refuse_processes(find_ranks().count)
    compute_deterministically(settings.threads)
    with StopRequest() as stop, lock_run_folder(settings.folder), logged_to(settings.folder / LOG_FILE):
        with stop.at_once(f"before the first motion, nothing is lost; to go on: {continue_command()}"):
            model = model_of(settings)
            synthesis = Synthesis(settings, model, hashlib.sha256(model.path.read_bytes()).hexdigest())
            generated = _so_far(settings, synthesis)
            settings.record.write(settings.folder / CONFIG_FILE)
        with contextlib.closing(Display(settings, generated)) as display:
            for group in settings.groups:
                if not is_done(settings, generated, group):
                    with stop.at_once(f"with {display.done} motions saved; to make the others: {continue_command()}"):
                        _make(synthesis, generated, group)
                        display.show()
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
    try:
        model = load_trained_model(path, device)
        mirror_bodies(model.character)
    except UserError as error:
        raise UserError(f"model_path {error}") from error
    settings.rollout.check_with_model(model)
    settings.refinement.check_with_character(model.character)
    return model


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
        UserError: they cannot be saved, or none was accepted and no earlier one either.
    """
    settings = synthesis.settings
    clips, made = synthesis.make(group)
    so_far = Generated(generated.model, generated.model_digest, {**generated.groups, group: made})
    if not so_far.motions:
        raise UserError(
            f"terrain={settings.terrain_name}: {acceptance(so_far)}, so there is nothing to save: {settings.model_path} can "
            "hardly do this; train it longer or on more of such terrain, give other terrain (terrain=flat is the easiest), or "
            "accept more (selection.*)"
        )
    for number in settings.numbers_of(group):
        if number in clips:
            save_with_mirror_image(clip_path(settings, number), clips[number], synthesis.model.character.to("cpu"))
    generated.groups[group] = made
    generated.write(settings.folder)


def _conclude(settings: GenerateSettings, generated: Generated) -> None:
    """Say what was made."""
    given_up = num_given_up(settings, generated)
    if given_up:
        log.warning(
            "%d motions were given up, each after %d rollouts of which none was accepted (more: max_rollouts, "
            "rollout.candidates)",
            given_up,
            settings.max_rollouts,
        )
    log.info(
        "generated: %d motions of %.0f s together, and their mirror images, in %s; %s",
        num_saved(settings, generated),
        generated.seconds,
        settings.folder / settings.terrain_name,
        acceptance(generated),
    )
    if measured := before_and_after(generated):
        log.info("by refinement: %s", measured)
