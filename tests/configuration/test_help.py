"""--help and --cfg job: what they show, and that they import nothing heavy."""

import subprocess
import sys

import pytest

from command_line import subprocess_environment
from parc.configuration.hydra_help import conf_folder, options_for

COMMAND = (
    "import sys; import parc.train; from parc.stages.command import run_verb\n"
    "try: run_verb('train')\n"
    "finally: sys.stdout.flush(); print('heavy:', sorted({'torch', 'wandb', 'submitit', 'scipy', 'mujoco'} & set(sys.modules)))"
)


def said(tmp_path, *arguments: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=tmp_path,
        env=subprocess_environment(),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert not list(tmp_path.iterdir())
    return answer.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["--cfg", "job", "model=mdm_small", "seed=3"]])
def test_help_and_cfg_import_no_heavy_library(tmp_path, arguments):
    assert "heavy: []" in said(tmp_path, *arguments)


def test_help_shows_every_option_of_every_group_with_a_line_and_the_overrides_people_need(shell):
    answer = shell.train("--help")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    for option in options_for("train", [conf_folder()]):
        group, _, name = option.rpartition("/")
        if group.startswith("hydra") and group != "hydra/launcher":
            continue
        place = lines.index(f"  {group}")
        rows = list(lines[place + 1 : place + 20])
        (row,) = [row for row in rows if row.removeprefix("   *").split()[:1] == [name]][:1]
        assert len(row.removeprefix("   *").split()) > 3, f"{option} is not explained"
    assert [row.split()[1] for row in lines if row.startswith("   * ")] == [
        "humanoid", "iter1", "local", "iter1", "wandb", "squared_l2", "mdm", "mdm_transformer", "none",
        "heightfield_contact", "maxpool_and_boxes", "default",
    ]  # fmt: skip
    needed = answer.out.partition("The overrides people need:\n")[2].partition("\n\n")[0]
    assert len(needed.splitlines()) == 11
    assert "--config RUN/mdm_config.yaml" in answer.out


def test_help_shows_no_group_that_the_verb_cannot_take(shell):
    assert (conf_folder() / "terrain").is_dir()
    assert "  terrain\n" not in shell.train("--help").out


def test_help_shows_the_users_own_options_whatever_is_in_their_comments(shell):
    own = shell.folder / "mine" / "model"
    own.mkdir(parents=True)
    (own / "huge.yaml").write_text("# Costs $100 and 100 %\ndefaults:\n  - mdm\ndenoiser: {d_model: 2048}\n")
    answer = shell.train("--config-dir", "mine", "--help")
    assert answer.code == 0, answer.err
    assert "huge                       Costs $100 and 100 %" in answer.out


def test_cfg_shows_a_config_and_makes_nothing(shell):
    answer = shell.train("--cfg", "job", "model=mdm_small")
    assert answer.code == 0
    assert "  denoiser:\n" in answer.out
    assert "    d_model: 64\n" in answer.out
    assert "seed: 0\n" in answer.out
    assert shell.files() == []
