"""Thousands of clips, some damaged, killed half way: the same command finishes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parc.anim.clip_files import read_clip, write_clip
from synthetic_clips import random_clip

CLIPS, DAMAGED = 2000, 20


@pytest.fixture(scope="module")
def tree(tmp_path_factory, humanoid) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    content = None
    for number in range(CLIPS):
        path = folder / f"class_{number % 7}" / f"clip_{number:04d}.safetensors"
        path.parent.mkdir(exist_ok=True)
        if content is None:
            write_clip(path, random_clip(humanoid, name=path.stem))
            content = path.read_bytes()
        else:
            path.write_bytes(content if (number + 1) % (CLIPS // DAMAGED) else content[: number % 977])
    return folder


def started(tree: Path, destination: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "parc.convert", str(tree), str(destination), "--to", "clips", "--processes", "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def made_in(destination: Path) -> list[Path]:
    found = []
    for place, folders, files in os.walk(destination):  # which does not mind that folders come and go
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if name.endswith(".safetensors")]
    return sorted(found)


@pytest.mark.slow
def test_a_tree_with_damaged_clips_killed_half_way_is_finished_by_the_same_command(tree, tmp_path, humanoid):
    destination = tmp_path / "made"
    first = started(tree, destination)
    while len(made_in(destination)) < CLIPS // 2:
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {path: path.stat().st_mtime_ns for path in made_in(destination)}
    assert CLIPS // 2 <= len(before) < CLIPS - DAMAGED
    for path in list(before)[:: len(before) // 10]:
        read_clip(path, humanoid)  # whole
    second = started(tree, destination)
    out, err = second.communicate(timeout=600)
    assert second.returncode == 1
    assert f"{DAMAGED} refused, all others are converted" in err
    assert "sources were converted before" in out
    made = made_in(destination)
    assert len(made) == CLIPS - DAMAGED
    kept = sum(before.get(path) == path.stat().st_mtime_ns for path in made)
    assert kept >= len(before) - 2  # those that were being moved
    assert len((destination / "refused.txt").read_text().splitlines()) == DAMAGED
    assert not list(destination.glob(".*.converting"))


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_and_leaves_nothing_half_written(tree, tmp_path):
    destination = tmp_path / "made"
    process = started(tree, destination)
    while len(made_in(destination)) < 50:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err, err
    assert err.endswith(f"of {CLIPS} are done; the same command goes on\ninterrupted\n")
    assert not list(destination.glob(".*.converting"))
