"""Nothing is written where it may hit what is no run's, and overwriting deletes what a run wrote and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from command_line import TINY, write_clips
from parc.configuration.errors import UserError
from parc.stages.run_folder import lock_run_folder
from parc.stages.stage import read_run

RUN = Path("data/iter1/p1_train_gen")
WHAT = {
    "": "is empty",
    "/": "the root of the file system",
    "//": "the root of the file system",
    "/usr/..": "the root of the file system",
    "~": "the home folder",
    ".": "the home folder",
    "sub/..": "the home folder",
    "link": "the home folder",
    "link/sub/..": "the home folder",
    "$HOME": "the home folder",
    "$PARC_NOTHING": "is empty",
}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home folder, in which the shell is, with a link to itself."""
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PARC_NOTHING", "")
    monkeypatch.chdir(home)
    return home


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A config that nothing is wrong with."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from parc.configuration.composing import conf_folder, run_config

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return run_config(compose("train", [*TINY, f"data_dir={tmp_path_factory.mktemp('data')}"]))


@pytest.mark.parametrize("key", ["output_dir", "data_dir", "sampler.sampler_save_folder"])
@pytest.mark.parametrize("folder", WHAT, ids=lambda folder: folder or "empty")
def test_a_run_writes_into_no_folder_that_is_not_its_own(home, settings, key, folder):
    *groups, name = key.split(".")
    changed = {**settings, **{group: {**settings[group]} for group in groups}}
    place = changed[groups[0]] if groups else changed
    place[name] = folder
    with pytest.raises(UserError, match=rf"^{key}: .*{WHAT[folder]}.*expected a folder") as refused:
        read_run(changed)
    assert "\n" not in str(refused.value)


def test_the_demo_makes_its_clips_in_no_folder_that_is_not_its_own(home, settings):
    demo = {"_target_": "parc.demo_motions.dataset.DemoMotions", "clips": 2, "seed": 0, "folder": "~"}
    with pytest.raises(UserError, match=r"^dataset\.folder: .*the home folder"):
        read_run({**settings, "dataset": demo})


def test_an_empty_data_dir_names_where_it_comes_from_and_writes_nothing(shell, humanoid, monkeypatch):
    monkeypatch.setenv("DATA_DIR", "")
    # Wherever an empty one leads to, it must not be the root of the file system of whoever tests this.
    answer = shell.train(
        *TINY, f"output_dir={shell.folder}/run", f"sampler.sampler_save_folder={shell.folder}/prepared"
    )
    assert answer.code == 1
    assert answer.err.startswith("error: data_dir (in ") and "DATA_DIR" in answer.err
    assert answer.err.count("\n") == 1
    assert shell.files() == []


@pytest.mark.parametrize(
    "arguments", [[], ["overwrite=true"], ["-m", "seed=1,2"], ["-m", "seed=1,2", "overwrite=true"]]
)
def test_an_empty_output_dir_leaves_the_current_folder_as_it_is(shell, humanoid, arguments):
    write_clips(shell.folder / "clips", humanoid)
    (shell.folder / "mdm_config.yaml").write_text("precious")
    before = shell.files()
    answer = shell.train(*TINY, "output_dir=", *arguments)
    assert answer.code == 1
    assert "output_dir (override output_dir=): is empty, expected a folder" in answer.err
    assert answer.err.count("\n") == 1
    assert shell.files() == before


def test_the_jobs_of_a_sweep_lie_in_no_home_folder(shell, home, humanoid):
    answer = shell.train(*TINY, "output_dir=.", "-m", "seed=1,2")
    assert answer.code == 1
    assert "output_dir (override output_dir=.): is '.', the home folder" in answer.err
    assert sorted(path.name for path in home.iterdir()) == ["link", "sub"]


# ---- overwriting


@pytest.fixture
def run(shell, humanoid) -> Path:
    """A finished run, with what somebody else has put in its folder."""
    write_clips(shell.folder / "clips", humanoid)
    assert shell.train(*TINY).code == 0
    assert shell.train(*TINY, f"output_dir={RUN}/inner", "seed=7").code == 0
    for name in ("notes.txt", "checkpoints/model_epoch_1_best.ckpt", "metrics.jsonl.old", "poetry.lock"):
        (RUN / name).write_text("precious")
    return RUN


def test_overwriting_deletes_what_the_run_wrote_and_names_what_it_left(shell, run, caplog):
    inner = {path: path.read_bytes() for path in run.glob("inner/**/*") if path.is_file()}
    assert len(inner) > 5
    written = [run / name for name in ("final_model.ckpt", "metrics.jsonl", "checkpoints/model_epoch_1.ckpt")]
    before = {path: path.stat().st_mtime_ns for path in written}
    assert shell.train(*TINY, "seed=4", "overwrite=true").code == 0
    assert f"overwrite=true: {shell.folder}/{run}: left what such a run does not write: " in caplog.text
    assert "checkpoints/model_epoch_1_best.ckpt, inner, metrics.jsonl.old, notes.txt, poetry.lock" in caplog.text
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())
    for name in ("notes.txt", "checkpoints/model_epoch_1_best.ckpt", "metrics.jsonl.old", "poetry.lock"):
        assert (run / name).read_text() == "precious"
    assert {path: path.read_bytes() for path in inner} == inner


def test_what_a_run_leaves_is_all_on_its_list(shell, humanoid, caplog):
    write_clips(shell.folder / "clips", humanoid)
    (shell.folder / "nothing").mkdir()
    assert shell.train(*TINY).code == 0
    assert shell.train(*TINY, "dataset.motion_lib_file=nothing", "overwrite=true").code == 1
    assert (RUN / "mdm_config.yaml").exists()  # its inputs are looked at before anything is deleted
    assert shell.train(*TINY, "overwrite=true").code == 0
    assert "left what" not in caplog.text


def test_overwriting_is_refused_while_a_process_works_below(shell, run):
    program = (
        "import sys; from pathlib import Path; from parc.stages.run_folder import lock_run_folder\n"
        f"with lock_run_folder(Path({str(shell.folder / run / 'inner')!r})): print('locked', flush=True); input()"
    )
    before = {path: path.read_bytes() for path in run.glob("**/*") if path.is_file()}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        answer = shell.train(*TINY, "overwrite=true")
        process.communicate("go on\n", timeout=60)
    assert answer.code == 1
    assert answer.err.startswith(
        f"error: overwrite=true: {shell.folder}/{run}/inner: another process works in this folder"
    )
    assert f"process {process.pid}" in answer.err and answer.err.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_takes_away_nothing_that_another_program_left(shell, tmp_path):
    theirs = tmp_path / "theirs"
    for name in (".movie.mp4.part", "poetry.lock"):
        theirs.mkdir(exist_ok=True)
        (theirs / name).write_text("precious")
    with lock_run_folder(theirs):
        pass
    assert (theirs / "poetry.lock").read_text() == (theirs / ".movie.mp4.part").read_text() == "precious"
    (theirs / ".movie.mp4.part").unlink()
    with lock_run_folder(theirs):
        pass
    assert (theirs / "poetry.lock").read_text() == "precious"
