"""From the overrides of a sweep to its jobs, each composed and checked."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from parc.cluster.sweep_plan import SweepJob, job_name
from parc.configuration.composing import overwrite_of, run_config
from parc.configuration.errors import UserError
from parc.configuration.hydra_messages import in_one_line, is_of_hydra
from parc.configuration.origins import key_of, key_of_override, origin_of, overrides_of, own_folders, with_origin
from parc.configuration.run_folder import overwrite_runs
from parc.training.run_settings import check_form

LOG_FILE = "job.log"
_VERB = "python -m parc.train"


@dataclass
class Sweep:
    """The jobs of a sweep.

    Attributes:
        folder: of the sweep: the one that all its jobs' folders lie in; of a single job, its own.
        jobs: what is recorded of each.
        configs: the resolved config of each.
    """

    folder: Path
    jobs: list[SweepJob]
    configs: list[dict[str, Any]]


def checked_sweep(
    master: DictConfig, loader: ConfigLoader, batch: Sequence[Sequence[str]], swept: Sequence[str]
) -> list[list[str]]:
    """Check the form of every job and return its overrides with an output_dir of its own.

    A job's folder lies in the one that its config names, under its swept overrides and a hash of all; a single job that
    sweeps nothing is that run itself. `overwrite=true` is acted on here, once all jobs are known to be in form.

    Raises:
        UserError: a job is not in form; names the job and the key.
    """
    jobs, anew = [], []
    for overrides in batch:
        config, overwrite = _composed(master, loader, list(overrides))
        folder = Path(config["output_dir"]).absolute()
        others = [each for each in overrides if key_of_override(each) not in ("overwrite", "output_dir")]
        if swept or len(batch) > 1:
            folder /= job_name([each for each in overrides if key_of_override(each) in swept], others)
        jobs.append([*others, f"output_dir={_quoted(str(folder))}"])
        if overwrite:
            anew.append(folder)
    overwrite_runs(anew)
    return jobs


def composed_sweep(
    master: DictConfig, loader: ConfigLoader, job_overrides: Sequence[Sequence[str]]
) -> tuple[Sweep, dict[str, Any]]:
    """Return the jobs of a sweep with their configs, and the launcher's settings."""
    common = set(job_overrides[0]).intersection(*job_overrides)
    jobs, configs = [], []
    for overrides in job_overrides:
        config, _ = _composed(master, loader, list(overrides))
        folder = Path(config["output_dir"])
        own = [each for each in overrides if each not in common and key_of_override(each) != "output_dir"]
        jobs.append(SweepJob(own, str(folder), str(folder / LOG_FILE), config["trainer"]["epochs"]))
        configs.append(config)
    folders = [Path(job.folder) for job in jobs]
    together = folders[0]
    if len(jobs) > 1:
        together = Path(os.path.commonpath([folder.parent for folder in folders]))
        for folder, config in zip(folders, configs, strict=True):
            _group_in_the_log(config, together, folder.name)
    return Sweep(together, jobs, configs), launcher_settings(master)


def _group_in_the_log(config: dict[str, Any], sweep: Path, name: str) -> None:
    """Let a job stand among those of its sweep at Weights & Biases, under the name of its folder, unless told otherwise."""
    logger, data = config["logger"], Path(config["data_dir"]).absolute()
    if logger.get("group") == config["iteration"]["name"]:
        logger["group"] = sweep.relative_to(data).as_posix() if sweep.is_relative_to(data) else sweep.name
    if "name" in logger and logger["name"] is None:
        logger["name"] = name


def checked_launcher(master: DictConfig, loader: ConfigLoader, check: Callable[[dict[str, Any]], object]) -> None:
    """Let a launcher check its settings.

    Raises:
        UserError: names the key, and where it came from.
    """
    try:
        check(launcher_settings(master))
    except UserError as error:
        plain = [each for each in overrides_of(master.hydra) if "," not in each]
        origin = origin_of(key_of(error), master.hydra, loader, plain)
        raise UserError(f"{with_origin(error, origin)}; nothing was started") from error


def launcher_settings(composed: DictConfig) -> dict[str, Any]:
    """Return the launcher's settings of a composed config, as plain values."""
    settings = OmegaConf.to_container(composed.hydra.launcher, resolve=True)
    assert isinstance(settings, dict)
    return {str(name): value for name, value in settings.items()}


def _composed(master: DictConfig, loader: ConfigLoader, overrides: list[str]) -> tuple[dict[str, Any], bool]:
    """Return the config of a job, checked, and whether it starts anew."""
    job = f"job '{' '.join(overrides)}'"
    try:
        composed = loader.load_sweep_config(master, overrides)
    except Exception as error:
        if not is_of_hydra(error):
            raise
        raise UserError(
            f"{job}: {in_one_line(error, _VERB, overrides, own_folders(loader))}; nothing was started"
        ) from error
    return checked_config(job, composed, loader, overrides)


def checked_config(
    label: str, composed: DictConfig, loader: ConfigLoader, overrides: list[str]
) -> tuple[dict[str, Any], bool]:
    """Return the config of one run among several, checked, and whether it starts anew.

    Args:
        label: what the run is called in messages.
        composed: its config, Hydra's part included.
        loader: that composed it.
        overrides: that it was composed with.

    Raises:
        UserError: it is not in form; names the run, the key, and where that came from.
    """
    try:
        config = run_config(composed)
        check_form(config)
        return config, overwrite_of(composed)
    except UserError as error:
        origin = origin_of(key_of(error), composed.hydra, loader, overrides)
        raise UserError(f"{label}: {with_origin(error, origin)}; nothing was started") from error


def _quoted(text: str) -> str:
    """Return a text as Hydra reads it back, whatever is in it."""
    escaped = text.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"'{escaped}'"
