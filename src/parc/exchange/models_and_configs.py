"""What PARC keeps beside its motions, in and out: trained models, and the settings of runs."""

import re
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from parc.anim.dataset import MANIFEST_SUFFIXES
from parc.configuration.errors import UserError
from parc.configuration.files import PART_SUFFIX, read_text, read_yaml, unwritable
from parc.exchange.parc_config import (
    generation_experiment,
    is_parc_generation_config,
    is_parc_training_config,
    training_experiment,
)
from parc.exchange.parc_model import (
    read_model_for_parc,
    read_parc_model,
    write_model_for_parc,
    write_model_from_parc,
)
from parc.motion_generator.checkpoint import is_of_parc
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT, checkpoint_files
from parc.motion_generator.features import STATISTICS_FILE

EXPERIMENTS = "experiment"  # folder of the experiments, in one that --config-dir takes


def is_model_or_config(path: Path) -> bool:
    """Say whether a file or folder is a checkpoint, a run's folder, or a YAML file that lists no motions."""
    if path.is_dir():
        return bool(checkpoint_files(path))
    if path.suffix in MANIFEST_SUFFIXES and path.is_file():
        content = read_yaml(path, read_text(path))
        return isinstance(content, dict) and "motions" not in content
    return path.suffix == Path(FINAL_CHECKPOINT).suffix


def convert_model_or_config(path: Path, folder: Path, to: str | None) -> list[str]:
    """Convert what `is_model_or_config` knows, and return what there is to say of it, a line each.

    Args:
        path: what is converted.
        folder: where it goes. Files that are there already are not written over.
        to: "parc" for a model of ours; None for one of PARC's, and for configs.

    Raises:
        UserError: it cannot be converted so, or is there already.
    """
    if path.suffix in MANIFEST_SUFFIXES:
        if to is not None:
            raise UserError(f"--to {to}: {path} holds settings, which become an experiment; leave --to out")
        return _convert_config(path, folder)
    if path.is_file() and is_of_parc(path):
        if to is not None:
            raise UserError(f"--to {to}: {path} is a model of PARC's, which becomes one of ours; leave --to out")
        model = read_parc_model(path)
        _write(folder, lambda part: write_model_from_parc(part, model))
        statistics, checkpoint = (shlex.quote(str(folder / name)) for name in (STATISTICS_FILE, FINAL_CHECKPOINT))
        return [
            f"{folder}: a model of ours; python -m parc.generate model_path={shlex.quote(str(folder))} generates with it, and",
            f"iteration.input_model_path={checkpoint} iteration.sampler_stats_filepath={statistics} starts a training from it",
        ]
    ours = read_model_for_parc(path)
    if to != "parc":
        raise UserError(f"{path}: a model of ours; say what to make of it, --to parc")
    _write(folder, lambda part: write_model_for_parc(part, ours))
    return [f"{folder}: the model in PARC's layout, {FINAL_CHECKPOINT}, and its statistics"]


def _convert_config(path: Path, folder: Path) -> list[str]:
    content = read_yaml(path, read_text(path))
    if is_parc_training_config(content):
        experiment, command = training_experiment(path), "train --config-dir {} experiment={}"
    elif is_parc_generation_config(content):
        experiment, command = generation_experiment(path), "generate --config-dir {} +experiment={}"
    else:
        raise UserError(
            f"{path}: neither a manifest nor a config of PARC's; expected motions, or settings of its training or kin_gen"
        )
    name = re.sub(r"\W+", "_", path.stem)  # as an override can name it

    def write(part: Path) -> list[Path]:
        file = part / EXPERIMENTS / f"{name}.yaml"
        file.parent.mkdir()
        file.write_text(experiment.text, encoding="utf-8")
        return [file]

    _write(folder, write)
    return [
        *experiment.without_counterpart,
        f"to run it: python -m parc.{command.format(shlex.quote(str(folder)), name)}",
    ]


def _write(folder: Path, write: Callable[[Path], list[Path]]) -> None:
    """Have files written beside where they belong, and move them there when all are whole."""
    part = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".", suffix=PART_SUFFIX, dir=folder))
        files = [(file, folder / file.relative_to(part)) for file in write(part)]
        for _, place in files:
            if place.exists():
                raise UserError(f"{place}: is there already; choose another folder")
        for file, place in files:
            place.parent.mkdir(exist_ok=True)
            file.replace(place)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
