"""What all tests share: shapes checked at run time, the shared folder, the humanoid."""

import os
import signal
from pathlib import Path

# Tests run beside one another: threads that wait for each other's cores cost more than they bring. Set before torch is there.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A script that starts the tests in the background has them, and all that they start, ignore Ctrl+C; some press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from jaxtyping import install_import_hook

# Every jaxtyping annotation of the project is checked whenever a test calls it.
install_import_hook(["parc", "benchmarks"], "beartype.beartype")

REPOSITORY = Path(__file__).parents[1]
SHARED = Path(os.environ.get("PARC_SHARED", REPOSITORY.parent / "shared")).resolve()


def shared_folder(name: str) -> Path:
    """Return a folder of what every developer has beside the project, or skip the test."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: set PARC_SHARED to a folder that holds {name}/")
    return folder


@pytest.fixture(scope="session")
def clips_folder() -> Path:
    """PARC's five example clips."""
    return shared_folder("clips")


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Arrays computed by PARC's published code on these clips."""
    return shared_folder("golden")


@pytest.fixture(scope="session")
def humanoid():
    """The shipped character."""
    from parc.anim.mjcf import CharacterFile

    return CharacterFile("humanoid.xml").read()


@pytest.fixture(scope="module")
def coarse_pictures():
    """Pictures of the same size from a fourth of the rays, and coarse shadows, for tests that do not look at either."""
    from parc.pictures import shading

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shading, "SAMPLES_PER_SIDE", 1)
        patch.setattr(shading, "SHADOW_PIXELS", 200)
        yield


@pytest.fixture
def shell(tmp_path, monkeypatch, capfd):
    """A command line in an empty folder."""
    from command_line import CommandLine

    return CommandLine(tmp_path, monkeypatch, capfd)
