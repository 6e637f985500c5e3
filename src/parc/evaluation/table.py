"""The table of an evaluation: every metric by kind, over all, and of the clips that a model is compared with."""

from rich.console import Console
from rich.table import Table

from parc.evaluation.metrics import METRICS
from parc.evaluation.result import Result
from parc.evaluation.summary import COVERED, Figure

WIDTH = 120  # letters where there is no terminal
_MOST_KINDS = 5  # that have columns of their own


def print_table(result: Result) -> None:
    """Print the table of an evaluation, and below it how it came about."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table_of(result))
    what = f"{result.paths} paths, guidance {result.guidance_scale:g}" if result.is_model else f"{result.paths} clips"
    console.print(
        f"{result.name}: preset {result.preset}, seed {result.seed}, {what}; in brackets: {COVERED:.0f} % bootstrap intervals "
        "over paths",
        soft_wrap=True,
    )
    if result.speed:
        console.print(f"speed: {result.speed.motion_seconds_a_second:.1f} s of motion a second", soft_wrap=True)


def table_of(result: Result) -> Table:
    """Return the table: a row a metric, with columns for kinds (unless they are many), all, and the clips to compare with."""
    kinds = result.kinds if 1 < len(result.kinds) <= _MOST_KINDS else {}
    table = Table("metric")
    for heading in (*kinds, "all", *(["training clips"] if result.reference else [])):
        table.add_column(heading, justify="right")
    for name, metric in METRICS.items():
        cells = [shown(figures.get(name)) for figures in kinds.values()]
        cells.append(_with_interval(result.all.get(name)))
        if result.reference:
            cells.append(shown(result.reference.get(name)))
        table.add_row(metric.heading, *cells)
    return table


def shown(figure: Figure | None) -> str:
    """Return a mean in three digits, as far as there are so many; - where nothing was measured."""
    return "-" if figure is None else _number(figure.mean)


def _with_interval(figure: Figure | None) -> str:
    if figure is None or figure.low is None or figure.high is None:
        return shown(figure)
    return f"{_number(figure.mean)} [{_number(figure.low)}, {_number(figure.high)}]"


def _number(value: float) -> str:
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    # The training clips are hardly ever at 0.
    return f"{value:.2g}" if 0.001 <= abs(value) < 0.0995 else f"{value:.2f}"
