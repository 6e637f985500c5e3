"""A chain of iterations: the stages of each in turn, here or as SLURM jobs that wait for one another."""

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from parc.cluster.slurm_settings import SlurmSettings
from parc.cluster.stage_of_chain import ComposedStage, composed_stage, refuse_what_no_stage_knows
from parc.cluster.sweep_plan import CHAINS, Sweep, SweepJob, job_of
from parc.configuration.composed import composed_config
from parc.configuration.composing import refuse_what_sets_nothing
from parc.configuration.errors import UserError, nearest_name
from parc.configuration.hydra_help import conf_folder
from parc.configuration.hydra_messages import in_one_line, is_of_hydra
from parc.configuration.origins import key_of_override

log = logging.getLogger(__name__)

_PLAN = "pipeline"  # the config of a chain
_VERB = "python -m parc.pipeline"
_OWN_KEYS = ("iterations", "stages")


def run_chain(arguments: list[str], options: Path | None = None) -> None:
    """Run the stages of `iterations=[...]` in turn; other arguments are overrides of every stage that knows their key.

    Those that say what to start from hold for the first iteration only (see `parc.cluster.stage_of_chain`).

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
    iterations, stages = _plan(own, folders)
    refuse_what_no_stage_knows(list(stages), others, folders)
    composed = [
        composed_stage(stage, iteration, before, others, folders)
        for iteration, before in zip(iterations, [None, *iterations], strict=False)
        for stage in stages
    ]
    _refuse_shared_folders(composed)
    links = [each for each in composed if _is_to_run(each)]
    if not links:
        log.info("the chain is finished")
        return
    runs = [each.run for each in links]
    folder = Path(runs[0].settings.data_dir) / CHAINS / "-".join(iterations)
    anew = [each.run.files for each in composed if each.overwrite]
    chain = Sweep(folder, None, [_job(each) for each in links], runs, anew)
    links[0].launcher.launch_chain(chain, [each.launcher_settings | stages[each.stage] for each in links])


def _refuse_shared_folders(composed: list[ComposedStage]) -> None:
    of_folder: dict[Path, ComposedStage] = {}
    for each in composed:
        other = of_folder.setdefault(each.run.folder, each)
        if other is not each:
            one_stage = other.stage == each.stage
            names = [link.iteration if one_stage else f"{link.stage} of {link.iteration}" for link in (other, each)]
            raise UserError(
                f"output_dir is {each.run.folder} for both {' and '.join(names)}, expected a folder for each; leave out what "
                "sets it (output_dir=, or an experiment that does), and give data_dir= for another place; nothing was started"
            )


def _is_to_run(composed: ComposedStage) -> bool:
    if composed.overwrite or not composed.run.is_finished():
        return True
    log.info("iteration=%s stage=%s: finished, skipped", composed.iteration, composed.stage)
    return False


def _job(composed: ComposedStage) -> SweepJob:
    return job_of(composed.run, [f"iteration={composed.iteration}", f"stage={composed.stage}"])


def _plan(own: list[str], folders: list[Path]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the iterations of a chain, and the stages of each with resources of their own."""
    try:
        # A stage's keys are the launcher's, checked below: Hydra must not ask for a + before them.
        settings = [f"++{each}" if each.startswith("stages.") else each for each in own]
        config, _ = composed_config(_PLAN, settings, [conf_folder()])
        plan = OmegaConf.to_container(OmegaConf.masked_copy(config, list(_OWN_KEYS)), resolve=True)
    except Exception as error:
        if not is_of_hydra(error):
            raise
        raise in_one_line(error, _PLAN, _VERB, own) from error
    assert isinstance(plan, dict)
    iterations, stages = plan["iterations"], plan["stages"]
    if not isinstance(iterations, list) or not iterations or not all(isinstance(each, str) for each in iterations):
        raise UserError("iterations is missing, expected a list, for instance: iterations=[iter1,iter2,iter3]")
    if len(set(iterations)) < len(iterations):
        raise UserError(f"iterations is {iterations}, expected each one once")
    known_stages = _stages_in(folders)
    known_keys = [each.name for each in fields(SlurmSettings)]
    for name, resources in stages.items():
        if name not in known_stages:
            raise UserError(f"stages.{name}: there is no such stage; expected {', '.join(known_stages)}")
        if not isinstance(resources, dict):
            raise UserError(f"stages.{name} is {resources!r}, expected keys of hydra.launcher, or {{}}")
        for key in resources:
            if key not in known_keys:
                near = nearest_name(str(key), known_keys) or f"; expected one of {', '.join(known_keys)}"
                raise UserError(f"stages.{name}.{key}: there is no such key{near}")
    return iterations, stages


def _stages_in(folders: list[Path]) -> list[str]:
    """Return the names of the stages that have a primary config."""
    names = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    return sorted(names - {_PLAN})
