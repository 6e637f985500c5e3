"""Going on with a run whose data folder has moved, whose iteration has more clips now, or whose version knew fewer settings."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from command_line import TINY, write_clips
from parc.configuration.composed import composed_config
from parc.configuration.composing import run_config
from parc.configuration.errors import UserError
from parc.configuration.hydra_help import conf_folder
from parc.configuration.marks import leaves
from parc.configuration.saved_config import read_saved_config
from parc.motion_generator.checkpoint import read_checkpoint
from parc.stages.resuming import resumed
from parc.stages.stage import read_run

RUN = "data/iter1/p1_train_gen"
IN_DATA = [each for each in TINY if not each.startswith("dataset.motion_lib_file")]


@pytest.fixture
def trained(shell, humanoid):
    write_clips(shell.folder / "data/clips", humanoid)
    assert shell.train(*IN_DATA, "dataset.motion_lib_file=data/clips").code == 0
    return shell


def test_a_run_goes_on_after_its_data_folder_was_renamed(trained):
    os.rename("data", "renamed")  # noqa: PTH104
    there = ["data_dir=renamed", "dataset.motion_lib_file=renamed/clips"]
    answer = trained.train(*IN_DATA, *there)
    assert (answer.code, answer.err) == (0, "")
    assert trained.train(*IN_DATA, *there, "trainer.epochs=2").code == 0
    assert read_checkpoint(Path("renamed/iter1/p1_train_gen/final_model.ckpt")).state["step"] == 2
    assert not Path("data").exists()


def test_what_lies_elsewhere_may_not_move(trained, humanoid):
    write_clips(trained.folder / "other", humanoid)
    answer = trained.train(*IN_DATA, "dataset.motion_lib_file=other")
    assert f"dataset.motion_lib_file: {trained.folder}/data/clips -> {trained.folder}/other" in answer.err


def test_the_next_iteration_finds_the_clips_of_one_that_was_moved_after_it_was_trained(trained):
    os.rename("data", "renamed")  # noqa: PTH104
    assert trained.train(*IN_DATA[1:], "data_dir=renamed", "iteration=iter2").code == 0
    found = yaml.safe_load(Path("renamed/iter2/p1_train_gen/mdm_config.yaml").read_text())["dataset"]["clips"]
    assert found["motion_lib_file"] == [f"{trained.folder}/renamed/clips"]


def test_an_iteration_trains_on_what_it_found_when_it_first_started(trained, humanoid):
    """Clips that appear later are for the next iteration: the same command goes on, and does not stop at another config."""
    second = [*IN_DATA[1:], "iteration=iter2"]
    assert trained.train(*second).code == 0
    write_clips(trained.folder / "data/iter1/p4_phys_record", humanoid, 1, first=7)
    answer = trained.train(*second)
    assert (answer.code, answer.err) == (0, "")
    assert trained.train(*second, "trainer.epochs=2").code == 0
    checkpoint = read_checkpoint(Path("data/iter2/p1_train_gen/final_model.ckpt"))
    assert checkpoint.state["step"] == 2
    assert list(checkpoint.clips) == ["clip_0", "clip_1"]
    # A run that begins now takes them.
    assert trained.train(*second, "output_dir=anew").code == 0
    assert list(read_checkpoint(Path("anew/final_model.ckpt")).clips) == ["clip_0", "clip_1", "clip_7"]
    # Other clips than it began with have to be asked for in another folder.
    answer = trained.train(*second, "iteration.new_motions=null")
    assert "was started with another config (dataset.new_motions: " in answer.err


def test_a_config_of_its_own_starts_the_same_run_again(trained):
    shutil.copy(f"{RUN}/mdm_config.yaml", "kept.yaml")
    answer = trained.train("--config", "kept.yaml")
    assert (answer.code, answer.err) == (0, "")
    assert trained.train("--config", "kept.yaml", "output_dir=again").code == 0
    first, second = (read_checkpoint(Path(run, "final_model.ckpt")) for run in (RUN, "again"))
    assert all((first.model[name] == second.model[name]).all() for name in first.model)


def test_a_setting_that_is_new_and_has_a_default_makes_no_older_run_unusable(shell):
    """The demo dataset's limits have defaults, and no config names them."""
    composed, _ = composed_config("train", ["logger=off", f"data_dir={shell.folder}"], [conf_folder()])
    config = run_config(composed)
    kept = read_run(config).settings.record.config
    for named, refused in ((15, False), (16, True)):
        now = {**config, "dataset": {**config["dataset"], "min_num_frames": named}}
        if refused:
            with pytest.raises(UserError, match=r"dataset\.min_num_frames: 15 -> 16"):
                resumed(read_run(now).settings, kept)
        else:
            resumed(read_run(now).settings, kept)


@dataclass(frozen=True)
class Inner:
    first: int = 1
    second: int = 2


class Outer:
    def __init__(self, old: int, new: Inner = Inner()) -> None:
        """A piece that got a setting of several keys."""


def test_a_new_setting_of_several_keys_is_compared_by_its_defaults():
    known = {key: leaf.value for key, leaf in leaves(Outer, {"old": 3}).items()}
    assert known == {"old": 3, "new.first": 1, "new.second": 2}


def test_nothing_of_a_kept_config_is_lost_or_changed_by_reading_it(trained):
    path = Path(RUN, "mdm_config.yaml")
    kept = read_saved_config(path)
    run = read_run(kept)
    assert run.settings.record.config == kept
    before = path.read_bytes()
    run.settings.record.write(path)
    assert path.read_bytes() == before
