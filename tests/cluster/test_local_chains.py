"""Chains of iterations on one machine: in order, each from the one before, and refused before anything starts."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

import forked_jobs
import parc.pipeline
from command_line import ANYTHING_GOES, TINY, write_clips
from parc.anim.clip_files import write_clip
from parc.cluster import local
from parc.cluster.chain import run_chain
from parc.configuration.errors import UserError
from parc.motion_generator.checkpoint import read_checkpoint
from parc.motion_generator.checkpoint_files import FINAL_CHECKPOINT
from parc.motion_synthesis.generated import read_generated
from parc.physics.corrected import read_corrected
from synthetic_clips import random_clip
from taken_as_physical import TAKEN_AS_PHYSICAL

TRAIN_ONLY = ["~stages.generate", "~stages.correct"]
CHAIN = [*TINY, *TRAIN_ONLY, "iteration.new_motions=null"]
ROUND = ["iterations=[iter1,iter2]", *TINY, *ANYTHING_GOES, "terrain=flat", "num_motions=2"]


@pytest.fixture
def workplace(shell, humanoid, monkeypatch) -> Path:
    monkeypatch.setattr(sys, "argv", [parc.pipeline.__file__])
    write_clips(shell.folder / "clips", humanoid)
    return shell.folder


def previous_run(iteration: str, data: str = "data") -> str | None:
    config = yaml.safe_load(Path(data, iteration, "p1_train_gen", "mdm_config.yaml").read_text())
    return config["iteration"]["previous_run"]


@pytest.mark.slow
def test_iterations_without_a_file_go_on_from_the_one_before(workplace, monkeypatch):
    monkeypatch.setattr(local, "_run_job", forked_jobs.run_job)
    run_chain(["iterations=[iter1,iter2,polish]", *CHAIN])
    assert previous_run("iter1") is None
    assert previous_run("iter2") == str(workplace / "data/iter1/p1_train_gen")
    assert previous_run("polish") == str(workplace / "data/iter2/p1_train_gen")

    # What the first is to start from is not what the later ones start from.
    elsewhere = str(workplace / "data/polish/p1_train_gen")
    later = [each for each in CHAIN if not each.startswith("dataset")]
    run_chain(["iterations=[iter4,iter5]", *later, "data_dir=more", f"iteration.previous_run={elsewhere}"])
    assert previous_run("iter4", "more") == elsewhere
    assert previous_run("iter5", "more") == str(workplace / "more/iter4/p1_train_gen")


def trained_on(iteration: str) -> list[str]:
    config = yaml.safe_load(Path("data", iteration, "p1_train_gen", "mdm_config.yaml").read_text())
    return config["dataset"]["clips"]["motion_lib_file"]


def test_a_round_trains_generates_corrects_and_trains_on_what_was_corrected(workplace, monkeypatch, caplog):
    monkeypatch.setattr(local, "_run_job", forked_jobs.run_job)
    caplog.set_level("INFO", "parc")
    run_chain([*ROUND, TAKEN_AS_PHYSICAL])
    corrected = workplace / "data/iter1/p4_phys_record"
    names = {path.stem for path in corrected.rglob("*.safetensors")}
    assert names == {
        f"iter1_flat_seed0_00000{number}_physical{mirrored}" for number in range(2) for mirrored in ("", "_mirrored")
    }
    assert trained_on("iter2") == [str(workplace / "clips"), str(corrected)]
    checkpoint = read_checkpoint(workplace / "data/iter2/p1_train_gen" / FINAL_CHECKPOINT)
    assert {name for name in checkpoint.clips if name.startswith("iter1_")} == names
    # What the second iteration makes is made with its own model.
    made_by = read_generated(workplace / "data/iter2/p2_kin_gen")
    assert made_by and made_by.model == str(workplace / "data/iter2/p1_train_gen" / FINAL_CHECKPOINT)
    assert set(read_corrected(workplace / "data/iter2/p4_phys_record").clips) == {
        f"iter2_flat_seed0_00000{number}" for number in range(2)
    }
    run_chain([*ROUND, TAKEN_AS_PHYSICAL])
    assert "the chain is finished" in caplog.text


@pytest.mark.slow
def test_motions_of_which_none_becomes_physical_end_a_round_in_one_line(workplace, humanoid, monkeypatch, capfd):
    """Nobody trains on what was generated beside them either."""
    monkeypatch.setattr(local, "_run_job", forked_jobs.run_job)
    clip = random_clip(humanoid, 1, name="elsewhere_at_once", frames=12)
    there = clip.root_pos + torch.tensor([100.0, 0.0, 0.0]) * (torch.arange(12) > 5)[:, None]
    write_clip(Path("jumps/elsewhere_at_once.safetensors"), replace(clip, root_pos=there))
    with pytest.raises(SystemExit):
        run_chain([*ROUND, "motions=jumps"])
    refusal = f"error: motions {workplace}/jumps: none of 1 became physical (the first: frame 5: the root moves at "
    assert refusal in capfd.readouterr().out
    assert not Path("data/iter2").exists()


@pytest.mark.slow
def test_a_round_without_correction_trains_on_what_was_generated(workplace, monkeypatch, caplog):
    monkeypatch.setattr(local, "_run_job", forked_jobs.run_job)
    caplog.set_level("INFO", "parc")
    uncorrected = [*ROUND, "~stages.correct", "iteration.new_motions=${data_dir}/${iteration.previous}/p2_kin_gen"]
    run_chain(uncorrected)
    assert trained_on("iter2") == [str(workplace / "clips"), str(workplace / "data/iter1/p2_kin_gen")]
    # The first one has no iteration before it, whose motions it could name, and is what it is without that override.
    first = yaml.safe_load(Path("data/iter1/p1_train_gen/mdm_config.yaml").read_text())
    assert first["iteration"]["new_motions"] is None
    assert not list(Path("data").rglob("p4_phys_record"))
    run_chain(uncorrected)
    assert "the chain is finished" in caplog.text
    # As it is where the first of a chain follows one that is there already.
    run_chain(["iterations=[iter2]", *(each for each in uncorrected[1:] if not each.startswith("dataset"))])
    assert caplog.text.count("the chain is finished") == 2


def test_options_of_ones_own_can_be_chained(workplace):
    option = workplace / "mine" / "trainer" / "fast.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("# Mine\ndefaults:\n  - default\nlearning_rate: 0.5\n")
    run_chain(["iterations=[iter1]", *CHAIN, "trainer=fast"], workplace / "mine")
    config = yaml.safe_load(Path("data/iter1/p1_train_gen/mdm_config.yaml").read_text())
    assert config["trainer"]["learning_rate"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["iterations=[iter1,iter2]", "experiment=demo"], "/data/demo for both iter1 and iter2"),
        (["iterations=[iter1,iter2]", "output_dir=x"], "/x for both train of iter1 and generate of iter1"),
        (["iterations=[iter1]", "trainer=nope"], "iter1: trainer=nope: there is no such option"),
        (["iterations=[polish]"], "polish: iteration=polish: there is no such option"),
        (["iterations=[iter1]", "hydra.run.dir=x"], "hydra.run.dir (override hydra.run.dir=x): sets nothing here"),
        (["iterations=[iter1,iter1]"], "expected each one once"),
    ],
)
def test_a_chain_that_cannot_be_is_refused_before_anything_starts(shell, arguments, message):
    with pytest.raises(UserError) as refused:
        run_chain(arguments)
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert shell.files() == []
