"""A chain of iterations: the stages of each in turn, here or as SLURM jobs that wait for one another."""

import logging
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from parc.cluster.following import follow, show_sent
from parc.cluster.local import run_jobs
from parc.cluster.slurm import SlurmSettings, cancel, refuse_second_sending, refuse_uneven_batch, send, slurm_settings
from parc.cluster.sweep_plan import SweepJob, write_sweep
from parc.cluster.sweeping import LOG_FILE, Sweep, checked_config, launcher_settings
from parc.configuration.composing import refuse_what_sets_nothing
from parc.configuration.errors import EXIT_USER_ERROR, UserError, nearest_name
from parc.configuration.hydra_help import conf_folder, iteration_overrides
from parc.configuration.hydra_messages import in_one_line, is_of_hydra
from parc.configuration.origins import key_of_override
from parc.configuration.run_folder import CONFIG_FILE, overwrite_runs
from parc.training.grown_dataset import settled
from parc.training.train import is_finished

log = logging.getLogger(__name__)

STAGES = ("train",)  # what there is so far; generating and refining join in here
_VERB = "python -m parc.pipeline"
_STAGE_VERB = "python -m parc.train"  # which shows the config of a stage
_OWN_KEYS = ("iterations", "stages")
# What the first iteration starts from; later ones start from the one before, on its dataset and the clips made since.
_OF_THE_FIRST = (
    "dataset",
    "iteration.previous",
    "iteration.previous_run",
    "iteration.input_model_path",
    "iteration.sampler_stats_filepath",
)


def run_chain(arguments: list[str], options: Path | None = None) -> None:
    """Run the stages of `iterations=[...]` in turn; other arguments are overrides of every stage.

    Those that say what to start from (`_OF_THE_FIRST`) hold for the first iteration only.

    Every stage's form is checked before any runs. Finished stages are skipped. A failed one ends the chain, and what
    depends on it is cancelled; the command leaves with exit code 1 then.

    Args:
        arguments: overrides, those of the chain itself among them.
        options: a folder of the user's own options.

    Raises:
        UserError: an argument or a stage's config is wrong. Nothing was started then.
    """
    own = [each for each in arguments if key_of_override(each).partition(".")[0] in _OWN_KEYS]
    others = [each for each in arguments if each not in own]
    refuse_what_sets_nothing(others)
    if options and not options.is_dir():
        raise UserError(f"--config-dir {options}: there is no such folder; expected one of options of your own")
    folders = [conf_folder(), *([options] if options else [])]
    iterations, stages = _plan(own)
    jobs, launchers, anew = [], [], []
    iteration_of: dict[Path, str] = {}
    for iteration, before in zip(iterations, [None, *iterations], strict=False):
        config, launcher, overwrite = _composed_stage(iteration, before, others, folders)
        folder = Path(config["output_dir"])
        if other := iteration_of.get(folder):
            raise UserError(
                f"output_dir is {folder} for both {other} and {iteration}, expected a folder for each; leave out what sets "
                "it (output_dir=, or an experiment that does), and give data_dir= for another place; nothing was started"
            )
        iteration_of[folder] = iteration
        for stage, resources in stages.items():
            label = [f"iteration={iteration}", f"stage={stage}"]
            if overwrite:
                anew.append(folder)
            elif _is_done(folder, config):
                log.info("%s: finished, skipped", " ".join(label))
                continue
            jobs.append((SweepJob(label, str(folder), str(folder / LOG_FILE), config["trainer"]["epochs"]), config))
            launchers.append(launcher | resources)
    if not jobs:
        log.info("the chain is finished")
        return
    chain = Path(jobs[0][1]["data_dir"]) / "chains" / "-".join(iterations)
    sweep = Sweep(chain, [job for job, _ in jobs], [config for _, config in jobs])
    on_slurm = "SlurmLauncher" in launchers[0]["_target_"]
    resources = _checked_resources(sweep, launchers) if on_slurm else []
    overwrite_runs(anew)
    if on_slurm:
        _send_chain(sweep, resources)
    else:
        run_jobs(sweep, stop_at_failure=True)


def _is_done(folder: Path, config: dict[str, Any]) -> bool:
    if not (folder / CONFIG_FILE).is_file():
        return False
    return is_finished(folder, settled(config))


def _plan(own: list[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            # A stage's keys are the launcher's, checked below: Hydra must not ask for a + before them.
            settings = [f"++{each}" if each.startswith("stages.") else each for each in own]
            plan = OmegaConf.to_container(compose("pipeline", settings), resolve=True)
    except Exception as error:
        if not is_of_hydra(error):
            raise
        raise in_one_line(error, _VERB, own) from error
    assert isinstance(plan, dict)
    iterations, stages = plan["iterations"], plan["stages"]
    if not isinstance(iterations, list) or not iterations or not all(isinstance(each, str) for each in iterations):
        raise UserError("iterations is missing, expected a list, for instance: iterations=[iter1,iter2,iter3]")
    if len(set(iterations)) < len(iterations):
        raise UserError(f"iterations is {iterations}, expected each one once")
    for name, resources in stages.items():
        if name not in STAGES:
            raise UserError(f"stages.{name}: there is no such stage; expected {', '.join(STAGES)}")
        if not isinstance(resources, dict):
            raise UserError(f"stages.{name} is {resources!r}, expected keys of hydra.launcher, or {{}}")
        known = [each.name for each in fields(SlurmSettings)]
        for key in resources:
            if key not in known:
                near = nearest_name(str(key), known) or f"; expected one of {', '.join(known)}"
                raise UserError(f"stages.{name}.{key}: there is no such key{near}")
    return iterations, stages


def _composed_stage(
    iteration: str, before: str | None, overrides: list[str], folders: list[Path]
) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Return the checked config of an iteration's training, its launcher's settings, and whether it starts anew.

    Args:
        iteration: an option of the group, or the name of one that `iteration=next` describes.
        before: the one before it in the chain.
        overrides: of every stage.
        folders: of options: the project's, and the user's own.
    """
    if before:
        overrides = [each for each in overrides if not _is_of_the_first(each)]
    overrides = [*iteration_overrides(iteration, folders, before), *overrides]
    search = [f"hydra.searchpath=[{','.join(repr(str(folder.absolute())) for folder in folders[1:])}]"]
    try:
        with initialize_config_dir(str(folders[0]), version_base="1.3"):
            composed = compose("train", [*overrides, *search], return_hydra_config=True)
            loader = GlobalHydra.instance().config_loader()
            HydraConfig.instance().set_config(composed)
            launcher = launcher_settings(composed)
    except Exception as error:
        if not is_of_hydra(error):
            raise
        reason = in_one_line(error, _STAGE_VERB, overrides, folders[1:])
        raise UserError(f"{iteration}: {reason}; nothing was started") from error
    config, overwrite = checked_config(iteration, composed, loader, overrides)
    return config, launcher, overwrite


def _is_of_the_first(override: str) -> bool:
    key = key_of_override(override)
    return any(key == each or key.startswith(f"{each}.") for each in _OF_THE_FIRST)


def _checked_resources(sweep: Sweep, launchers: list[dict[str, Any]]) -> list[SlurmSettings]:
    """Return what each stage asks of SLURM, all of it checked."""
    settings = [slurm_settings(launcher) for launcher in launchers]
    refuse_second_sending(sweep.folder)
    for config, resources in zip(sweep.configs, settings, strict=True):
        refuse_uneven_batch(config, resources)
    return settings


def _send_chain(sweep: Sweep, settings: list[SlurmSettings]) -> None:
    """Send each stage as a job that starts once the one before it has finished; SLURM cancels it if that one fails."""
    before: str | None = None
    try:
        for job, config, resources in zip(sweep.jobs, sweep.configs, settings, strict=True):
            if before:
                waits = {"kill-on-invalid-dep": "yes", **(resources.additional_parameters or {})}
                resources = replace(resources, dependency=f"afterok:{before}", additional_parameters=waits)
            send(Sweep(sweep.folder, [job], [config]), resources)
            before = job.job_id
    except BaseException:
        cancel(sweep.jobs)  # a chain that is not whole, nobody asked for
        raise
    write_sweep(sweep.folder, sweep.jobs)
    show_sent(sweep.folder, sweep.jobs)
    if settings[0].wait and not follow(sweep.folder, sweep.jobs):
        sys.exit(EXIT_USER_ERROR)
