"""Build a dataset from folders of clips: python -m parc.dataset FOLDER [FOLDER ...] [--output MANIFEST]."""

import argparse
import math
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parc.configuration.messages import show_messages
from parc.configuration.paths import expanded_home
from parc.configuration.program import run_program

if TYPE_CHECKING:
    from parc.anim.dataset import ClipEntry
    from parc.anim.generated_clips import GeneratedClip
    from parc.anim.ground_statistics import GroundStatistics


def main() -> None:
    """Read the command line, write the manifest, and show what is in it."""
    options = parsed()
    show_messages()
    build_dataset(options)


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line says, or what it would say with some arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m parc.dataset",
        description="List clips with their sampling weights in a manifest, show a table of their classes, and draw a "
        "contact sheet. The clips themselves are only read.",
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a folder of clips, a manifest or a clip")
    parser.add_argument(
        "--output", type=expanded_home, default="motions.yaml", help="the manifest to write (default: %(default)s)"
    )
    parser.add_argument("--min-num-frames", type=int, default=15, help="leave out clips with fewer frames")
    parser.add_argument("--max-terrain-dim-x", type=int, default=1001, help="leave out clips on more cells along x")
    parser.add_argument("--max-terrain-dim-y", type=int, default=1001, help="leave out clips on more cells along y")
    parser.add_argument(
        "--halve", action="append", default=[], metavar="CLASS", help="leave out every second clip of a class"
    )
    parser.add_argument("--character", default="humanoid.xml", help="the clips' character, an MJCF file")
    parser.add_argument("--no-picture", action="store_true", help="draw no contact sheet")
    return parser.parse_args(arguments)


def build_dataset(options: argparse.Namespace) -> None:
    """Write the manifest and the contact sheet, and print the table."""
    from parc.anim.clip_files import read_clip
    from parc.anim.dataset import ClipDataset, clip_weights, write_manifest
    from parc.anim.generated_clips import GeneratedClip
    from parc.anim.ground_statistics import GroundStatistics
    from parc.anim.library_cache import reason_to_exclude
    from parc.anim.mjcf import CharacterFile
    from parc.configuration.errors import UserError

    output: Path = options.output
    if output.suffix not in (".yaml", ".yml"):
        raise UserError(f"--output {output}: expected a name that ends in .yaml")
    dataset = ClipDataset(
        options.sources, options.min_num_frames, options.max_terrain_dim_x, options.max_terrain_dim_y, options.halve
    )
    character = CharacterFile(options.character).read()
    kept: list[ClipEntry] = []
    seconds: list[float] = []
    generated: list[GeneratedClip] = []
    ground = GroundStatistics()
    excluded: list[tuple[str, str]] = []
    for entry in dataset.entries():
        clip = read_clip(entry.path, character)
        reason = reason_to_exclude(clip, dataset.limits, window_seconds=0.0)
        if reason:
            excluded.append((clip.name, reason))
        else:
            kept.append(entry)
            seconds.append(clip.seconds)
            if clip.made is not None:
                generated.append(GeneratedClip(shown_class(entry), clip.seconds, clip.made))
            ground.add(clip, shown_class(entry))
    if not kept:
        raise UserError(f"{options.sources[0]}: every clip is left out ({excluded[0][0]}: {excluded[0][1]})")
    weights = clip_weights(kept, seconds)
    write_manifest(output, [replace(entry, weight=weight) for entry, weight in zip(kept, weights, strict=True)])
    show_table(kept, seconds, weights, ground)
    if generated:
        show_generated(generated)
    for reason, count in Counter(reason for _, reason in excluded).items():
        print(f"left out: {count} with {reason}")
    print(f"manifest: {output}")
    if not options.no_picture:
        from parc.pictures.contact_sheet import draw_contact_sheet, read_classes

        picture = output.with_suffix(".png")
        clips_by_class, totals = read_classes(kept, character)
        draw_contact_sheet(clips_by_class, character, picture, title=output.stem, totals=totals)
        print(f"contact sheet: {picture}")


def shown_class(entry: "ClipEntry") -> str:
    """Return what a clip's class is called in the table."""
    return entry.motion_class or "(from a manifest)"


def show_table(
    kept: "list[ClipEntry]", clip_seconds: list[float], weights: list[float], ground: "GroundStatistics"
) -> None:
    """Print clips, seconds and share of training of each class, and what the ground does in their windows."""
    from rich.console import Console
    from rich.table import Table

    from parc.anim.ground_statistics import CHANGE, WINDOW_SECONDS

    clips, seconds, shares = Counter[str](), defaultdict[str, float](float), defaultdict[str, float](float)
    for entry, length, weight in zip(kept, clip_seconds, weights, strict=True):
        name = shown_class(entry)
        clips[name] += 1
        seconds[name] += length
        shares[name] += weight / sum(weights)
    table = Table("class", show_footer=True)
    for heading in ("clips", "seconds", "share of training", "ground changes"):
        table.add_column(heading, justify="right")
    for name in sorted(clips):
        numbers = (str(clips[name]), f"{seconds[name]:.1f}", f"{100 * shares[name]:.1f} %")
        table.add_row(name, *numbers, _percent(ground.share_changing(name)))
    footers = ["all", str(len(kept)), f"{sum(seconds.values()):.1f}", "100.0 %", _percent(ground.share_changing())]
    for column, footer in zip(table.columns, footers, strict=True):
        column.footer = footer
    Console(markup=False, emoji=False).print(table)
    print(
        f"ground changes: by over {100 * CHANGE:.0f} cm under the root and a step ahead, in windows of {WINDOW_SECONDS} s"
    )
    pose, both = (ground.rise_explained(with_ground) for with_ground in (False, True))
    print(
        f"rise of the root over a window, share of its variance explained by the previous states alone: {_share(pose)}"
    )
    print(f"  and by the ground ahead too: {_share(both)} (linear, on clips held out)")


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def _share(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.2f}"


def show_generated(clips: "list[GeneratedClip]") -> None:
    """Print how many generated clips there are of each terrain, how well they went, and what made them."""
    from rich.console import Console
    from rich.table import Table

    from parc.anim.generated_clips import figures_by_terrain, figures_of

    total = figures_of(clips)
    table = Table("generated", show_footer=True)
    for heading in ("clips", "motions", "seconds", *total.losses):
        table.add_column(heading, justify="right")
    rows = [*figures_by_terrain(clips).items(), ("all", total)]
    cells = [
        [
            name,
            str(figures.clips),
            str(figures.motions),
            f"{figures.seconds:.1f}",
            *(f"{figures.losses[loss]:.3f}" if loss in figures.losses else "" for loss in total.losses),
        ]
        for name, figures in rows
    ]
    for row in cells[:-1]:
        table.add_row(*row)
    for column, footer in zip(table.columns, cells[-1], strict=True):
        column.footer = footer
    Console(markup=False, emoji=False).print(table)
    for digest, path in sorted(total.models.items()):  # below the table, which is wide enough
        of_model = [clip for clip in clips if clip.made.short_digest == digest]
        scales = ", ".join(f"{scale:g}" for scale in figures_of(of_model).guidance_scales)
        terrains = ", ".join(sorted({clip.terrain for clip in of_model}))
        print(f"made by model {digest} with guidance {scales} ({terrains}): {path}")


if __name__ == "__main__":
    run_program(main)
