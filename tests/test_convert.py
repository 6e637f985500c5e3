"""The verb `python -m parc.convert`: motions, models and settings, as a person gives them."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import Answer
from parc import convert
from parc.anim.clip_files import read_clip, write_clip
from parc.configuration.errors import exit_with_one_line
from parc.exchange.formats import FORMATS
from synthetic_clips import random_clip

RUN_OF_VERSION_1 = Path(__file__).parent / "runs_of_version_1/data/iter1/p1_train_gen"


@pytest.fixture
def verb(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("parc")
    for name, value in (("handlers", []), ("propagate", logger.propagate), ("level", logger.level)):
        monkeypatch.setattr(logger, name, value)  # set by the command, and set back after the test

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["convert.py", *map(str, arguments)])
        capfd.readouterr()
        try:
            exit_with_one_line(convert.main)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return run


def test_the_help_names_every_format():
    assert tuple(FORMATS) == convert.FORMAT_NAMES
    assert all(f"  {name} " in convert.HELP for name in FORMATS)


def test_help_needs_nothing_heavy():
    """Whoever asks what to type gets an answer at once."""
    code = "import sys, parc.convert; parc.convert.parsed(['a', 'b']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("to", [None, *FORMATS])
def test_the_five_real_clips_to_every_format(verb, clips_folder, tmp_path, humanoid, to):
    answer = verb(clips_folder, "made", *(["--to", to] if to else []))
    assert answer.code == 0, answer.err
    assert "5 clips" in answer.out and "(20 s of motion) made" in answer.out
    again = verb(clips_folder, "made", *(["--to", to] if to else []))
    assert "5 sources were converted before" in again.out
    if to == "parc":  # and back
        assert (tmp_path / "made" / "motions.yaml").is_file()
        assert verb("made", "back").code == 0
        for path in clips_folder.glob("*.pkl"):
            ours, back = read_clip(path, humanoid), read_clip(tmp_path / "back" / f"{path.stem}.safetensors", humanoid)
            assert all((vars(ours.frames)[name] == vars(back.frames)[name]).all() for name in vars(ours.frames))
            assert (ours.terrain.heights == back.terrain.heights).all()


def test_clips_of_ours_want_to_know_into_what(verb, humanoid, tmp_path):
    write_clip(tmp_path / "clips" / "a.safetensors", random_clip(humanoid, name="a", frames=5))
    answer = verb("clips", "made")
    assert (answer.code, answer.err) == (
        1, "error: clips: these are clips of ours; say what to make of them, --to parc or mimickit or protomotions or mujoco "
        "or bvh or glb\n",
    )  # fmt: skip
    assert not (tmp_path / "made").exists()


def test_what_is_refused_is_said_and_kept_and_the_exit_code_is_not_0(verb, humanoid, tmp_path):
    for name in "abc":
        write_clip(tmp_path / "clips" / f"{name}.safetensors", random_clip(humanoid, name=name, frames=5))
    (tmp_path / "clips" / "b.safetensors").write_bytes(b"nothing")
    answer = verb("clips", "made", "--to", "glb")
    assert answer.code == 1
    assert answer.err.startswith("refused: clips/b.safetensors: not a whole safetensors file")
    assert answer.err.endswith("1 refused, all others are converted\n")
    assert (tmp_path / "made" / "refused.txt").read_text().count("\n") == 1
    shutil.copy(tmp_path / "clips" / "a.safetensors", tmp_path / "clips" / "b.safetensors")
    assert verb("clips", "made", "--to", "glb").code == 0
    assert not (tmp_path / "made" / "refused.txt").exists()


def test_settings_of_parcs_become_an_experiment(verb, tmp_path):
    (tmp_path / "mdm_config.yaml").write_text("batch_size: 32\nepochs_per_checkpoint: 5\nmystery: 1\n")
    answer = verb("mdm_config.yaml", "made")
    assert answer.code == 0, answer.err
    assert "mystery: has no counterpart" in answer.out
    assert "python -m parc.train --config-dir made experiment=mdm_config" in answer.out
    assert "batch_size: 32" in (tmp_path / "made" / "experiment" / "mdm_config.yaml").read_text()
    again = verb("mdm_config.yaml", "made")
    assert (again.code, again.err) == (
        1, "error: made/experiment/mdm_config.yaml: is there already; choose another folder\n",
    )  # fmt: skip


def test_a_model_goes_to_parc_and_comes_back(verb, tmp_path):
    assert verb(RUN_OF_VERSION_1, "theirs", "--to", "parc").code == 0
    answer = verb("theirs/final_model.ckpt", "ours")
    assert answer.code == 0, answer.err
    assert "model_path=ours generates with it" in answer.out
    refused = verb("ours", "again")
    assert (refused.code, refused.err) == (1, "error: ours: a model of ours; say what to make of it, --to parc\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "made"], "nowhere: there is no such file or folder; expected clips"),
        (["nothing.yaml", "made"], "nothing.yaml: neither a manifest nor a config of PARC's"),
        (["--download", "holosoma", "a", "made"], "expected either SOURCE and DEST, or --download and DEST"),
        (["made"], "expected either SOURCE and DEST, or --download and DEST"),
        (["a", "made", "--processes", "0"], "--processes is 0, expected 1 or more"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(verb, tmp_path, arguments, said):
    (tmp_path / "nothing.yaml").write_text("a: 1\n")
    answer = verb(*arguments)
    assert answer.code != 0
    assert said in answer.err.splitlines()[-1]
    assert not (tmp_path / "made").exists()


def test_a_package_that_cannot_be_fetched_is_one_line(verb, monkeypatch):
    monkeypatch.setitem(convert.PACKAGES, "holosoma", "parc-has-no-such-package==9.9")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    answer = verb("--download", "holosoma", "made")
    assert answer.code == 1
    assert answer.err.count("\n") == 1 and "pip could not fetch parc-has-no-such-package==9.9" in answer.err
