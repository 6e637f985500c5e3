"""From the overrides of a sweep to its jobs, each composed and checked once."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from parc.cluster.sweep_plan import Sweep, job_name, job_of
from parc.configuration.composing import overwrite_of, run_config
from parc.configuration.errors import UserError
from parc.configuration.hydra_messages import in_one_line, is_of_hydra
from parc.configuration.marks import absolute
from parc.configuration.origins import key_of, key_of_override, origin_of, overrides_of, own_folders, with_origin
from parc.configuration.output_folders import refuse_folder_of_others
from parc.configuration.trusted import trust_composed
from parc.stages.stage import Run, read_run


def checked_sweep(
    master: DictConfig, loader: ConfigLoader, batch: Sequence[Sequence[str]], swept: Sequence[str]
) -> Sweep:
    """Compose every job and check its form.

    A job's folder lies in the one that its config names, under its swept overrides and a hash of all; a single job that
    sweeps nothing is that run itself.

    Raises:
        UserError: a job is not in form; names the job and the key.
    """
    common = set(batch[0]).intersection(*batch)
    jobs, runs, anew = [], [], []
    for overrides in batch:
        others = [each for each in overrides if key_of_override(each) not in ("overwrite", "output_dir")]
        name = None
        if swept or len(batch) > 1:
            name = job_name([each for each in overrides if key_of_override(each) in swept], others)
        run, overwrite = _composed(master, loader, list(overrides), name)
        jobs.append(job_of(run, [each for each in others if each not in common]))
        runs.append(run)
        if overwrite:
            anew.append(run.files)
    if len(runs) == 1:
        return Sweep(runs[0].folder, None, jobs, runs, anew)
    together = Path(os.path.commonpath([run.folder.parent for run in runs]))
    data = Path(runs[0].settings.data_dir)
    name = together.relative_to(data).as_posix() if together.is_relative_to(data) else together.name
    return Sweep(together, name, jobs, runs, anew)


def _composed(
    master: DictConfig, loader: ConfigLoader, overrides: list[str], name: str | None
) -> tuple[Run[Any], bool]:
    """Return the run of a job, checked, and whether it starts anew.

    Args:
        master: the config of the whole sweep.
        loader: that composes it.
        overrides: of the job.
        name: of its folder in the one that its config names; None where that is its own.
    """
    job = f"job '{' '.join(overrides)}'"
    config_name = master.hydra.job.config_name
    try:
        composed = loader.load_sweep_config(master, overrides)
        together = str(composed.output_dir)
    except Exception as error:
        if not is_of_hydra(error):
            raise
        reason = in_one_line(error, config_name, f"python -m parc.{config_name}", overrides, own_folders(loader))
        raise UserError(f"{job}: {reason}; nothing was started") from error
    with _naming_origin(job, composed, loader, overrides):
        refuse_folder_of_others("output_dir", together)
    if name is not None:
        # What refers to the folder follows.
        OmegaConf.update(composed, "output_dir", str(Path(absolute(together), name)))
    return checked_run(job, composed, loader, overrides)


def checked_launcher(master: DictConfig, loader: ConfigLoader, launcher: object) -> None:
    """Check that a launcher is one of parc's, and let it check its settings where it has any.

    Raises:
        UserError: names the key, and where it came from.
    """
    refuse_other_launcher(master, launcher)
    try:
        if check := getattr(launcher, "check_settings", None):
            check(launcher_settings(master))
    except UserError as error:
        plain = [each for each in overrides_of(master.hydra) if "," not in each]
        origin = origin_of(key_of(error), master.hydra, loader, plain)
        raise UserError(f"{with_origin(error, origin)}; nothing was started") from error


def refuse_other_launcher(composed: DictConfig, launcher: object) -> None:
    """Check that a launcher is one of parc's.

    Raises:
        UserError: it is not.
    """
    if not hasattr(launcher, "launch_sweep") or not hasattr(launcher, "launch_chain"):
        raise UserError(
            f"hydra/launcher={composed.hydra.runtime.choices.get('hydra/launcher')}: cannot start the jobs of parc; expected "
            "one of parc's launchers, as --help shows them; nothing was started"
        )


def refuse_other_sweeper() -> NoReturn:
    """Refuse jobs that another sweeper than parc's hands over: nobody has composed and checked them.

    Raises:
        UserError: always.
    """
    raise UserError(
        "hydra/sweeper: cannot start the jobs of parc; expected hydra/sweeper=parc, which checks them first"
    )


def launcher_settings(composed: DictConfig) -> dict[str, Any]:
    """Return the launcher's settings of a composed config, as plain values."""
    settings = OmegaConf.to_container(composed.hydra.launcher, resolve=True)
    assert isinstance(settings, dict)
    return {str(name): value for name, value in settings.items()}


def checked_run(label: str, composed: DictConfig, loader: ConfigLoader, overrides: list[str]) -> tuple[Run[Any], bool]:
    """Return one run among several, checked, and whether it starts anew.

    Args:
        label: what the run is called in messages.
        composed: its config, Hydra's part included.
        loader: that composed it.
        overrides: that it was composed with.

    Raises:
        UserError: it is not in form; names the run, the key, and where that came from.
    """
    with _naming_origin(label, composed, loader, overrides):
        trust_composed(composed)
        return read_run(run_config(composed)), overwrite_of(composed)


@contextmanager
def _naming_origin(label: str, composed: DictConfig, loader: ConfigLoader, overrides: list[str]) -> Iterator[None]:
    """Let an error in a run's config say which run it is, and where the key came from."""
    try:
        yield
    except UserError as error:
        origin = origin_of(key_of(error), composed.hydra, loader, overrides)
        raise UserError(f"{label}: {with_origin(error, origin)}; nothing was started") from error
