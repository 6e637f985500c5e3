"""A trained model is one call, whatever it was saved as, and has nothing of training."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from golden_arrays import read_golden
from parc.configuration.errors import UserError
from parc.motion_generator.checkpoint import read_checkpoint, write_checkpoint
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.trained_model import TrainedModel, load_trained_model

RUN = Path(__file__).parents[1] / "runs_of_version_1/data/iter1/p1_train_gen"


def generated(trained: TrainedModel) -> torch.Tensor:
    yes = torch.ones(2, dtype=torch.bool)
    features = trained.mdm.features.num_features
    asked = Conditions(
        torch.zeros(2, *trained.heightmap.shape), torch.ones(2, 2), torch.zeros(2, 2, features), *[yes] * 4
    )
    return trained.mdm.generate(asked, [torch.Generator().manual_seed(n) for n in range(2)], [20, 10, 0]).root_pos


def test_it_has_the_averaged_weights_no_losses_no_gradients_and_no_dropout():
    trained, checkpoint = load_trained_model(RUN), read_checkpoint(RUN / "final_model.ckpt")
    weights = trained.mdm.denoiser.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in checkpoint.ema.items())
    assert not all(torch.equal(weights[name], tensor) for name, tensor in checkpoint.model.items())
    assert trained.mdm.losses is None
    assert not trained.mdm.training
    assert not any(parameter.requires_grad for parameter in trained.mdm.parameters())
    assert torch.equal(trained.mdm.mean, checkpoint.statistics.mean)
    assert trained.character.body_names == checkpoint.character.body_names
    assert (trained.fps, trained.num_frames, trained.num_previous) == (30.0, 15, 2)
    assert (trained.heightmap.shape, trained.target.near, trained.relative_z_style.value) == (
        (31, 31),
        0.1,
        "RELATIVE_TO_ROOT",
    )
    assert torch.equal(generated(trained), generated(load_trained_model(RUN / "final_model.ckpt")))


def parc_checkpoint(folder: Path, golden_folder: Path) -> Path:
    """Return a checkpoint in PARC's layout, of the denoiser that the golden arrays were made with."""
    state = {f"denoiser.{name}": each for name, each in load_file(golden_folder / "denoiser_state.safetensors").items()}
    arrays = read_golden(golden_folder, "stats")
    extra = {"_mdm_features_mean": arrays["mean"], "_mdm_features_std": arrays["std"]}
    torch.save({"cfg": {}, "model": state, "optimizer": {}, "ema_model": state, "extra": extra}, folder / "parc.ckpt")
    return folder / "parc.ckpt"


def test_one_of_parcs_checkpoints_loads_with_sizes_read_off_its_weights(golden_folder, tmp_path):
    trained = load_trained_model(parc_checkpoint(tmp_path, golden_folder), parc_heads=2)
    assert trained.mdm.diffusion.timesteps == 21
    assert torch.isfinite(generated(trained)).all()
    with pytest.raises(UserError, match="num_heads is 7, which does not divide"):
        load_trained_model(tmp_path / "parc.ckpt", parc_heads=7)


def test_what_is_no_model_is_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no whole checkpoint in this folder; expected that of a run"):
        load_trained_model(tmp_path)
    with pytest.raises(UserError, match="there is no such file"):
        load_trained_model(tmp_path / "none.ckpt")
    checkpoint = read_checkpoint(RUN / "final_model.ckpt")
    del checkpoint.config["sampler"]
    write_checkpoint(tmp_path / "odd.ckpt", checkpoint)
    with pytest.raises(UserError, match=r"odd\.ckpt: its config has no sampler; expected that of a training run"):
        load_trained_model(tmp_path / "odd.ckpt")
