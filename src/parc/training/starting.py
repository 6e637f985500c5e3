"""Where a training starts: its clips, the weights that it goes on from, and the statistics of its features."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from parc.anim.character import Character
from parc.anim.heldout_clips import HeldoutSplit
from parc.anim.library_cache import CHECKSUM_LENGTH
from parc.configuration.errors import UserError
from parc.configuration.schema import as_setting
from parc.motion_generator.checkpoint import Checkpoint, read_starting_point
from parc.motion_generator.checkpoint_files import newest_checkpoint
from parc.motion_generator.feature_statistics import compute_statistics, refuse_more_noise, refuse_other_windows
from parc.motion_generator.features import (
    FROM_SCRATCH,
    STATISTICS_FILE,
    WINDOW_SETTINGS,
    FeatureStatistics,
    MotionFeatures,
    read_statistics,
)
from parc.motion_generator.mdm_heightfield_contact_motion_sampler import MDMHeightfieldContactMotionSampler
from parc.motion_generator.trained_model import recipes_of
from parc.training.ranks import Ranks
from parc.training.settings import TrainSettings

# Settings that a model must share with the checkpoint that it starts from: with others, its numbers mean something else.
_SHARED_BY_MODELS = ("rotation_type", "diffusion_timesteps")
_SHARED_BY_SAMPLERS = (*WINDOW_SETTINGS, "heightmap")


@dataclass(frozen=True)
class Start:
    """Where a training starts: a checkpoint of its own, that of a previous run, or none of both.

    Attributes:
        path: the checkpoint.
        own: the checkpoint, where it is this run's own.
        weights, averaged: those of a previous run.
        statistics: of the checkpoint.
        split: what it says about which clips may be held out.
    """

    path: Path
    own: Checkpoint | None
    weights: dict[str, Tensor]
    averaged: dict[str, Tensor]
    statistics: FeatureStatistics
    split: HeldoutSplit


def find_start(settings: TrainSettings, character: Character) -> Start | None:
    """Find what training starts from: the run's own newest checkpoint beats `iteration.input_model_path`.

    Raises:
        UserError: the checkpoint of the previous run is missing, damaged, or of another kind of model.
    """
    newest = newest_checkpoint(settings.folder)
    if newest:
        path, checkpoint = newest
        return Start(path, checkpoint, {}, {}, checkpoint.statistics, checkpoint.split)
    path = settings.iteration.starting_point()
    if path is None:
        return None
    weights, averaged, statistics, checkpoint = read_starting_point(path)
    if checkpoint:
        _refuse_other_kind(path, checkpoint, settings, character)
    trained = checkpoint.split.trained if checkpoint else frozenset()
    return Start(path, None, weights, averaged, statistics, HeldoutSplit(trained=trained))


def _refuse_other_kind(path: Path, checkpoint: Checkpoint, settings: TrainSettings, character: Character) -> None:
    model, sampler = recipes_of(checkpoint.config, str(path))
    for group, theirs, ours, names in (
        ("model", model, settings.model, _SHARED_BY_MODELS),
        ("sampler", sampler, settings.sampler, _SHARED_BY_SAMPLERS),
    ):
        for name in names:
            old, new = getattr(theirs, name), getattr(ours, name)
            if old != new:
                raise UserError(
                    f"{group}.{name} is {as_setting(new)}, but {path} was trained with {as_setting(old)}; expected the same; "
                    f"{FROM_SCRATCH}"
                )
    if checkpoint.character.to_dict() != character.to_dict():
        raise UserError(
            f"character.char_file {settings.character.path}: {path} was trained with another character; "
            "expected the same bodies, joints and shapes"
        )


def find_statistics(
    settings: TrainSettings,
    sampler: MDMHeightfieldContactMotionSampler,
    character: Character,
    start: Start | None,
    ranks: Ranks,
) -> FeatureStatistics:
    """Return the run's feature statistics, and write them into its folder. Those of rank 0 are what counts.

    They are those of its own checkpoint, of `iteration.sampler_stats_filepath`, of the previous checkpoint, or else
    computed over every window of the training clips.

    Raises:
        UserError: they are of other windows than the sampler's, or were made for less noise; or the file differs from the
            checkpoint's and `iteration.allow_other_statistics` is not set.
    """
    iteration = settings.iteration
    features = MotionFeatures(character, settings.model.rotation_type)
    shape = (sampler.num_frames, features.num_features)
    windows = {name: as_setting(getattr(settings.sampler, name)) for name in WINDOW_SETTINGS}
    if start:
        _refuse_other_shape(start.path, start.statistics, shape)
        if start.own:
            return start.statistics
    if iteration.sampler_stats_filepath is not None:
        path = Path(iteration.sampler_stats_filepath)
        statistics = read_statistics(path, *shape, windows)
        _refuse_unfit(statistics, sampler, features, path)
        if start and not iteration.allow_other_statistics and not _same_statistics(statistics, start.statistics):
            raise UserError(
                f"iteration.sampler_stats_filepath {path} differs from the statistics in {start.path}; expected the same, so "
                "that the model's numbers keep their meaning. Leave it out, or set iteration.allow_other_statistics=true"
            )
    elif start:
        statistics = start.statistics
        _refuse_unfit(statistics, sampler, features, start.path)
    elif ranks.is_first:
        statistics = compute_statistics(sampler, features)
    else:
        return FeatureStatistics(torch.zeros(shape), torch.ones(shape))  # rank 0 sends its own
    if ranks.is_first:
        statistics.write(settings.folder / STATISTICS_FILE, windows)
    return statistics


def _refuse_unfit(
    statistics: FeatureStatistics, sampler: MDMHeightfieldContactMotionSampler, features: MotionFeatures, path: Path
) -> None:
    refuse_other_windows(statistics, sampler, str(path))
    refuse_more_noise(statistics, sampler, features, str(path))


def _refuse_other_shape(path: Path, statistics: FeatureStatistics, shape: tuple[int, int]) -> None:
    for name, values in vars(statistics).items():
        if tuple(values.shape) != shape:
            raise UserError(
                f"checkpoint {path}: the features' {name} has shape {list(values.shape)}, expected {list(shape)} "
                "(frames, features); was it made with another sampler, character or rotation_type?"
            )


def refuse_other_clips(folder: Path, now: dict[str, str], before: dict[str, str]) -> None:
    """Check that a run goes on with the clips that it began with.

    Args:
        folder: the run's.
        now: the clips' digests (see `digests_of_clips`).
        before: those that a checkpoint has kept; older versions left out the checksum without the weight.

    Raises:
        UserError: clips are gone, new, changed, in another order or of another weight; names the first.
    """
    length = CHECKSUM_LENGTH
    kinds = {
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
        "changed": [name for name in now if before.get(name, "")[length:] not in ("", now[name][length:])],
    }
    if not any(kinds.values()):  # each of them changes the weights of all
        kinds["changed or of another weight"] = [name for name in now if now[name][:length] != before[name][:length]]
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
            "output_dir for a new run, or overwrite=true to start this one over"
        )


def _same_statistics(first: FeatureStatistics, second: FeatureStatistics) -> bool:
    pairs = ((first.mean, second.mean), (first.std, second.std))
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in pairs)
