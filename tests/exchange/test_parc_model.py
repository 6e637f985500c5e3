"""A model of PARC's generates and trains on here, and ours there: what goes over and back is the same, bit for bit."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from command_line import ANYTHING_GOES, QUICK, write_clips
from golden_arrays import read_golden
from parc.configuration.errors import UserError
from parc.exchange.parc_model import (
    read_model_for_parc,
    read_parc_model,
    write_model_for_parc,
    write_model_from_parc,
)
from parc.motion_generator.checkpoint import Checkpoint, read_checkpoint
from parc.motion_generator.denoiser import Conditions
from parc.motion_generator.features import read_statistics
from parc.motion_generator.mdm_transformer import sinusoidal_code
from parc.motion_generator.parc_checkpoint import read_parc_checkpoint
from parc.motion_generator.trained_model import TrainedModel, load_trained_model

RUN = Path(__file__).parents[1] / "runs_of_version_1/data/iter1/p1_train_gen"
SIZES = {"d_model": 64, "num_heads": 2, "d_hid": 64, "num_layers": 2}


def write_theirs(path: Path, golden_folder: Path, prefix: str = "", **changes) -> Path:
    """Write a checkpoint in PARC's layout, of the denoiser that the golden arrays were made with."""
    state = load_file(golden_folder / "denoiser_state.safetensors")
    averaged = {f"{prefix}{name}": tensor * 1.01 for name, tensor in state.items() if not name.endswith(".pe")}
    averaged |= {f"{prefix}{name}": tensor for name, tensor in state.items() if name.endswith(".pe")}
    arrays = read_golden(golden_folder, "stats")
    content = {
        "cfg": {"model": SIZES, "lr": 1e-5, "features": {"relative_z_style": "RELATIVE_TO_ROOT"}},
        "model": {f"{prefix}{name}": tensor for name, tensor in state.items()},
        "optimizer": {},
        "ema_model": averaged,
        "ema_meta": {"decay": 0.99},
        "extra": {"_mdm_features_mean": arrays["mean"], "_mdm_features_std": arrays["std"]},
    }
    torch.save(content | changes, path)
    return path


@pytest.fixture(scope="module")
def theirs(golden_folder, tmp_path_factory) -> Path:
    return write_theirs(tmp_path_factory.mktemp("theirs") / "model_100.ckpt", golden_folder, prefix="_denoiser.")


@pytest.fixture(scope="module")
def converted(theirs, tmp_path_factory) -> Path:
    """The folder of the converted model."""
    folder = tmp_path_factory.mktemp("converted")
    write_model_from_parc(folder, read_parc_model(theirs))
    return folder


def generated(trained: TrainedModel) -> torch.Tensor:
    yes = torch.ones(2, dtype=torch.bool)
    features, random = trained.mdm.features.num_features, torch.Generator().manual_seed(5)
    asked = Conditions(
        torch.randn(2, *trained.heightmap.shape, generator=random),
        torch.ones(2, 2),
        torch.randn(2, 2, features, generator=random),
        *[yes] * 4,
    )
    motion = trained.mdm.generate(asked, [torch.Generator().manual_seed(n) for n in range(2)], [20, 10, 0])
    return torch.cat([motion.root_pos.flatten(), motion.joint_rot.flatten(), motion.contacts.flatten()])


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_converted_model_generates_what_the_original_does(theirs, converted):
    expected = load_trained_model(theirs, parc_heads=2)
    made = load_trained_model(converted)
    assert made.path == converted / "final_model.ckpt"
    assert torch.equal(generated(made), generated(expected))
    assert torch.isfinite(generated(made)).all()
    other_heads = load_trained_model(theirs, parc_heads=4)
    assert not torch.equal(
        generated(other_heads), generated(expected)
    )  # so the number of heads was found in its config


def test_statistics_and_weights_are_kept_and_where_they_are_from_is_said(theirs, converted):
    checkpoint, original = read_checkpoint(converted / "final_model.ckpt"), read_parc_checkpoint(theirs)
    assert same(checkpoint.model, original.model)
    assert same(checkpoint.ema, original.ema)
    assert not same(checkpoint.model, checkpoint.ema)
    statistics = read_statistics(converted / "sampler_stats.txt", 15, 91, {"num_frames": 15, "fps": 30})
    assert torch.equal(statistics.mean, original.statistics.mean)
    assert torch.equal(checkpoint.statistics.std, original.statistics.std)
    assert (checkpoint.clips, checkpoint.state["step"]) == ({}, 0)
    assert checkpoint.provenance["converted_from"] == str(theirs)


def test_it_trains_on_from_the_command_line(converted, humanoid, shell):
    write_clips(shell.folder / "clips", humanoid)
    sizes = [f"model.denoiser.{name}={size}" for name, size in SIZES.items()]
    widths = ["model.denoiser.mlp_width=64", "model.denoiser.target_mlp_width=64"]
    start = f"iteration.input_model_path={converted}/final_model.ckpt"
    statistics = f"iteration.sampler_stats_filepath={converted}/sampler_stats.txt"
    answer = shell.train(*QUICK, *sizes, *widths, start, statistics, "output_dir=tuned")
    assert answer.code == 0, answer.err
    tuned, before = (
        read_checkpoint(shell.folder / "tuned/final_model.ckpt"),
        read_checkpoint(converted / "final_model.ckpt"),
    )
    assert torch.equal(tuned.statistics.mean, before.statistics.mean)
    changed = {name: (tuned.model[name] - before.model[name]).abs().max() for name in tuned.model}
    assert 0 < max(changed.values()) < 1e-4  # one step of the paper's learning rate, and not other weights


def test_it_generates_motions_from_the_command_line(converted, shell):
    answer = shell.run(
        "generate", f"model_path={converted}", "output_dir=made", "num_motions=1", "terrain=flat", "refinement=none",
        "device=cpu", "threads=1", *ANYTHING_GOES,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert list((shell.folder / "made").rglob("*.safetensors"))


def test_ours_in_parcs_layout_is_read_safely_and_comes_back_the_same(tmp_path):
    ours = read_model_for_parc(RUN)
    statistics, path = write_model_for_parc(tmp_path, ours)
    content = torch.load(path, weights_only=True)
    assert list(content) == ["cfg", "model", "optimizer", "ema_model", "ema_meta", "extra"]
    assert content["cfg"]["d_model"] == ours.config["model"]["denoiser"]["d_model"]
    assert content["cfg"]["relative_z_style"] == "RELATIVE_TO_ROOT"
    assert torch.equal(content["extra"]["_mdm_features_mean"], ours.statistics.mean)
    assert torch.equal(content["extra"]["_mdm_features_std"], ours.statistics.std)
    assert torch.equal(read_statistics(statistics, 15, len(ours.statistics.mean[0])).mean, ours.statistics.mean)
    group = content["optimizer"]["param_groups"][0]
    assert (len(group["params"]), content["optimizer"]["state"]) == (len(ours.model), {})
    back = read_parc_model(path)
    assert same(back.model, ours.model)
    assert same(back.ema, ours.ema)
    assert torch.equal(back.statistics.std, ours.statistics.std)
    settings = copy.deepcopy(back.config)
    settings["sampler"]["sampler_save_folder"] = ours.config["sampler"]["sampler_save_folder"]
    for piece in ("model", "sampler"):
        expected = {**settings[piece], **ours.config[piece]}
        assert settings[piece] == expected
    write_model_from_parc(tmp_path, back)
    assert torch.equal(generated(load_trained_model(tmp_path)), generated(load_trained_model(RUN)))


def test_theirs_over_to_us_and_back_holds_the_same_parameters(converted, golden_folder, tmp_path):
    """Their two tables, which ours computes, come out as theirs up to the last digit."""
    golden = load_file(golden_folder / "denoiser_state.safetensors")
    *_, path = write_model_for_parc(tmp_path, read_model_for_parc(converted / "final_model.ckpt"))
    state = torch.load(path, weights_only=True)["model"]
    assert state.keys() == golden.keys()
    for name, tensor in golden.items():
        if name.endswith(".pe"):
            assert state[name].shape == tensor.shape
            assert torch.allclose(state[name], tensor, atol=1e-5)
        else:
            assert torch.equal(state[name], tensor), name


def test_arrays_of_numpy_are_read_and_nothing_else(golden_folder, tmp_path):
    arrays = {
        name: tensor.numpy() for name, tensor in read_golden(golden_folder, "stats").items() if name in ("mean", "std")
    }
    extra = {"_mdm_features_mean": arrays["mean"], "_mdm_features_std": arrays["std"]}
    config = {"num_heads": np.int64(2), "dropout": np.float64(0.25), "odd": np.zeros(3)}
    read = read_parc_model(write_theirs(tmp_path / "arrays.ckpt", golden_folder, cfg=config, extra=extra))
    assert torch.equal(read.statistics.mean, torch.from_numpy(arrays["mean"]))
    assert read.config["model"]["denoiser"]["num_heads"] == 2
    assert read.config["model"]["denoiser"]["dropout"] == 0.25
    path = write_theirs(tmp_path / "other.ckpt", golden_folder, cfg={"file": Path("x")})
    with pytest.raises(UserError, match=r"other\.ckpt: not one of PARC's that can be read safely .*; expected a dict"):
        read_parc_model(path)


def test_what_its_config_says_of_its_windows_is_kept_and_heads_can_be_given(golden_folder, tmp_path):
    config = {
        "relative_z_style": "RELATIVE_TO_ROOT_FLOOR",
        "hf_augmentation": "NONE",
        "epochs": "many",
        "motion_lib_file": 3,
    }
    path = write_theirs(tmp_path / "floor.ckpt", golden_folder, cfg=config)
    read = read_parc_model(path, heads=4)
    assert read.config["sampler"]["relative_z_style"] == "RELATIVE_TO_ROOT_FLOOR"
    assert read.config["sampler"]["augmentation"]["_target_"].endswith("NoAugmentation")
    assert read.config["model"]["denoiser"]["num_heads"] == 4
    assert read_parc_model(write_theirs(path, golden_folder, cfg=None)).config["model"]["denoiser"]["num_heads"] == 8


def without(state: dict, name: str) -> dict:
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (lambda state: {"cfg": {"num_heads": 7}}, "num_heads is 7, which does not divide"),
        (lambda state: {"cfg": {"model": {"num_heads": "two"}}}, r"cfg: model\.num_heads is 'two', expected a whole number"),
        (lambda state: {"cfg": {"gen_seq_len": 2**40}}, r"1099511627776 frames, but its statistics have shape \[15, 91\]"),
        (lambda state: {"cfg": {"heightmap": {"spacing": 2.0**-20}}}, "its heightmap has .* points, expected at most 65536"),
        (lambda state: {"ema_model": without(state, "_out_mlp.model.3.bias")}, "weight output_mlp.2.bias is missing"),
        (lambda state: {"model": state | {"more": torch.zeros(1)}}, "weight more is unknown"),
        (lambda state: {"ema_model": without(state, "_in_mlp_target.model.0.weight")}, "target_mlp.0.weight.* is missing"),
        (lambda state: {"extra": {"_mdm_features_mean": torch.zeros(15, 90), "_mdm_features_std": torch.ones(15, 90)}},
         r"the features' mean has shape \[15, 90\], expected \[15, 91\]"),
        (lambda state: {"model": {**state, "_obs_embed.bias": torch.zeros(1).expand(2**40)}}, "has fewer numbers than that"),
        (lambda state: {"extra": {"_mdm_features_mean": torch.zeros(1).expand(2**40), "_mdm_features_std": torch.ones(1)}},
         "has fewer numbers than that"),
        (lambda state: {"extra": {}}, "'_mdm_features_mean'"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_one_line_that_names_the_file(changes, expected, golden_folder, tmp_path):
    state = load_file(golden_folder / "denoiser_state.safetensors")
    path = write_theirs(tmp_path / "odd.ckpt", golden_folder, **changes(state))
    with pytest.raises(UserError, match=expected) as caught:
        read_parc_model(path)
    assert "\n" not in str(caught.value)
    assert "odd.ckpt" in str(caught.value) or "num_heads" in str(caught.value)


def test_what_is_no_model_for_parc_is_one_line(theirs, tmp_path):
    with pytest.raises(UserError, match="there is no whole checkpoint in this folder"):
        read_model_for_parc(tmp_path)
    with pytest.raises(UserError, match="is one of PARC's already"):
        read_model_for_parc(theirs)
    with pytest.raises(UserError, match=r"none\.ckpt: there is no such file; give a \.ckpt of PARC's"):
        read_parc_model(tmp_path / "none.ckpt")


def test_another_network_than_the_papers_is_refused(monkeypatch, tmp_path):
    from parc.configuration.composing import pieces_of_option
    from parc.exchange import parc_model

    checkpoint = read_checkpoint(RUN / "final_model.ckpt")
    config = pieces_of_option("train", ["model=mdm_fast", "sampler=heightfield_contact"], ["model", "sampler"])
    other = Checkpoint(**{**vars(checkpoint), "config": config})
    monkeypatch.setattr(parc_model, "read_checkpoint", lambda path: other)
    with pytest.raises(UserError, match="its network is a MDMFast, which PARC has none of; expected one of model=mdm"):
        read_model_for_parc(tmp_path / "fast.ckpt")


def test_the_tables_are_those_of_the_papers_denoiser(golden_folder):
    golden = load_file(golden_folder / "denoiser_state.safetensors")
    assert torch.allclose(golden["_in_pos_encoding.pe"][0], sinusoidal_code(82, 64), atol=1e-5)
