"""Compiled training steps: what they give, and what is said where they cannot be compiled. In processes without type checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_runs import TINY, assert_same_result, result, write_clips

# The loss with every term that looks for ground, and dropout: what does not compile by itself.
OVERRIDES = [*TINY, "loss=with_contacts", "model.denoiser.dropout=0.1"]


@pytest.fixture(scope="module")
def place(humanoid, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compiling")
    write_clips(folder / "clips", humanoid)
    return folder


def train(place: Path, name: str, *overrides: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = [f"dataset.motion_lib_file={place / 'clips'}", f"data_dir={place}", f"output_dir={place / name}"]
    command = [sys.executable, "-m", "parc.train", *OVERRIDES, *given, *overrides]
    kept = {"TORCHINDUCTOR_CACHE_DIR": str(place / "compiled")}
    return subprocess.run(command, env=os.environ | kept | environment, capture_output=True, text=True)


@pytest.mark.slow
def test_a_compiled_training_is_one_program_and_gives_what_another_does_and_resumes_exactly(place):
    assert train(place, "plain").returncode == 0
    ran = train(place, "compiled", "trainer.compile=true", TORCH_LOGS="graph_breaks,recompiles")
    assert ran.returncode == 0, ran.stderr
    assert "compiling the training step" in ran.stdout
    assert "break" not in ran.stderr.lower() and "recompil" not in ran.stderr.lower()
    for epochs in (1, 3):
        assert train(place, "in two parts", "trainer.compile=true", f"trainer.epochs={epochs}").returncode == 0
    assert_same_result(place / "compiled", place / "in two parts")
    for row, plain in zip(result(place / "compiled")[2], result(place / "plain")[2], strict=True):
        assert row == pytest.approx(plain, rel=1e-3)


@pytest.mark.slow
def test_without_a_compiler_one_line_says_so(place):
    cache = str(place / "compiled without a compiler")
    ran = train(place, "uncompiled", "trainer.compile=true", CXX="/no/such/compiler", TORCHINDUCTOR_CACHE_DIR=cache)
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    last = ran.stderr.strip().splitlines()[-1]
    assert "is true, but torch.compile failed (InvalidCxxCompiler" in last and "trainer.compile=false" in last
