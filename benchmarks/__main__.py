"""Measure what users wait for, against targets: python -m benchmarks [PART ...] [--turns N] [--output FILE]."""

import argparse
import dataclasses
import json
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from parc.configuration.messages import show_messages
from parc.configuration.program import run_program

if TYPE_CHECKING:
    import torch

    from benchmarks.rows import Row

PARTS = [
    "step",
    "sampler",
    "preprocessing",
    "collision",
    "generation",
    "fast",
    "compiling",
    "learning",
    "start",
    "film",
    "correction",
    "scale",
]


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what users wait for: each part in turns with a yardstick, torch's own transformer encoder, so "
        "that figures of different machines compare. * marks what misses its target; targets are for a CPU of two cores. "
        "The part 'scale' takes 2 GB of disk (in TMPDIR) and 5 GB of memory.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is given")
    parser.add_argument("--turns", type=int, default=15, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=26_600, help="clips of the part 'scale' (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("benchmark.json"), help="where the figures go as JSON")
    options = parser.parse_args()
    show_messages()
    measure(options)


def measure(options: argparse.Namespace) -> None:
    """Measure the parts that were asked for; show them as a table, and write them as JSON."""
    from benchmarks.measurements import MEASUREMENTS, scale
    from benchmarks.setting import paper_setting
    from parc.configuration.errors import UserError, nearest_name
    from parc.training.device import find_device
    from parc.training.ranks import Ranks

    for part in options.parts:
        if part not in PARTS:
            raise UserError(f"{part}: there is no such part, expected {', '.join(PARTS)}{nearest_name(part, PARTS)}")
    for name, least in (("turns", 2), ("clips", 1)):
        if getattr(options, name) < least:
            raise UserError(f"--{name} is {getattr(options, name)}, expected at least {least}")
    device = find_device(options.device, Ranks())
    rows: "list[Row]" = []
    try:
        with tempfile.TemporaryDirectory(prefix="parc-benchmark-") as folder:
            setting = paper_setting(Path(folder), device)
            for part in options.parts or PARTS:
                rows += scale(setting, options.clips) if part == "scale" else MEASUREMENTS[part](setting, options.turns)
    finally:
        if rows:  # also where a later part could not be measured
            _show(rows, options, device)


def _show(rows: "list[Row]", options: argparse.Namespace, device: "torch.device") -> None:
    """Print the table, and write the figures as JSON."""
    import torch

    from benchmarks.rows import table
    from parc.configuration.files import write_text_whole

    machine = (
        f"{torch.get_num_threads()} threads on {platform.processor() or platform.machine()}, torch {torch.__version__}"
    )
    print(f"\n{device}, {machine}; {options.turns} turns\n\n{table(rows)}\n")
    content = {"device": str(device), "machine": machine, "turns": options.turns}
    figures = [dataclasses.asdict(row) for row in rows]
    write_text_whole(options.output, json.dumps(content | {"rows": figures}, indent=1) + "\n")
    print(f"figures: {options.output}")


if __name__ == "__main__":
    run_program(main)
