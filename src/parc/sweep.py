"""Show how the jobs of a sweep are doing: python -m parc.sweep FOLDER [--wait]."""

import argparse
from pathlib import Path

from parc.configuration.errors import EXIT_USER_ERROR
from parc.configuration.paths import expanded_home
from parc.configuration.program import run_program


def main() -> int:
    """Read the command line and show the table; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m parc.sweep",
        description="Show the jobs of a sweep or a chain: states, progress, losses, the last lines of failed ones. "
        "Writes the table to sweep.csv. The exit code is 1 if any job failed or was stopped.",
    )
    parser.add_argument("folder", type=expanded_home, help="the folder of the sweep")
    parser.add_argument("--wait", action="store_true", help="until all jobs have ended")
    options = parser.parse_args()
    return show_sweep(options.folder, options.wait)


def show_sweep(folder: Path, wait: bool) -> int:
    """Print the table of a sweep; return the exit code."""
    from parc.cluster.following import conclude, follow

    well = follow(folder) if wait else conclude(folder)
    return 0 if well else EXIT_USER_ERROR


if __name__ == "__main__":
    run_program(main)
