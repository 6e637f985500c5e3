"""The wheel alone, away from the checkout."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from command_line import TINY, write_clips
from parc.configuration.hydra_help import conf_folder, options_for

REPOSITORY = Path(__file__).parents[2]

LIBRARIES = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The python of a fresh environment that holds the wheel, and borrows the libraries."""
    place = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--wheel-dir",
        place,
        REPOSITORY,
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    python = place / "venv" / "bin" / "python"
    line = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = Path(subprocess.run([python, "-c", line], capture_output=True, text=True, check=True).stdout.strip())
    (wheel,) = place.glob("parc-*.whl")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # A .pth file with the outer packages, but not the .pth files in there: one of them leads to the checkout.
    (packages / "libraries.pth").write_text(f"{LIBRARIES}\n")
    return python


def call(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("DATA_DIR", "PYTHONPATH")}
    return subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_what_the_checkout_alone_needs_is_not_in_the_wheel(installed):
    (packages,) = installed.parents[1].glob("lib/python*/site-packages")
    files = [path.relative_to(packages) for path in packages.rglob("*.py")]
    assert {path.parts[0] for path in files} == {"parc", "hydra_plugins"}
    assert not [path for path in files if "benchmark" in str(path)]


@pytest.mark.slow
def test_the_wheel_alone_shows_help_trains_and_sweeps(installed, tmp_path, humanoid):
    code = "import parc, hydra_plugins.parc_sweeper as s; print(parc.__file__); print(s.__file__)"
    where = call(installed, tmp_path, "-c", code)
    assert where.returncode == 0, where.stderr
    assert all(Path(line).is_relative_to(installed.parents[1]) for line in where.stdout.split())

    shown = call(installed, tmp_path, "-m", "parc.train", "--help")
    assert shown.returncode == 0, shown.stderr
    for option in options_for("train", [conf_folder()]):
        if not option.startswith("hydra/") or option.startswith("hydra/launcher/"):
            assert f" {option.rpartition('/')[2]} " in shown.stdout
    config = call(installed, tmp_path, "-m", "parc.train", "--cfg", "job", "model=mdm_small")
    assert "d_model: 64" in config.stdout

    write_clips(tmp_path / "clips", humanoid)
    trained = call(installed, tmp_path, "-m", "parc.train", *TINY)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "data/iter1/p1_train_gen/final_model.ckpt").is_file()
    swept = call(installed, tmp_path, "-m", "parc.train", *TINY, "output_dir=sweep", "-m", "seed=1,2")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert len(list((tmp_path / "sweep").glob("*/final_model.ckpt"))) == 2


@pytest.mark.slow
def test_the_wheel_alone_trains_the_demo(installed, tmp_path):
    short = ["trainer.epochs=1", "trainer.iters_per_epoch=2", "trainer.warmup_steps=1", "dataset.clips=7", "device=cpu"]
    trained = call(installed, tmp_path, "-m", "parc.train", "experiment=demo", *short)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "data/demo/final_model.ckpt").is_file()
    assert len(list((tmp_path / "data/demo_motions").rglob("*.safetensors"))) == 7
