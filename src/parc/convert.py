"""`python -m parc.convert SOURCE DEST`: other people's motions and models in, ours out to other programs."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from parc.configuration.errors import EXIT_USER_ERROR, UserError
from parc.configuration.messages import as_one_line, duration, show_messages
from parc.configuration.paths import expanded_home
from parc.configuration.program import run_program
from parc.stages.worker_processes import available_cores

if TYPE_CHECKING:
    from parc.exchange.conversion_record import MadeClip
    from parc.exchange.converting import Outcome

HELP = """Convert motions, and what PARC keeps beside them; SOURCE is recognised by what it holds:

  clips, a folder of clips, a manifest       ours (.safetensors) and PARC's (.pkl)
  .bvh files                                 with the joints of LAFAN1 or of CMU's
  humanoid3d_*.txt                           DeepMimic's motions
  holosoma_retargeting-*.whl                 captured climbs on boxes (or the unpacked folder)
  pybullet-*.whl                             DeepMimic's motions
  a .ckpt of PARC's                          becomes a model of ours; one of ours, or a run, with --to parc
  mdm_config.yaml, kin_gen_config.yaml       PARC's settings become an experiment

Formats (--to), one or more files for each clip, on its terrain:

  clips         ours; what is made where --to is left out
  parc          PARC's .pkl and dataset YAML; a model becomes a checkpoint in its layout
  mimickit      motion, boxes, env config, dataset YAML
  protomotions  .motion and terrain
  mujoco        MJCF scene and qpos (.npz)
  bvh           BVH with a T-pose first, terrain as OBJ
  glb           everything in one file, for Blender and browsers
"""

EXAMPLES = """examples:
  python -m parc.convert --download holosoma data/captured
  python -m parc.convert path/to/lafan1 data/lafan1
  python -m parc.convert data/generated data/for_blender --to glb

The same command goes on where it stopped, and converts again what has changed. Nothing else in DEST is touched.
"""
FORMAT_NAMES = ("clips", "parc", "mimickit", "protomotions", "mujoco", "bvh", "glb")
PACKAGES = {"holosoma": "holosoma-retargeting==0.1.0", "deepmimic": "pybullet==3.2.7"}
SHOWN_REFUSALS = 20
LEAST_WIDTH = 112  # letters of the table of measures


def main() -> int:
    """Read the command line and convert."""
    options = parsed()
    show_messages()
    source: Path = options.source
    if options.download:
        from parc.exchange.downloading import download

        print(f"fetching {PACKAGES[options.download]} with pip: about 100 MB")
        source = download(PACKAGES[options.download], options.destination)
    from parc.exchange.models_and_configs import convert_model_or_config, is_model_or_config

    if is_model_or_config(source):
        for line in convert_model_or_config(source, options.destination, options.to):
            print(as_one_line(line))
        return 0
    return convert_motions(source, options)


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line says, or what it would say with some arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m parc.convert",
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", nargs="?", type=expanded_home, metavar="SOURCE", help="file or folder to convert")
    parser.add_argument("destination", type=expanded_home, metavar="DEST", help="folder to write into")
    parser.add_argument("--to", choices=FORMAT_NAMES, help="format to write")
    parser.add_argument(
        "--download",
        choices=sorted(PACKAGES),
        help="in place of SOURCE: fetch the package that holds these motions with pip",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=available_cores(),
        metavar="N",
        help="how many work (default: one a core)",
    )
    parser.add_argument(
        "--character", default="humanoid.xml", metavar="FILE.xml", help="MJCF file of the clips' character"
    )
    parser.add_argument("--no-picture", action="store_true", help="draw no contact sheet of clips that are made")
    options = parser.parse_args(arguments)
    if (options.source is None) == (options.download is None):
        parser.error("expected either SOURCE and DEST, or --download and DEST")
    if options.processes < 1:
        parser.error(f"--processes is {options.processes}, expected 1 or more")
    return options


def convert_motions(source: Path, options: argparse.Namespace) -> int:
    """Convert motions, say what came of it, and return the exit code: not 0 where any was refused."""
    from tqdm import tqdm

    from parc.anim.mjcf import CharacterFile
    from parc.exchange.converting import convert
    from parc.exchange.recognising import find_sources

    destination: Path = options.destination
    found = find_sources(source, leave_out=destination)
    sources = list(found.sources.values())
    to = options.to or "clips"
    if options.to is None and all(each.file.suffix == ".safetensors" for each in sources):
        raise UserError(
            f"{source}: these are clips of ours; say what to make of them, --to {' or '.join(FORMAT_NAMES[1:])}"
        )
    print(f"{source}: {found.said}")
    started, done = time.monotonic(), 0

    def show(count: int) -> None:
        nonlocal done
        done = count
        bar.update(count - bar.n)

    with tqdm(total=len(sources), unit="file", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:
        try:
            outcome = convert(
                sources,
                found.refused,
                destination,
                to,
                CharacterFile(options.character),
                min(options.processes, found.worth_processes),
                show,
            )
        except KeyboardInterrupt:
            print(f"{done} of {len(sources)} are done; the same command goes on", file=sys.stderr)
            raise
    show_outcome(outcome, destination, to, time.monotonic() - started)
    if to == "clips" and not options.no_picture:
        draw_fitted(outcome, destination, options.character)
    return EXIT_USER_ERROR if outcome.refused else 0


def show_outcome(outcome: "Outcome", destination: Path, to: str, seconds: float) -> None:
    """Print what was made, how well it fits, and what was refused and why."""
    from parc.exchange.converting import REFUSED

    clips = [clip for conversion in outcome.made for clip in conversion.clips]
    if clips:
        length = duration(sum(clip.seconds for clip in clips))
        what = "clips" if to == "clips" else f"motions in {to}"
        print(f"{destination}: {len(clips)} {what} ({length} of motion) made in {duration(seconds)}")
    if outcome.kept:
        print(f"{destination}: {outcome.kept} sources were converted before, and have not changed")
    if outcome.made:
        show_measures(outcome.clips)
    for _, reason in outcome.refused[:SHOWN_REFUSALS]:
        print(f"refused: {as_one_line(reason)}", file=sys.stderr)
    if outcome.refused:
        others = ", all others are converted" if outcome.made or outcome.kept else ""
        more = f"; all of them: {destination / REFUSED}" if len(outcome.refused) > SHOWN_REFUSALS else ""
        print(f"{len(outcome.refused)} refused{others}{more}", file=sys.stderr)


def show_measures(made: "list[MadeClip]") -> None:
    """Print how far each clip is off its source, where it was fitted, and the mean of all."""
    from rich.console import Console
    from rich.table import Table

    from parc.anim.mirror import without_mirror_images

    clips = sorted((clip for clip in made if clip.measures), key=lambda clip: clip.files[-1])
    originals = without_mirror_images(clips, lambda clip: str(Path(clip.files[-1]).with_suffix("")))
    if not originals:
        return
    names = list(dict.fromkeys(name for clip in originals for name in clip.measures))
    table = Table(show_footer=True)
    table.add_column("clip (and its mirror image)", no_wrap=True)
    for name in ("seconds", *names):
        table.add_column(name, justify="right")
    for clip in originals:
        cells = [f"{clip.measures[name]:.1f}" if name in clip.measures else "" for name in names]
        table.add_row(str(Path(clip.files[-1]).with_suffix("")), f"{clip.seconds:.1f}", *cells)
    columns = [[clip.seconds for clip in originals]]
    columns += [[clip.measures[name] for clip in originals if name in clip.measures] for name in names]
    means = [f"{sum(column) / len(column):.1f}" for column in columns]
    for column, footer in zip(table.columns, ["mean", *means], strict=True):
        column.footer = footer
    console = Console(markup=False, emoji=False)
    console.width = max(console.width, LEAST_WIDTH)
    console.print(table)


def draw_fitted(outcome: "Outcome", destination: Path, char_file: str) -> None:
    """Draw a contact sheet of the clips that were fitted to captured data, where there are any, and say where it is."""
    from parc.anim.dataset import ClipEntry
    from parc.anim.mjcf import CharacterFile
    from parc.exchange.converting import SHEET
    from parc.pictures.contact_sheet import draw_contact_sheet, read_classes

    entries = [ClipEntry(destination / clip.files[-1], clip.motion_class) for clip in outcome.clips if clip.measures]
    picture = destination / SHEET
    if not entries or (picture.exists() and not outcome.made):
        return
    character = CharacterFile(char_file).read()
    clips_by_class, totals = read_classes(entries, character)
    draw_contact_sheet(clips_by_class, character, picture, title=destination.resolve().name, totals=totals)
    print(f"contact sheet: {picture}")


if __name__ == "__main__":
    run_program(main)
