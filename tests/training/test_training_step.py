"""What a step of training does to the weights is what the settings say, and held-out clips are measured on as they promise."""

from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from training_runs import changed, result, rows_of, train

from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.mdm_transformer import MDMTransformer

SETTINGS = {"learning_rate": 0.01, "weight_decay": 2.0, "warmup_steps": 2, "max_grad_norm": 0.5, "iters_per_epoch": 1}


def weights_of(optimizer) -> torch.Tensor:
    (group,) = optimizer.param_groups
    return torch.cat([weight.detach().flatten() for weight in group["params"]]).double()


def gradients_of(optimizer) -> torch.Tensor:
    (group,) = optimizer.param_groups
    return torch.cat([weight.grad.flatten() for weight in group["params"]]).double()


@pytest.fixture(scope="module")
def stepped(tiny_config, tmp_path_factory):
    """A run of three steps: weights before, gradients and weights after of each, and its folder."""
    folder, steps = tmp_path_factory.mktemp("stepped") / "run", []
    handles = [
        register_optimizer_step_pre_hook(lambda it, *_: steps.append([weights_of(it), gradients_of(it)])),
        register_optimizer_step_post_hook(lambda it, *_: steps[-1].append(weights_of(it))),
    ]
    train(changed(tiny_config, folder=folder, **{f"trainer__{name}": value for name, value in SETTINGS.items()}))
    for handle in handles:
        handle.remove()
    assert len(steps) == 3
    return steps, folder


def test_weights_move_by_adamw_with_warm_up_and_weight_decay(stepped):
    """The formula of Loshchilov and Hutter 2019, with torch's betas."""
    first_moment = second_moment = 0.0
    for number, (before, gradients, after) in enumerate(stepped[0], start=1):
        rate = SETTINGS["learning_rate"] * min(1.0, number / SETTINGS["warmup_steps"])
        first_moment = 0.9 * first_moment + 0.1 * gradients
        second_moment = 0.999 * second_moment + 0.001 * gradients**2
        size = (second_moment / (1 - 0.999**number)).sqrt() + 1e-8
        expected = before * (1 - rate * SETTINGS["weight_decay"]) - rate * first_moment / (1 - 0.9**number) / size
        torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-6)


def test_rows_say_the_learning_rate_and_the_gradients_length_before_it_is_cut(stepped):
    steps, folder = stepped
    rows = rows_of(folder)
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.005, 0.01, 0.01])
    for (_, gradients, _), row in zip(steps, rows, strict=True):
        assert row["grad_norm"] > 2 * SETTINGS["max_grad_norm"]
        assert gradients.norm().item() == pytest.approx(SETTINGS["max_grad_norm"], rel=1e-4)


def test_gradients_shorter_than_the_limit_are_left_alone(config):
    lengths = []
    handle = register_optimizer_step_pre_hook(lambda it, *_: lengths.append(gradients_of(it).norm().item()))
    train(changed(config, trainer__max_grad_norm=1e6, trainer__iters_per_epoch=1, trainer__epochs=1))
    handle.remove()
    assert lengths == pytest.approx([rows_of(Path(config["output_dir"]))[0]["grad_norm"]], rel=1e-4)


@pytest.mark.parametrize(("precision", "computed"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_denoiser_alone_computes_in_the_precision_that_was_asked_for(config, monkeypatch, precision, computed):
    said, original = [], MDMTransformer.denoise

    def listening(self, *arguments):
        prediction = original(self, *arguments)
        said.append(prediction.dtype)
        return prediction

    monkeypatch.setattr(MDMTransformer, "denoise", listening)
    train(changed(config, trainer__precision=precision, trainer__iters_per_epoch=1, trainer__epochs=1))
    assert set(said) == {computed}
    tensors, _, _ = result(Path(config["output_dir"]))
    assert all(tensor.dtype == torch.float32 for name, tensor in tensors.items() if name.startswith(("model", "ema")))


def test_heldout_clips_are_measured_on_with_averaged_weights_and_without_dropout(
    many_clips, tiny_config, tmp_path, monkeypatch
):
    measured, original = [], MDMTransformer.denoise

    def listening(self, *arguments):
        if not torch.is_grad_enabled():
            measured.append((self.training, {name: tensor.clone() for name, tensor in self.state_dict().items()}))
        return original(self, *arguments)

    monkeypatch.setattr(MDMTransformer, "denoise", listening)
    train(changed(tiny_config, folder=tmp_path / "run", dataset__motion_lib_file=str(many_clips), trainer__epochs=1,
                  model__denoiser__dropout=0.3, trainer__ema_start_step=0))  # fmt: skip
    measured_rows = [row for row in rows_of(tmp_path / "run") if any(key.startswith("heldout/") for key in row)]
    assert [row["epoch"] for row in measured_rows] == [0, 1]
    assert not any(training for training, _ in measured)
    checkpoint = read_checkpoint(tmp_path / "run" / "final_model.ckpt")
    last = measured[-1][1]
    assert all(torch.equal(last[name], average) for name, average in checkpoint.ema.items())
    assert not all(torch.equal(last[name], weight) for name, weight in checkpoint.model.items())
