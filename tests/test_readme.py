"""Every command of the README that can run here does what the README says, pasted into one shell after another."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]

# Trainings of the README take minutes to days; the same ones take seconds with these added.
SHORT = "trainer.epochs=2 trainer.iters_per_epoch=30 trainer.batch_size=4 device=cpu logger=off"
ELSEWHERE = {
    "make ": "CI runs make demo and make test themselves",
    "slurm": "tests/slurm sends jobs to a real SLURM",
}


def readme_commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def runnable_commands() -> list[str]:
    return [command for command in readme_commands() if not any(word in command for word in ELSEWHERE)]


def shortened(command: str, clips: Path) -> str:
    command = command.replace("CLIPS", shlex.quote(str(clips)))
    trains = "parc.train" in command and not any(flag in command for flag in ("--help", "--cfg"))
    return f"{command} {SHORT}" if trains else command


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("DATA_DIR", None)
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_readme_names_commands_for_everything_a_user_does_next():
    commands = "\n".join(readme_commands())
    for word in (
        "make demo",
        "make test",
        "parc.dataset",
        "parc.train -m",
        "iteration=iter2",
        "parc.pipeline",
        "parc.picture",
    ):
        assert word in commands
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) < 250


def test_every_command_of_the_readme_works_as_pasted(tmp_path, clips_folder):
    demo = run(f"python -m parc.train experiment=demo {SHORT}", tmp_path)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    for command in runnable_commands():
        done = run(shortened(command, clips_folder), tmp_path)
        said = done.stdout + done.stderr
        assert "Traceback" not in said, f"{command}\n{said}"
        assert done.returncode == 0, f"{command}\n{said}"
    for made in (
        "motions.yaml",
        "motions.png",
        "data/iter2/p1_train_gen/final_model.ckpt",
        "data/width/sweep.csv",
        "demo.png",
    ):
        assert (tmp_path / made).is_file(), made
