"""Fetching packages that hold motions, as files: they are never installed or imported."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from parc.configuration.errors import UserError
from parc.configuration.files import PART_SUFFIX, unwritable

DOWNLOADS = ".downloads"  # folder of a destination


def download(requirement: str, destination: Path) -> Path:
    """Fetch a package's wheel with pip, unless it is there already, and return it.

    Args:
        requirement: name and version, as pip takes them.
        destination: its folder `.downloads` keeps the wheel.

    Raises:
        UserError: pip cannot fetch it, or it cannot be kept.
    """
    folder = destination / DOWNLOADS / requirement
    kept = [wheel for wheel in sorted(folder.glob("*.whl")) if zipfile.is_zipfile(wheel)]
    if kept:
        return kept[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=PART_SUFFIX) as part:
            wheel = _fetched(requirement, Path(part))
            return wheel.replace(folder / wheel.name)
    except OSError as error:
        raise unwritable(folder, error) from error


def _fetched(requirement: str, folder: Path) -> Path:
    # Wheels only: a source package would run code of its own to say what it is.
    command = ["pip", "download", "--no-deps", "--only-binary=:all:", requirement, "--dest", str(folder)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no output")
        raise UserError(
            f"--download: pip could not fetch {requirement} ({reason.strip()[:160]}); where there is a network, "
            f"'{' '.join(command[:5])}' fetches the wheel, which can be given as SOURCE"
        )
    return wheels[0]
