"""What is held out is kept in a run, and the next iteration holds nothing out that was trained on."""

from training_runs import changed, composed, train

from parc.anim.clip_files import write_clip
from parc.motion_generator.checkpoint import read_checkpoint
from synthetic_clips import random_clip


def test_clips_that_an_iteration_trained_on_are_never_held_out_later(humanoid, tmp_path):
    clip = random_clip(humanoid, frames=20, cells=(6, 6))

    def write(folder, numbers):
        for number in numbers:
            write_clip(tmp_path / folder / f"clip_{number}.safetensors", clip)

    # 19 clips are too few to hold any out: the first iteration trains on 20, 24 and 28, which many clips would hold out.
    write("first", range(10, 29))
    write("data/iter1/p4_phys_record", [29, 71, 75])
    short = ["trainer.epochs=1", "trainer.iters_per_epoch=1", "trainer.ema_start_step=0", f"data_dir={tmp_path}/data"]
    train(composed(*short, f"dataset.motion_lib_file={tmp_path}/first"))
    second = composed(*short, "iteration=iter2", "dataset=of/iter2")
    train(second)
    checkpoint = read_checkpoint(tmp_path / "data/iter2/p1_train_gen/final_model.ckpt")
    assert checkpoint.split.heldout == {"clip_71", "clip_75"}
    assert checkpoint.split.trained == {f"clip_{number}" for number in range(10, 30)}
    # What was held out stays so when the run goes on, whatever else there is by then.
    train(changed(second, trainer__epochs=2))
    assert read_checkpoint(tmp_path / "data/iter2/p1_train_gen/final_model.ckpt").split == checkpoint.split
