"""A stage is a type of settings, a few functions and a config: it runs, resumes, is swept and chained as training is.

tests/slurm/test_other_stages.py sends the same one to a real SLURM.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import TINY, subprocess_environment, write_clips

HERE = Path(__file__).parent
OPTIONS = HERE / "own_options"
COUNT = [
    sys.executable,
    "-c",
    "from parc.stages.command import run_verb; run_verb('count')",
    "--config-dir",
    str(OPTIONS),
]


@pytest.fixture
def environment(tmp_path, monkeypatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    return subprocess_environment() | {"PYTHONPATH": str(HERE)}


def said(command: list[str], environment: dict[str, str], code: int = 0) -> str:
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert answer.returncode == code, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def numbers(folder: str) -> list[int]:
    return [int(line) for line in Path(folder, "numbers").read_text().split()]


def test_it_goes_on_where_it_was_stopped_and_says_when_it_is_finished(environment):
    slowly = [*COUNT, "last=300", "seconds=0.02"]
    with subprocess.Popen(slowly, env=environment, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not Path("data/iter1/counted/numbers").exists():
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 75 and errors.startswith("stopped after ")
    assert "another config (last: 300 -> 5" in said([*COUNT, "seconds=0.02"], environment, code=1)
    slowly[-1] = "seconds=0.0"
    assert "another config (seconds: 0.02 -> 0.0" in said(slowly, environment, code=1)
    said([*COUNT, "last=300", "seconds=0.02"], environment)
    assert numbers("data/iter1/counted") == list(range(1, 301))
    assert "finished, there is nothing left to do" in said([*COUNT, "last=300", "seconds=0.02"], environment)


def test_its_config_is_checked_and_helped_with_like_any_other(environment):
    assert (
        said([*COUNT, "last=many"], environment, 1)
        == "error: last (override last=many): is 'many', expected a whole number\n"
    )
    assert "last: there is no such key" not in said([*COUNT, "--help"], environment)
    assert "Counting: a stage of one's own" in said([*COUNT, "--help"], environment)
    assert "lats: there is no such key; did you mean 'last'?" in said([*COUNT, "lats=3"], environment, 1)
    assert not Path("data").exists()


def test_it_is_swept_with_a_table_of_its_own_progress_and_figures(environment):
    table = said([*COUNT, "-m", "last=3,4", "output_dir=swept"], environment)
    assert "3/3 numbers" in table and "4/4 numbers" in table and "square" in table
    with Path("swept/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["state"], row["done"], row["unit"], float(row["square"])) for row in rows] == [
        ("finished", "3", "numbers", 9.0),
        ("finished", "4", "numbers", 16.0),
    ]
    # Whoever looks at the table needs none of the stage's code.
    assert "4/4 numbers" in said([sys.executable, "-m", "parc.sweep", "swept"], subprocess_environment())


def test_it_is_chained_after_training_and_takes_only_what_it_knows(environment, humanoid):
    write_clips(Path("clips"), humanoid)
    chain = [
        sys.executable,
        "-m",
        "parc.pipeline",
        "iterations=[iter1]",
        "+stages.count={}",
        "--config-dir",
        str(OPTIONS),
    ]
    words = said([*chain, *TINY, "last=4"], environment)
    assert words.index("stage=train") < words.index("stage=count")
    assert numbers("data/iter1/counted") == [1, 2, 3, 4]
    assert Path("data/iter1/p1_train_gen/final_model.ckpt").is_file()
    assert "the chain is finished" in said([*chain, *TINY, "last=4"], environment)
    for misspelled in ("lasst=4", "+tariner.epochs=3"):
        key = misspelled.lstrip("+").partition("=")[0].partition(".")[0]
        assert f"{key}: there is no such key" in said([*chain, *TINY, misspelled], environment, 1)


def test_its_config_is_no_other_stages(environment):
    said([*COUNT, "last=2"], environment)
    kept = "data/iter1/counted/count_config.yaml"
    answer = said([sys.executable, "-m", "parc.train", "--config", kept, "stage=counting.COUNT"], environment, 1)
    assert "this is the config of another stage; give it to `python -m parc.count`" in answer
    assert numbers("data/iter1/counted") == [1, 2]


def test_a_finished_run_that_was_killed_before_it_said_so_says_so_when_it_is_asked_again(environment):
    said([*COUNT, "last=2"], environment)
    word = Path("data/iter1/counted/progress.json")
    word.write_text(word.read_text().replace("true", "false"))
    said([*COUNT, "last=2"], environment)
    assert '"finished": true' in word.read_text() and '"square": 4' in word.read_text()


def test_a_config_from_elsewhere_imports_no_module_that_the_user_did_not_name(environment, tmp_path):
    trap = tmp_path / "trap.py"
    trap.write_text("from pathlib import Path\nPath('it_ran').touch()\nSTAGE = 1\n")
    theirs = tmp_path / "mdm_config.yaml"
    for text in ("stage: trap.STAGE", "stage: parc.training.stage.TRAIN\nmodel: {_target_: trap.Model}"):
        theirs.write_text(f"version: 2\n{text}\n")
        for place in ({"PYTHONPATH": str(tmp_path)}, {}):
            answer = said([sys.executable, "-m", "parc.train", "--config", str(theirs)], environment | place, 1)
            assert "'trap' is of a package that a file names, and neither your command" in answer
            assert not Path("it_ran").exists()
    # It can be seen to run: named by the command itself, it is imported.
    named = [sys.executable, "-m", "parc.train", "--config", str(theirs), "model._target_=trap.Model"]
    assert "is no class of trap" in said(named, environment | {"PYTHONPATH": str(tmp_path)}, 1)
    assert Path("it_ran").exists()
