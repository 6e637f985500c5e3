"""Where a training starts: its clips, the weights that it goes on from, and the statistics of its features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from parc.anim.character import Character
from parc.configuration.errors import UserError
from parc.configuration.pieces import make
from parc.motion_generator.feature_statistics import compute_statistics
from parc.motion_generator.features import (
    FeatureStatistics,
    MotionFeatures,
    RotationType,
    read_statistics,
)
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler
from parc.training.checkpoint import (
    Checkpoint,
    newest_checkpoint,
    read_starting_point,
)
from parc.training.iteration import Iteration
from parc.training.ranks import Ranks

STATISTICS_FILE = "sampler_stats.txt"
# Settings that a model must share with the checkpoint that it starts from: with others, its numbers mean something else.
_SHARED_WITH_CHECKPOINT = (
    ("model", "rotation_type"),
    ("model", "diffusion_timesteps"),
    ("sampler", "num_frames"),
    ("sampler", "num_previous_states"),
    ("sampler", "fps"),
    ("sampler", "relative_z_style"),
    ("sampler", "heightmap"),
)


@dataclass(frozen=True)
class Start:
    """Where a training starts: a checkpoint of its own, that of a previous run, or none of both.

    Attributes:
        path: the checkpoint.
        own: the checkpoint, where it is this run's own.
        weights, averaged: those of a previous run.
        statistics: of the checkpoint.
    """

    path: Path
    own: Checkpoint | None
    weights: dict[str, Tensor]
    averaged: dict[str, Tensor]
    statistics: FeatureStatistics


def find_start(folder: Path, config: dict[str, Any], character: Character) -> Start | None:
    """Find what training starts from: the run's own newest checkpoint beats `iteration.input_model_path`.

    Raises:
        UserError: the checkpoint of the previous run is missing, damaged, or of another kind of model.
    """
    newest = newest_checkpoint(folder)
    if newest:
        path, checkpoint = newest
        return Start(path, checkpoint, {}, {}, checkpoint.statistics)
    iteration: Iteration = make(config["iteration"], Iteration, "iteration")
    path = iteration.starting_point()
    if path is None:
        return None
    weights, averaged, statistics, checkpoint = read_starting_point(path)
    if checkpoint:
        _refuse_other_kind(path, checkpoint, config, character)
    return Start(path, None, weights, averaged, statistics)


def _refuse_other_kind(path: Path, checkpoint: Checkpoint, config: dict[str, Any], character: Character) -> None:
    for group, key in _SHARED_WITH_CHECKPOINT:
        theirs, ours = checkpoint.config.get(group, {}).get(key), config[group][key]
        if theirs != ours:
            raise UserError(f"{group}.{key} is {ours}, but {path} was trained with {theirs}; expected the same")
    if checkpoint.character.to_dict() != character.to_dict():
        raise UserError(
            f"character.char_file {config['character']['char_file']}: {path} was trained with another character; "
            "expected the same bodies, joints and shapes"
        )


def find_statistics(
    folder: Path,
    config: dict[str, Any],
    sampler: MDMHeightfieldContactMotionSampler,
    character: Character,
    start: Start | None,
    ranks: Ranks,
) -> FeatureStatistics:
    """Return the run's feature statistics, and write them into its folder. Those of rank 0 are what counts.

    They are those of its own checkpoint, of `iteration.sampler_stats_filepath`, of the previous checkpoint, or else
    computed over every window of the training clips.

    Raises:
        UserError: the file differs from the checkpoint's and `iteration.allow_other_statistics` is not set.
    """
    iteration: Iteration = make(config["iteration"], Iteration, "iteration")
    features = MotionFeatures(character, RotationType(config["model"]["rotation_type"]))
    shape = (sampler.num_frames, features.num_features)
    if start:
        _refuse_other_shape(start.path, start.statistics, shape)
        if start.own:
            return start.statistics
    if iteration.sampler_stats_filepath is not None:
        path = Path(iteration.sampler_stats_filepath).expanduser()
        statistics = read_statistics(path, *shape)
        if start and not iteration.allow_other_statistics and not _same_statistics(statistics, start.statistics):
            raise UserError(
                f"iteration.sampler_stats_filepath {path} differs from the statistics in {start.path}; expected the same, so "
                "that the model's numbers keep their meaning. Leave it out, or set iteration.allow_other_statistics=true"
            )
    elif start:
        statistics = start.statistics
    elif ranks.is_first:
        statistics = compute_statistics(sampler, features)
    else:
        return FeatureStatistics(torch.zeros(shape), torch.ones(shape))  # rank 0 sends its own
    if ranks.is_first:
        statistics.write(folder / STATISTICS_FILE)
    return statistics


def _refuse_other_shape(path: Path, statistics: FeatureStatistics, shape: tuple[int, int]) -> None:
    for name, values in vars(statistics).items():
        if tuple(values.shape) != shape:
            raise UserError(
                f"checkpoint {path}: the features' {name} has shape {list(values.shape)}, expected {list(shape)} "
                "(frames, features); was it made with another sampler, character or rotation_type?"
            )


def refuse_other_clips(folder: Path, now: dict[str, str], before: dict[str, str]) -> None:
    """Check that a run goes on with the clips that it began with.

    Raises:
        UserError: clips are gone, new, changed or in another order; names the first.
    """
    kinds = {
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
    }
    if not any(kinds.values()):  # one clip more or less changes the weights of all
        kinds["changed"] = [name for name in now if now[name] != before[name]]
        pairs = zip(now, before, strict=True)
        kinds["in another order"] = [name for name, old_name in pairs if name != old_name]
    found = [
        f"{kind}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        for kind, names in kinds.items()
        if names
    ]
    if found:
        raise UserError(
            f"{folder} was started with other clips ({'; '.join(found)}); put them back as they were, or give another "
            "output_dir for a new run, or overwrite=true to start this one anew"
        )


def _same_statistics(first: FeatureStatistics, second: FeatureStatistics) -> bool:
    pairs = ((first.mean, second.mean), (first.std, second.std))
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in pairs)
