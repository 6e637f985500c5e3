"""A run of `python -m parc.generate` that is killed (SIGKILL) at random moments, and started again each time."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from generating_runs import QUICK, contents

from command_line import subprocess_environment
from walker import write_walker

KILLS = int(os.environ.get("PARC_TEST_KILLS", 8))
HERE = Path(__file__).parent
MOTIONS = 24


def num_clips(folder: Path) -> int:
    """Count what is whole: a process may be writing beside it."""
    return len(list(folder.glob("flat/*.safetensors")))


@pytest.mark.slow
def test_kills_at_random_moments_change_no_clip(humanoid, tmp_path):
    write_walker(tmp_path / "walker.ckpt", humanoid, sway=1e-3)
    modules = [str(HERE), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = subprocess_environment() | {"PYTHONPATH": os.pathsep.join(modules)}
    command = [sys.executable, "-m", "parc.generate", "model_path=walker.ckpt", *QUICK, f"num_motions={MOTIONS}"]

    def generate(*more: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*command, *more], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)

    began = time.monotonic()
    with generate("output_dir=undisturbed") as process:
        assert process.wait(timeout=300) == 0, process.stderr and process.stderr.read()
    seconds = time.monotonic() - began

    moments, folder, saved = random.Random(0), tmp_path / "data/iter1/p2_kin_gen", 0
    for _ in range(KILLS):
        with generate() as process:
            until = time.monotonic() + seconds
            # Most of the time goes before the first clip; every other kill comes when one more is there.
            while num_clips(folder) <= saved and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(moments.uniform(0.0, 0.3))
            process.kill()
        saved = num_clips(folder)
    with generate() as process:
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0, said
    assert contents(folder) == contents(tmp_path / "undisturbed") and len(contents(folder)) == 2 * MOTIONS
    assert not list(folder.rglob("*.part"))
