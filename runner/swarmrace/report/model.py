"""The content of a report as plain data: every text and number, without any layout.

It is computed from verdicts and records (`build`), and written by `markdown` and `page`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from swarmrace.report.facts import Facts
from swarmrace.statistics.exponent import Exponent
from swarmrace.verdict.matrix import MatrixJudgement
from swarmrace.verdict.model import Comparison

State = Literal["ratio", "counts", "failed", "empty", "impossible", "missing"]
"""What a square of a panel shows: a ratio, two counts, a failure without a ratio, nothing to
compare, an impossible combination, or a cell without results."""


@dataclass(frozen=True, slots=True)
class Square:
    """One cell of the matrix in one panel."""

    seeders: int
    swarm_size: int
    state: State
    text: str
    """The ratio, or the counts."""
    detail: str = ""
    """The interval, or why there is none."""
    mark: str = ""
    """Verdict on the acceptance: `met`, `missed` or `undecided`; only for t100."""
    level: int = 0
    """-4 to 4: how far the ratio is below or above 1, on a log scale; 0 within 10 %."""
    hatched: bool = False
    """Undecided: the interval doesn't confirm the colour."""
    failures: bool = False
    """Whether transfers of either side failed."""
    cell: str = ""
    """Name of its cell; empty if there is none."""
    label: str = ""
    """The content in words, for tooltips and screen readers."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One file size (and network) of the matrix."""

    title: str
    slug: str
    swarm_sizes: tuple[int, ...]
    seeders: tuple[int, ...]
    squares: tuple[Square, ...]


@dataclass(frozen=True, slots=True)
class PanelRow:
    """One figure over the matrix: a panel for each file size."""

    key: str
    title: str
    text: str
    pair: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One entrant's runs over swarm sizes."""

    entrant: str
    points: tuple[tuple[int, float], ...]
    """(swarm size, seconds) of every run that has a time."""
    medians: tuple[tuple[int, float | None], ...]
    """(swarm size, median seconds); None if the median run failed."""
    failed: tuple[tuple[int, int], ...]
    """(swarm size, number of failed runs), only of sizes with failed runs."""
    exponent: Exponent | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """How t100 grows with the swarm size, for one file size and number of seeders."""

    title: str
    slug: str
    seeders: int
    series: tuple[Series, ...]
    minimum: tuple[tuple[int, float], ...] = ()
    """(swarm size, theoretical minimum in seconds)."""


@dataclass(frozen=True, slots=True)
class Share:
    """Where the time of an entrant's median leechers went, averaged over its runs."""

    cell: str
    entrant: str
    shares: tuple[tuple[str, float], ...]
    """(segment, share of the total time)."""
    seconds: float
    """The total time, averaged over runs."""
    runs: int


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares that are drawn in one figure."""

    title: str
    slug: str
    rows: tuple[Share, ...]
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a table: the text to show and the value to sort by."""

    text: str
    value: float | str | None = None


@dataclass(frozen=True, slots=True)
class TableData:
    """A table."""

    title: str
    slug: str
    head: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    note: str = ""
    numeric: tuple[int, ...] = ()
    """Indexes of the columns with numbers."""
    anchors: tuple[str, ...] = ()
    """The cell to which the first entry of each row links."""


@dataclass(frozen=True, slots=True)
class CellWarning:
    """A warning, and the cells to which it applies."""

    text: str
    cells: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The cells in words; empty if it applies to all."""
        if not self.cells:
            return ""
        more = f" and {len(self.cells) - 4} more" if len(self.cells) > 4 else ""
        return ", ".join(self.cells[:4]) + more


@dataclass(frozen=True, slots=True)
class CellReport:
    """One cell's own report."""

    name: str
    anchor: str
    facts: Facts
    title: str
    head: tuple[str, ...]
    """What was raced, in lines."""
    answer: tuple[str, ...]
    warnings: tuple[str, ...]
    times: tuple[TableData, ...]
    runs: TableData
    failures: tuple[str, ...]
    settings: tuple[str, ...]
    provenance: tuple[str, ...]
    attempts: tuple[str, ...]
    """Other attempts at the cell, and their outcomes."""


@dataclass(frozen=True, slots=True)
class Colour:
    """An entrant and the index of its colour."""

    entrant: str
    index: int
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report."""

    title: str
    state: tuple[str, ...]
    """Lines on unfinished parts; empty if everything is finished."""
    answer: tuple[str, ...]
    acceptance: tuple[MatrixJudgement, ...]
    completed: tuple[str, ...]
    """A line for each entrant: transfers completed and started."""
    warnings: tuple[CellWarning, ...]
    bounded: tuple[str, ...]
    panels: tuple[PanelRow, ...]
    growth: tuple[Growth, ...]
    shares: tuple[Shares, ...]
    uploads: TableData | None
    tables: tuple[TableData, ...]
    """Bandwidth, stability, reliability."""
    cells: tuple[CellReport, ...]
    missing: tuple[str, ...]
    """Planned cells without results."""
    definitions: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    provenance: tuple[str, ...]
    commands: tuple[str, ...]
    not_tested: tuple[str, ...]
    colours: tuple[Colour, ...]
    pairs: tuple[tuple[str, str], ...]
    """The pairs that are compared: (entrant, the one it is compared with)."""
    left_out: tuple[str, ...] = ()
    """A line for each folder that is not counted, with the reason."""
    networks: tuple[str, ...] = field(default=("",))

    def colour(self, entrant: str) -> Colour:
        """Return an entrant's colour."""
        return next(each for each in self.colours if each.entrant == entrant)


def comparison_of(facts: Facts, pair: Sequence[str]) -> Comparison | None:
    """Return a cell's comparison of a pair, or None if it has none."""
    for each in facts.verdict.comparisons:
        if (each.entrant, each.of) == tuple(pair):
            return each
    return None
