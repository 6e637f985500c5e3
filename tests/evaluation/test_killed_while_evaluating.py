"""An evaluation that is killed (SIGKILL) at random moments, and started again each time; and a sweep of evaluations."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import subprocess_environment
from walker import write_walker

TESTS = Path(__file__).parents[1]
QUICK = [
    "model_packages=[walker]", "device=cpu", "threads=1", "logger=off", "preset.paths=4", "preset.bootstrap_draws=50",
    "rollout.candidates=2", "paths_at_once=1", "path.min_distance=2.0", "~terrains.paths", "~terrains.boxes",
    "terrains.flat.cells_x=10", "terrains.flat.cells_y=10", "terrains.stairs.cells_x=10", "terrains.stairs.cells_y=10",
]  # fmt: skip


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    modules = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = subprocess_environment() | {"PYTHONPATH": os.pathsep.join(modules)}
    command = [sys.executable, "-m", "parc.evaluate", *QUICK, *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def found(folder: Path) -> dict:
    result = json.loads((folder / "evaluation.json").read_text())
    result.pop("speed")
    return result


@pytest.mark.slow
def test_kills_at_random_moments_change_no_figure(humanoid, tmp_path):
    write_walker(tmp_path / "walker.ckpt", humanoid, sway=1e-3)
    with start(tmp_path, "walker.ckpt", "output_dir=undisturbed") as process:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "FWD" in out
    lines, moments = tmp_path / "evaluation/quick_walker/measured.jsonl", random.Random(0)
    for kill in range(4):
        with start(tmp_path, "walker.ckpt") as process:
            until = time.monotonic() + 120
            while process.poll() is None and time.monotonic() < until:
                if lines.is_file() and lines.read_bytes().count(b"\n") > 1 + 2 * kill:
                    break
                time.sleep(0.01)
            time.sleep(moments.uniform(0.0, 0.2))
            process.kill()
    with start(tmp_path, "walker.ckpt") as process:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    assert found(lines.parent) == found(tmp_path / "undisturbed")
    assert not list(lines.parent.rglob("*.part"))


@pytest.mark.slow
def test_a_sweep_over_models_ends_in_one_table_and_one_plot(humanoid, tmp_path):
    for name, sway in (("first", 1e-3), ("second", 0.2)):
        write_walker(tmp_path / name / "final_model.ckpt", humanoid, sway=sway)
    with start(tmp_path, "first", "second", "preset.paths=1") as process:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    folder = tmp_path / "evaluation/quick"
    for heading in ("finished (%)", "FWD (m)", "TPL (m)", "foot slide (cm/s)", "HJF (%)"):
        assert heading in (folder / "sweep.csv").read_text().splitlines()[0]
    assert f"picture: {folder}/evaluations.png" in out and (folder / "evaluations.png").is_file()
    assert len(list(folder.glob("*/evaluation.json"))) == 2
