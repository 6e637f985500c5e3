"""Configs that older versions of parc have kept with their runs and checkpoints, brought up to date.

Only what changes its name or its place needs a word here: a setting that is new has a default in its constructor.
"""

import copy
from typing import Any

from parc.configuration.errors import UserError

VERSION = 5  # of the configs that this version writes

_RENAMED_IN_2 = {
    "parc.training.iteration.Iteration": "parc.stages.iteration.Iteration",
    "parc.training.trainer.Trainer": "parc.training.trainer.TrainerSettings",
}
_SIZES_OF_THE_DENOISER = ("d_model", "num_heads", "d_hid", "num_layers", "mlp_width", "target_mlp_width", "dropout")


def up_to_date(config: dict[str, Any], source: str) -> dict[str, Any]:
    """Return a config as this version writes it, without its version.

    Args:
        config: as it was kept.
        source: where it was kept, for messages.

    Raises:
        UserError: a newer version of parc wrote it.
    """
    config = copy.deepcopy(config)
    version = config.pop("version", 1)
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise UserError(
            f"{source}: version is {version!r}, expected 1 to {VERSION}; it was written by a newer parc, so update this one"
        )
    if version < 2:
        _bring_to_2(config)
    if version < 3 and isinstance(config.get("trainer"), dict):
        config["trainer"].pop("heldout_windows", None)  # the held-out error is the same measure for every run
    if version < 4:
        preview = config.get("preview")
        for rollout in (config.get("rollout"), preview.get("rollout") if isinstance(preview, dict) else None):
            if isinstance(rollout, dict) and isinstance(timesteps := rollout.pop("ddim_timesteps", None), list):
                rollout["denoising_steps"] = len(timesteps)
    if version < 5:
        _bring_to_5(config)
    return config


def _bring_to_2(config: dict[str, Any]) -> None:
    """Bring a config of the time when there was only training to version 2, where stages name themselves."""
    config["stage"] = "parc.training.stage.TRAIN"
    for piece in config.values():
        if isinstance(piece, dict) and piece.get("_target_") in _RENAMED_IN_2:
            piece["_target_"] = _RENAMED_IN_2[piece["_target_"]]
    model, sampler, dataset, iteration = (config.get(name) for name in ("model", "sampler", "dataset", "iteration"))
    if isinstance(model, dict) and "denoiser" not in model:
        sizes = {name: model.pop(name) for name in _SIZES_OF_THE_DENOISER if name in model}
        model["denoiser"] = {"_target_": "parc.motion_generator.mdm_transformer.MDMTransformer", **sizes}
    if isinstance(sampler, dict) and sampler.pop("sampler_save_filepath", None) is not None:
        sampler["sampler_save_folder"] = f"{config.get('data_dir', 'data')}/prepared"
    # Later iterations kept the list of all clips in place of the dataset that found them.
    if isinstance(dataset, dict) and isinstance(iteration, dict) and iteration.get("previous_run") is not None:
        clips = {name: value for name, value in dataset.items() if name != "_target_"}
        if isinstance(clips.get("motion_lib_file"), list):
            config["dataset"] = {
                "_target_": "parc.training.grown_dataset.GrownDataset",
                "previous_run": iteration["previous_run"],
                "new_motions": iteration.get("new_motions"),
                "clips": clips,
            }


def _bring_to_5(config: dict[str, Any]) -> None:
    """Bring a config of the time when a later iteration took motions as they were generated to version 5: physical ones.

    Only where that makes no difference: a run that has found its clips keeps those, and goes on by the command that began it.
    """
    dataset, iteration = config.get("dataset"), config.get("iteration")
    if not isinstance(iteration, dict) or (isinstance(dataset, dict) and dataset.get("clips", {}) is None):
        return
    here = f"{config.get('data_dir', 'data')}/{iteration.get('previous')}"
    for piece in (iteration, dataset):
        if isinstance(piece, dict) and piece.get("new_motions") == f"{here}/p2_kin_gen":
            piece["new_motions"] = f"{here}/p4_phys_record"
