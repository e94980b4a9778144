"""The three tables: their columns and what each means. The data dictionary is written from them.

A value that is unknown or doesn't apply is empty (null). The time of a failed transfer is empty
too; `outcome` and `status` tell them apart. Ratios and intervals are only in the verdict.
"""

from __future__ import annotations

from swarmrace.export.columns import Column, MarksRow, Table
from swarmrace.export.run_columns import RUN, RUNS_COLUMNS
from swarmrace.export.transfer_columns import TRANSFERS_COLUMNS, outcome, through_run

PERCENTS = 101
"""Number of the last columns of `marks`: 0 to 100 %, in this order."""

_KEY = ("race_id", "cell", "entrant", "run_id", "repetition")
"""The run's columns that `marks` repeats. Join the others by `race_id` and `run_id`."""

MARKS_HEAD: tuple[Column, ...] = (
    *through_run([c for c in RUN if c.name in _KEY], lambda row: row.transfer.run),
    Column("peer", "integer", "1", "Index of the leecher", lambda r: r.transfer.peer),
    Column("outcome", "text", "", "As in `transfers`", lambda r: outcome(r.transfer)),
    Column(
        "curve",
        "text",
        "",
        "`arrival`, `written`, `delivery`: percent of the payload; `wire`: percent of the bytes "
        "that its interface received until done",
        lambda r: r.curve,
    ),
    Column(
        "stall_seconds",
        "number",
        "second",
        "Longest time without a new byte on this curve",
        lambda r: r.percents.stall_seconds,
    ),
    Column(
        "stall_began_seconds",
        "number",
        "second",
        "When this stall began; empty if there was none",
        lambda r: r.percents.stall_began_seconds,
    ),
    Column(
        "resolution_seconds",
        "number",
        "second",
        "Largest uncertainty of its times",
        lambda r: max(r.percents.resolution_seconds, default=None),
    ),
)


def _percent(percent: int) -> Column:
    def get(row: MarksRow) -> float | None:
        seconds = row.percents.seconds
        return seconds[percent] if percent < len(seconds) else None

    what = "the first byte" if percent == 0 else f"{percent} %"
    text = f"Time to {what}; empty if never reached"
    return Column(f"p{percent}", "number", "second", text, get)


RUNS = Table("runs", "One row for each scheduled run.", RUNS_COLUMNS)
TRANSFERS = Table("transfers", "One row for each leecher of each run.", TRANSFERS_COLUMNS)
MARKS = Table(
    "marks",
    "One row for each curve of each transfer.",
    (*MARKS_HEAD, *(_percent(percent) for percent in range(PERCENTS))),
)
TABLES = (TRANSFERS, RUNS, MARKS)
