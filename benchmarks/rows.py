"""The rows of the benchmark: what PARC takes, what we aim for, what it takes here."""

from dataclasses import dataclass

from benchmarks.timing import Durations


@dataclass(frozen=True)
class Row:
    """A figure of the benchmark.

    Attributes:
        what: is measured.
        median: in `unit`.
        quartiles: in `unit`; None for what was measured once.
        unit: of the figures.
        yardsticks: the median of the ratios to the yardstick of the same turn.
        parc: what PARC takes, in yardsticks where there are any, else in `unit`; None where it has no such thing.
        target: likewise.
    """

    what: str
    median: float
    quartiles: tuple[float, float] | None
    unit: str
    yardsticks: float | None = None
    parc: float | None = None
    target: float | None = None

    @property
    def compared(self) -> float:
        """The figure that stands beside the target."""
        return self.median if self.yardsticks is None else self.yardsticks


def timed_row(
    what: str, durations: Durations, yardstick: Durations | None, *, parc: float | None, target: float | None
) -> Row:
    """Return the row of durations (milliseconds), compared in yardsticks where there is one."""
    low, high = durations.quartiles
    quartiles = (1000 * low, 1000 * high)
    yardsticks = None if yardstick is None else durations.ratio_to(yardstick)
    return Row(what, 1000 * durations.median, quartiles, "ms", yardsticks, parc, target)


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table; those that miss their target are marked with *."""
    lines = []
    for row in rows:
        missed = row.target is not None and row.compared > row.target
        cells = [
            row.what,
            f"{_number(row.median)} {row.unit}",
            "" if row.quartiles is None else " to ".join(map(_number, row.quartiles)),
            _number(row.yardsticks),
            _number(row.target) + (" *" if missed else ""),
            _number(row.parc),
        ]
        lines.append(cells)
    return markdown_table(["what", "median", "quartiles", "yardsticks", "target", "PARC"], lines)


def markdown_table(head: list[str], lines: list[list[str]]) -> str:
    """Return lines of cells as a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *lines])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
