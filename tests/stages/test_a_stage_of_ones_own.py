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

import forked_jobs
import parc.pipeline
from command_line import TINY, subprocess_environment, write_clips
from parc.cluster import local
from parc.cluster.chain import run_chain
from parc.configuration.errors import UserError

HERE = Path(__file__).parent
OPTIONS = HERE / "own_options"
COUNT = ["count", "--config-dir", str(OPTIONS)]


@pytest.fixture
def environment(tmp_path, monkeypatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    places = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess_environment() | {"PYTHONPATH": os.pathsep.join(places)}


@pytest.fixture
def jobs_are_forked(monkeypatch):
    monkeypatch.setattr(local, "_run_job", forked_jobs.run_job)


def said(command: list[str], environment: dict[str, str], code: int = 0) -> str:
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert answer.returncode == code, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def numbers(folder: str) -> list[int]:
    return [int(line) for line in Path(folder, "numbers").read_text().split()]


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped_and_says_when_it_is_finished(shell, environment, caplog):
    program = "from parc.stages.command import run_verb; run_verb('count')"
    slowly = ["--config-dir", str(OPTIONS), "last=300", "seconds=0.02"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *slowly], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + 60
        while not Path("data/iter1/counted/numbers").exists():
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 75 and errors.startswith("stopped after ")
    assert "another config (last: 300 -> 5" in shell.run(*COUNT, "seconds=0.02").err
    assert "another config (seconds: 0.02 -> 0.0" in shell.run(*COUNT, "last=300", "seconds=0.0").err
    assert shell.run("count", *slowly).code == 0
    assert numbers("data/iter1/counted") == list(range(1, 301))
    assert shell.run("count", *slowly).code == 0
    assert "finished, there is nothing left to do" in caplog.text


def test_its_config_is_checked_and_helped_with_like_any_other(shell):
    answer = shell.run(*COUNT, "last=many")
    assert (answer.code, answer.err) == (1, "error: last (override last=many): is 'many', expected a whole number\n")
    words = shell.run(*COUNT, "--help").out
    assert "last: there is no such key" not in words
    assert "Counting: a stage of one's own" in words
    assert "lats: there is no such key; did you mean 'last'?" in shell.run(*COUNT, "lats=3").err
    assert not Path("data").exists()


def test_it_is_swept_with_a_table_of_its_own_progress_and_figures(shell, jobs_are_forked):
    table = shell.run(*COUNT, "-m", "last=3,4", "output_dir=swept").out
    assert "3/3 numbers" in table and "4/4 numbers" in table and "square" in table
    with Path("swept/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["state"], row["done"], row["unit"], float(row["square"])) for row in rows] == [
        ("finished", "3", "numbers", 9.0),
        ("finished", "4", "numbers", 16.0),
    ]
    # Whoever looks at the table needs none of the stage's code.
    assert "4/4 numbers" in said([sys.executable, "-m", "parc.sweep", "swept"], subprocess_environment())


def test_it_is_chained_after_training_and_takes_only_what_it_knows(
    shell, humanoid, jobs_are_forked, monkeypatch, capfd, caplog
):
    monkeypatch.setattr(sys, "argv", [parc.pipeline.__file__])
    write_clips(Path("clips"), humanoid)
    chain = ["iterations=[iter1]", "+stages.count={}", "~stages.generate", "~stages.correct", *TINY]
    shell.as_in_a_process_of_its_own()
    run_chain([*chain, "last=4"], OPTIONS)
    words = capfd.readouterr().out
    assert words.index("stage=train") < words.index("stage=count")
    assert numbers("data/iter1/counted") == [1, 2, 3, 4]
    assert Path("data/iter1/p1_train_gen/final_model.ckpt").is_file()
    run_chain([*chain, "last=4"], OPTIONS)
    assert "the chain is finished" in caplog.text
    for misspelled in ("lasst=4", "+tariner.epochs=3"):
        key = misspelled.lstrip("+").partition("=")[0].partition(".")[0]
        with pytest.raises(UserError, match=f"{key}: there is no such key"):
            run_chain([*chain, misspelled], OPTIONS)


def test_its_config_is_no_other_stages(shell):
    assert shell.run(*COUNT, "last=2").code == 0
    kept = "data/iter1/counted/count_config.yaml"
    answer = shell.train("--config", kept, "stage=counting.COUNT")
    assert answer.code == 1
    assert "this is the config of another stage; give it to `python -m parc.count`" in answer.err
    assert numbers("data/iter1/counted") == [1, 2]


def test_a_finished_run_that_was_killed_before_it_said_so_says_so_when_it_is_asked_again(shell):
    assert shell.run(*COUNT, "last=2").code == 0
    word = Path("data/iter1/counted/progress.json")
    word.write_text(word.read_text().replace("true", "false"))
    assert shell.run(*COUNT, "last=2").code == 0
    assert '"finished": true' in word.read_text() and '"square": 4' in word.read_text()


def test_a_config_from_elsewhere_imports_no_module_that_the_user_did_not_name(
    shell, environment, tmp_path, monkeypatch
):
    (tmp_path / "trap.py").write_text("from pathlib import Path\nPath('it_ran').touch()\nSTAGE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    theirs = tmp_path / "mdm_config.yaml"
    refusal = "'trap' is of a package that a file names, and neither your command"
    for text in ("stage: trap.STAGE", "stage: parc.training.stage.TRAIN\nmodel: {_target_: trap.Model}"):
        theirs.write_text(f"version: 2\n{text}\n")
        answer = shell.train("--config", str(theirs))
        assert answer.code == 1 and refusal in answer.err
        assert not Path("it_ran").exists()
    # As in a process of its own, where the current folder is among those that modules are imported from.
    assert refusal in said([sys.executable, "-m", "parc.train", "--config", str(theirs)], environment, 1)
    assert not Path("it_ran").exists()
    # It can be seen to run: named by the command itself, it is imported.
    assert "is no class of trap" in shell.train("--config", str(theirs), "model._target_=trap.Model").err
    assert Path("it_ran").exists()
    del sys.modules["trap"]
