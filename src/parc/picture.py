"""`python -m parc.picture PATH [PATH...]`: draw a clip, a dataset or runs."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parc.configuration.errors import UserError
from parc.configuration.paths import expanded_home, refuse_missing_clips, refuse_undecodable
from parc.configuration.program import parser_of_clips, run_program

if TYPE_CHECKING:
    from parc.anim.dataset import ClipEntry

PICTURE_SUFFIX, FILM_SUFFIXES = ".png", (".gif", ".webp", ".mp4")

HELP = """Draw a picture of what PATH is and print where it was written:

  a clip (.safetensors, or PARC's .pkl)     filmstrip of the motion on its terrain
  a folder of clips, a manifest (.yaml)     contact sheet of the dataset, a row for each class
  a folder of a run, or several             loss curves (reads metrics.jsonl)
  evaluations, or sweeps of them            their metrics beside the paper's (reads evaluation.json)

Where --output ends in .gif, .webp or .mp4 (which needs ffmpeg), the picture moves:

  a clip                                    the motion, with its contacts, path and target
  a folder of clips, a manifest, clips      up to 12 motions at once
"""

EXAMPLES = """examples:
  python -m parc.picture clips/walk_003.safetensors
  python -m parc.picture clips/walk_003.safetensors --output walk.gif
  python -m parc.picture clips --output dataset.png
  python -m parc.picture outputs/first outputs/second --output compared.png
  python -m parc.picture outputs/first/evaluation/quick outputs/second/evaluation/quick --output judged.png
"""


def main() -> None:
    """Read the command line and draw."""
    parser = parser_of_clips("picture", HELP, EXAMPLES)
    parser.add_argument(
        "--output",
        type=expanded_home,
        metavar="FILE",
        help="the picture, a .png, or a moving one (default: ./NAME.png, named after PATH)",
    )
    arguments = parser.parse_args()
    print(draw_picture(arguments.paths, arguments.output, arguments.character))


def draw_picture(paths: list[Path], output: Path | None = None, char_file: str = "humanoid.xml") -> Path:
    """Draw the picture that fits the paths, and return where it was written.

    Args:
        paths: a clip, a folder of clips, a manifest, or one or more folders of runs or of evaluations (several clips and
            folders make one contact sheet).
        output: the picture, which moves where the name ends in one of `FILM_SUFFIXES`; by default a .png named after the path,
            in the current folder.
        char_file: see `CharacterFile`.

    Raises:
        UserError: a path is missing or nothing that can be drawn, paths of different kinds are mixed, a file is broken, or the
            output is no picture's name or of a kind that cannot be written here.
    """
    from parc.pictures.evaluations import EVALUATION_FILE, evaluations_in
    from parc.stages.metrics import METRICS_FILE

    if output is not None and output.suffix.lower() not in (PICTURE_SUFFIX, *FILM_SUFFIXES):
        raise UserError(
            f"--output {output}: expected a name that ends in {PICTURE_SUFFIX}, or for a moving picture in "
            f"{', '.join(FILM_SUFFIXES[:-1])} or {FILM_SUFFIXES[-1]}"
        )

    refuse_missing_clips(paths)
    for path in paths:
        refuse_undecodable(path.resolve().name)  # which is written on the picture
    paths = [path.parent if path.name == METRICS_FILE else path for path in paths]
    runs = [path for path in paths if (path / METRICS_FILE).is_file()]
    evaluations = [path for path in paths if (path / EVALUATION_FILE).is_file() or evaluations_in(path)]
    output = output or Path(f"{_name(paths)}{PICTURE_SUFFIX}")
    moves = output.suffix.lower() in FILM_SUFFIXES
    for folders, file, draw in ((evaluations, EVALUATION_FILE, _draw_evaluations), (runs, METRICS_FILE, _draw_runs)):
        if not folders:
            continue
        for path in paths:
            if path not in folders:
                raise UserError(f"{path}: has no {file}, but {folders[0]} has; give one kind of folders, or clips")
        if moves:
            raise UserError(
                f"--output {output}: the curves of {folders[0]} do not move; give a name in {PICTURE_SUFFIX}, or clips"
            )
        draw(folders, output)
        return output
    (_film_motions if moves else _draw_motions)(paths, output, char_file)
    return output


def _name(paths: list[Path]) -> str:
    names = [path.resolve().name if path.is_dir() else path.stem for path in paths]
    return names[0] if len(names) == 1 else f"{names[0]}_and_{len(names) - 1}_more"


def _draw_runs(folders: list[Path], output: Path) -> None:
    from parc.pictures.loss_curves import draw_loss_curves
    from parc.pictures.metrics import read_run_metrics

    names = [folder.resolve().name for folder in folders]
    shown = names if len(set(names)) == len(names) else [str(folder) for folder in folders]
    draw_loss_curves([read_run_metrics(folder, name) for folder, name in zip(folders, shown, strict=True)], output)


def _draw_evaluations(folders: list[Path], output: Path) -> None:
    from parc.pictures.evaluation_plot import draw_evaluations
    from parc.pictures.evaluations import evaluations_in, read_evaluation

    named = [each for folder in folders for each in evaluations_in(folder) or [(folder, "")]]
    read = [read_evaluation(folder, name or None) for folder, name in named]
    names = [evaluation.name for evaluation in read]
    if len(set(names)) < len(names):
        read = [
            replace(evaluation, name=f"{evaluation.name} ({folder})")
            for evaluation, (folder, _) in zip(read, named, strict=True)
        ]
    draw_evaluations(read, output)


def _draw_motions(paths: list[Path], output: Path, char_file: str) -> None:
    # Imported only now, because torch takes seconds and loss curves do without it.
    from parc.anim.clip_files import read_clip
    from parc.anim.mjcf import CharacterFile
    from parc.pictures.contact_sheet import draw_contact_sheet, read_classes
    from parc.pictures.filmstrip import draw_filmstrip

    entries = _entries(paths)
    character = CharacterFile(char_file).read()
    if entries is None:
        draw_filmstrip(read_clip(paths[0], character), character, output)
        return
    clips_by_class, totals = read_classes(entries, character)
    draw_contact_sheet(clips_by_class, character, output, title=_name(paths), totals=totals)


def _film_motions(paths: list[Path], output: Path, char_file: str) -> None:
    from parc.anim.clip_files import CLIP_SUFFIXES, read_clip
    from parc.anim.mirror import without_mirror_images
    from parc.anim.mjcf import CharacterFile
    from parc.pictures.film_files import check_film_suffix, write_film
    from parc.pictures.moving_picture import film_of_clip, film_of_clips, spread_over_classes

    check_film_suffix(output)
    entries = _entries(paths)
    character = CharacterFile(char_file).read()
    if entries is None:
        write_film(film_of_clip(read_clip(paths[0], character), character), output)
        return
    chosen_one_by_one = all(path.suffix in CLIP_SUFFIXES for path in paths)
    shown = (
        entries if chosen_one_by_one else without_mirror_images(entries, lambda entry: str(entry.path.with_suffix("")))
    )
    chosen = spread_over_classes(shown)
    number = f"{len(chosen)} of " if len(chosen) < len(entries) else ""
    title = f"{_name(paths)}  ·  {number}{len(entries):,} clip{'s' if len(entries) > 1 else ''}"
    write_film(film_of_clips([read_clip(entry.path, character) for entry in chosen], character, title), output)


def _entries(paths: list[Path]) -> "list[ClipEntry] | None":
    """Return the clips of a dataset; None where the paths are a single clip."""
    from parc.anim.clip_files import CLIP_SUFFIXES
    from parc.anim.dataset import MANIFEST_SUFFIXES, ClipDataset

    for path in paths:
        if path.is_file() and path.suffix not in (*CLIP_SUFFIXES, *MANIFEST_SUFFIXES):
            raise UserError(f"{path}: expected a clip, a folder of clips, a manifest (.yaml) or a run's folder")
    if len(paths) == 1 and paths[0].is_file() and paths[0].suffix in CLIP_SUFFIXES:
        return None
    return ClipDataset([str(path) for path in paths], 2, 1001, 1001, halved_classes=[]).entries()


if __name__ == "__main__":
    run_program(main)
