"""A training that is killed (SIGKILL) at random moments, saving included, and started again each time."""

import os
import random
import sys
import time

import pytest
from training_runs import TrainingProcess, assert_same_result, changed, rows_of, run_to_end

KILLS = int(os.environ.get("PARC_TEST_KILLS", 20))
EPOCHS = 8 * KILLS  # of 4 steps: enough that no fast machine is finished before its kills are


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(tiny_config, tmp_path, capsys):
    """PARC_TEST_KILLS=200 makes the longer form."""
    config = changed(
        tiny_config, trainer__epochs=EPOCHS, trainer__learning_rate_schedule="cosine", trainer__epochs_per_checkpoint=1
    )
    often = {"trainer__keep_last_checkpoints": 3, "trainer__minutes_per_latest": 1e-6}  # saved after every step
    assert run_to_end(changed(config, folder=tmp_path / "undisturbed"), tmp_path / "undisturbed.log", 3600)[0] == 0

    moments, kills, while_writing, before_first_save = random.Random(0), 0, 0, 0
    began = time.monotonic()
    run, log = tmp_path / "killed", tmp_path / "killed.log"
    while kills < KILLS:
        left_before = set(run.rglob("*.part"))
        with TrainingProcess(changed(config, folder=run, **often), log) as training:
            time.sleep(moments.uniform(0.0, 1.5))
            if kills % 2:
                # Every other time while a checkpoint is being written: its temporary file has just come.
                training.wait_until(lambda: any(run.glob("checkpoints/.*.part")), "saving")
                time.sleep(moments.uniform(0.0, 0.01))
            assert training.process.is_alive(), f"ended after {kills} kills: {training.said()}"
            training.process.kill()
            training.process.join()
        kills += 1
        while_writing += bool(set(run.rglob("*.part")) - left_before)
        before_first_save += not any(run.glob("checkpoints/*.ckpt"))
    code, said = run_to_end(changed(config, folder=run, **often), tmp_path / "last.log", 3600)
    assert code == 0, said
    resumed = log.read_text().count("resuming from")
    assert "damaged" not in said
    assert "Traceback" not in said
    assert_same_result(tmp_path / "undisturbed", run)
    assert [row["epoch"] for row in rows_of(run)] == list(range(1, EPOCHS + 1))
    assert {path.name for path in run.glob("checkpoints/*")} == {
        f"model_epoch_{EPOCHS - each}.ckpt" for each in range(3)
    }
    assert not any(run.rglob("*.part"))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{kills} kills in {time.monotonic() - began:.0f} s: {while_writing} while a file was being written, "
            f"{before_first_save} before the first checkpoint, {resumed} went on from a checkpoint\n"
        )
