"""From which step on weights are averaged."""

import torch
from training_runs import changed, train

from parc.motion_generator.checkpoint import read_checkpoint


def test_the_average_starts_with_the_step_that_is_named(tiny_config, tmp_path):
    def weights(steps: int, start: int):
        folder = tmp_path / f"{steps} steps from {start}"
        train(changed(
            tiny_config, folder=folder, trainer__iters_per_epoch=1, trainer__epochs=steps, trainer__ema_start_step=start,
            trainer__ema_decay=0.75,
        ))  # fmt: skip
        checkpoint = read_checkpoint(folder / "final_model.ckpt")
        return checkpoint.model, checkpoint.ema

    (first, _), (second, averaged) = weights(1, 2), weights(2, 2)
    for name, weight in averaged.items():
        torch.testing.assert_close(weight, 0.75 * first[name] + 0.25 * second[name], atol=1e-6, rtol=1e-5)
    _, copied = weights(2, 3)
    assert all(torch.equal(copied[name], second[name]) for name in second)
    assert any(not torch.equal(averaged[name], second[name]) for name in second)
