"""The settings of a run, and the check of their form: names, types, ranges, combinations; no files are looked at."""

import inspect
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parc.anim.dataset import Dataset
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import SettingsError, UserError
from parc.configuration.pieces import checked_value, recipe, unknown_key
from parc.motion_generator.losses import MotionLosses
from parc.motion_generator.mdm import MDM
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler
from parc.training.iteration import Iteration
from parc.training.run_log import WandbLogger
from parc.training.trainer import Trainer


@dataclass(frozen=True)
class RunSettings:
    """The keys of a run's config.

    Attributes:
        device: auto (the GPU if there is one), cpu, cuda or cuda:N.
        threads: CPU threads; None for as many as there are cores.
        seed: of all randomness.
        data_dir: where runs and prepared motions live.
        output_dir: the run's folder.
        iteration: which round this is, and what it starts from.
        dataset: the clips.
        character: whose clips they are.
        sampler: windows of the clips.
        model: the motion diffusion model.
        loss: what it is trained on.
        trainer: how it is trained.
        logger: where its metrics go besides its folder.
    """

    device: str
    threads: int | None
    seed: int
    data_dir: str
    output_dir: str
    iteration: Iteration
    dataset: Dataset
    character: CharacterFile
    sampler: MDMHeightfieldContactMotionSampler
    model: MDM
    loss: MotionLosses
    trainer: Trainer
    logger: WandbLogger


def check_form(config: dict[str, Any]) -> None:
    """Check a run's config: every key known, none missing, every value of its type and in its range.

    Raises:
        SettingsError: names the key, what is wrong with it and what was expected.
        UserError: values contradict each other.
    """
    types = typing.get_type_hints(RunSettings)
    for name in config:
        if name not in types:
            raise unknown_key("", name, list(types))
    for name, expected in types.items():
        if name not in config:
            raise SettingsError(name, "is missing; expected a value")
        value = config[name]
        if isinstance(value, dict) and inspect.isclass(expected):
            recipe(value, expected, name)
        else:
            checked_value(value, expected, name)
    _check_combinations(config)


def _check_combinations(config: dict[str, Any]) -> None:
    if config["seed"] < 0:
        raise UserError(f"seed is {config['seed']}, expected 0 or more")
    if config["threads"] is not None and config["threads"] < 1:
        raise UserError(f"threads is {config['threads']}, expected at least 1, or null")
    device = config["device"]
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise UserError(f"device is {device!r}, expected auto, cpu, cuda or cuda:N")
    sampler = recipe(config["sampler"], MDMHeightfieldContactMotionSampler, "sampler")
    MDM.check_with_sampler(recipe(config["model"], MDM, "model").denoiser, sampler.heightmap)
    previous = config["iteration"]["previous_run"]
    if previous is not None and Path(previous).expanduser().absolute() == Path(config["output_dir"]).absolute():
        raise UserError(
            f"iteration.previous_run {previous} is this run's own output_dir; expected the folder of an earlier run"
        )
