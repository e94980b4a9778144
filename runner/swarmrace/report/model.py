"""What a report says, as plain data: every text and every number, nothing of how it looks.

It is computed from verdicts and records (`build`) and written by `markdown` and `page`.
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
"""What a square of a panel holds: a ratio, two counts, a failure without a ratio, nothing to
compare, a combination that can't be, or one that has no results."""


@dataclass(frozen=True, slots=True)
class Square:
    """One cell of the matrix in one panel."""

    seeders: int
    swarm_size: int
    state: State
    text: str
    """The ratio, or the counts."""
    detail: str = ""
    """The interval; why there is none."""
    mark: str = ""
    """`met`, `missed`, `undecided` of the acceptance; of t100 only."""
    level: int = 0
    """-4 to 4: how far the ratio is below or above 1, on a log scale; 0 within 10 %."""
    hatched: bool = False
    """Undecided: the interval doesn't carry the colour."""
    failures: bool = False
    """Whether transfers failed in it, of either side."""
    cell: str = ""
    """Its anchor; empty where there is none."""
    told: str = ""
    """The whole of it in words."""


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
    """Of each size; None where the median run failed."""
    failed: tuple[tuple[int, int], ...]
    """(swarm size, runs that failed), where any did."""
    exponent: Exponent | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """How t100 grows with the swarm, of one file size and number of seeders."""

    title: str
    slug: str
    seeders: int
    series: tuple[Series, ...]
    minimum: tuple[tuple[int, float], ...] = ()
    """(swarm size, the theoretical minimum in seconds)."""


@dataclass(frozen=True, slots=True)
class Share:
    """Where the time of one entrant's median leechers went, averaged over its runs."""

    cell: str
    entrant: str
    shares: tuple[tuple[str, float], ...]
    """(segment, share of the whole)."""
    seconds: float
    """The whole, averaged over runs."""
    runs: int


@dataclass(frozen=True, slots=True)
class Shares:
    """A group of them, drawn together."""

    title: str
    slug: str
    rows: tuple[Share, ...]
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a table: what is shown, and what it is sorted by."""

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
    """Columns that are numbers."""
    anchors: tuple[str, ...] = ()
    """Of each row, the cell that its first entry leads to."""


@dataclass(frozen=True, slots=True)
class Line:
    """A warning, and which cells it is of."""

    text: str
    cells: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Return the cells in words; empty where it is of all."""
        if not self.cells:
            return ""
        more = f" and {len(self.cells) - 4} more" if len(self.cells) > 4 else ""
        return ", ".join(self.cells[:4]) + more


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell's own report."""

    name: str
    anchor: str
    facts: Facts
    title: str
    head: tuple[str, ...]
    """What was raced, a line each."""
    answer: tuple[str, ...]
    warnings: tuple[str, ...]
    times: tuple[TableData, ...]
    runs: TableData
    failures: tuple[str, ...]
    settings: tuple[str, ...]
    provenance: tuple[str, ...]
    attempts: tuple[str, ...]
    """Other attempts at it, and what became of them."""


@dataclass(frozen=True, slots=True)
class Colour:
    """An entrant and its place among the colours."""

    entrant: str
    index: int
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report."""

    title: str
    state: tuple[str, ...]
    """What is not finished; empty of a whole sweep."""
    answer: tuple[str, ...]
    acceptance: tuple[MatrixJudgement, ...]
    completed: tuple[str, ...]
    """Transfers completed of started, by entrant."""
    warnings: tuple[Line, ...]
    bounded: tuple[str, ...]
    panels: tuple[PanelRow, ...]
    growth: tuple[Growth, ...]
    shares: tuple[Shares, ...]
    uploads: TableData | None
    tables: tuple[TableData, ...]
    """Bandwidth, stability, reliability."""
    cells: tuple[Cell, ...]
    missing: tuple[str, ...]
    """Cells that are planned and have no results."""
    definitions: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    provenance: tuple[str, ...]
    commands: tuple[str, ...]
    not_tested: tuple[str, ...]
    colours: tuple[Colour, ...]
    pairs: tuple[tuple[str, str], ...]
    """The pairs that are set against each other: entrant, of."""
    left_out: tuple[str, ...] = ()
    """Folders that are not counted, and why."""
    networks: tuple[str, ...] = field(default=("",))

    @property
    def matrix(self) -> bool:
        """Whether it is of more than one cell."""
        return len(self.cells) + len(self.missing) > 1

    def colour(self, entrant: str) -> Colour:
        """Return an entrant's colour."""
        return next(each for each in self.colours if each.entrant == entrant)


def comparison_of(facts: Facts, pair: Sequence[str]) -> Comparison | None:
    """Return a cell's comparison of a pair, or None where it doesn't hold both."""
    for each in facts.verdict.comparisons:
        if (each.entrant, each.of) == tuple(pair):
            return each
    return None
