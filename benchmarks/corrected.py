"""Tables of what became of motions in runs of parc.correct: python -m benchmarks.corrected FOLDER ... [--by-clip]."""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

from benchmarks.rows import markdown_table
from parc.configuration.errors import UserError
from parc.configuration.program import run_program
from parc.physics.corrected import CORRECTED_FILE, CorrectedClip, read_corrected
from parc.physics.correction import Status
from parc.physics.measures import BODIES_OFF

LITTLE_ASSISTANCE = 0.1  # of body weight


def main() -> None:
    """Read the command line, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.corrected",
        description="Show how well parc.correct did, as a Markdown table: a column for each run, and one for all of them.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of a run, with its corrected.json")
    parser.add_argument(
        "--by-clip", action="store_true", help="what became of each clip instead, a column for each run"
    )
    options = parser.parse_args()
    runs = {str(folder): _clips_of(folder) for folder in options.folders}
    if options.by_clip:
        print(markdown_table(["", *runs], by_clip(list(runs.values()))))
    else:
        columns = {name: list(clips.values()) for name, clips in runs.items()}
        columns["all"] = [clip for clips in columns.values() for clip in clips]
        print(markdown_table(["", *columns], by_measure(list(columns.values()))))


def _clips_of(folder: Path) -> dict[str, CorrectedClip]:
    corrected = read_corrected(folder)
    if corrected is None or not corrected.clips:
        raise UserError(f"{folder}: no {CORRECTED_FILE} with motions, expected the folder of a run of parc.correct")
    return corrected.clips


def by_measure(runs: list[list[CorrectedClip]]) -> list[list[str]]:
    """Return the lines that compare runs: what a line shows, and what that is in each run."""
    lines: list[tuple[str, Callable[[list[CorrectedClip]], str]]] = [
        ("motions", lambda clips: str(len(clips))),
        ("followed from beginning to end without help", lambda clips: _share(clips, _is_physical_and_whole)),
        ("at least half of it without help", lambda clips: _share(clips, _is_physical)),
        (
            f"from beginning to end with at most {LITTLE_ASSISTANCE:g} of body weight",
            lambda clips: _share(clips, _needs_little),
        ),
        ("CPU seconds a second of motion, median", lambda clips: f"{statistics.median(_cpu_seconds(clips)):.1f}"),
        ("the same, mean", lambda clips: f"{statistics.fmean(_cpu_seconds(clips)):.1f}"),
        ("physics steps a second of motion, median (thousands)", _thousands_of_steps),
        ("bodies off the motion's, mean (cm)", lambda clips: _mean(clips, BODIES_OFF, 100.0)),
        ("smoothness, median", _smoothness),
        (
            "feet that touch the ground slide, m/s (in the motions)",
            lambda clips: f"{_mean(clips, 'slide (m/s)')} ({_mean(clips, 'slide of the clip (m/s)')})",
        ),
        (
            "frames in which something is over 1 cm deep, % (in the motions)",
            lambda clips: f"{_mean(clips, 'deep (%)')} ({_mean(clips, 'deep of the clip (%)')})",
        ),
    ]
    return [[what, *(said_of(clips) for clips in runs)] for what, said_of in lines]


def by_clip(runs: list[dict[str, CorrectedClip]]) -> list[list[str]]:
    """Return a line for each clip: its name, and what became of it in each run."""
    names = sorted({name for clips in runs for name in clips})
    return [[name, *(_outcome(clips.get(name)) for clips in runs)] for name in names]


def _is_physical(clip: CorrectedClip) -> bool:
    return clip.status is Status.PHYSICAL


def _is_physical_and_whole(clip: CorrectedClip) -> bool:
    return _is_physical(clip) and clip.is_whole


def _needs_little(clip: CorrectedClip) -> bool:
    return clip.whole_with is not None and clip.whole_with <= LITTLE_ASSISTANCE


def _share(clips: list[CorrectedClip], holds: Callable[[CorrectedClip], bool]) -> str:
    count = sum(map(holds, clips))
    return f"{count} ({count / len(clips):.0%})"


def _cpu_seconds(clips: list[CorrectedClip]) -> list[float]:
    return [clip.cpu_seconds / clip.clip_seconds for clip in clips]


def _thousands_of_steps(clips: list[CorrectedClip]) -> str:
    return f"{statistics.median(clip.steps_simulated / clip.clip_seconds for clip in clips) / 1000:.0f}"


def _of_physical(clips: list[CorrectedClip], measure: str) -> list[float]:
    return [clip.measures[measure] for clip in clips if _is_physical(clip) and measure in clip.measures]


def _smoothness(clips: list[CorrectedClip]) -> str:
    values = _of_physical(clips, "smoothness")
    return f"{statistics.median(values):.2f}" if values else ""


def _mean(clips: list[CorrectedClip], measure: str, scale: float = 1.0) -> str:
    values = _of_physical(clips, measure)
    return f"{scale * statistics.fmean(values):.2g}" if values else ""


def _outcome(clip: CorrectedClip | None) -> str:
    if clip is None:
        return ""
    if clip.status is Status.ASSISTED:
        return f"assisted, {clip.assistance:g} of body weight"
    if _is_physical(clip) and not clip.is_whole:
        return f"physical for {clip.seconds:.1f} of {clip.clip_seconds:.1f} s"
    return clip.status.value


if __name__ == "__main__":
    run_program(main)
