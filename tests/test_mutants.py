import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.slow
def test_every_fault_is_seen_by_its_test_without_the_shared_folder():
    run = subprocess.run([sys.executable, "tests/mutants.py"], cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("seen: ") > 30
