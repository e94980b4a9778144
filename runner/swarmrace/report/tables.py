"""The tables of bandwidth, stability and reliability, with a row for each cell and entrant."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from swarmrace.report.facts import Facts
from swarmrace.report.model import Entry, TableData
from swarmrace.report.selection import Chosen
from swarmrace.report.shares import number
from swarmrace.verdict.model import EntrantVerdict

STALL_SECONDS = 1.0
"""From this long without a new byte a transfer counts as stalled."""

Column = tuple[str, Callable[[Facts, str, EntrantVerdict], Entry]]


def tables(chosen: Chosen) -> Iterator[TableData]:
    """Yield the three tables; a table without figures is left out."""
    for title, slug, note, columns in (
        ("Bandwidth", "bandwidth", _BANDWIDTH_NOTE, _BANDWIDTH),
        ("Stability", "stability", _STABILITY_NOTE, _STABILITY),
        ("Reliability", "reliability", _RELIABILITY_NOTE, _RELIABILITY),
    ):
        found = _table(chosen, title, slug, note, columns)
        if found.rows:
            yield found


def _table(
    chosen: Chosen, title: str, slug: str, note: str, columns: tuple[Column, ...]
) -> TableData:
    rows, anchors = [], []
    for cell in chosen.cells:
        for name, entrant in cell.verdict.entrants.items():
            entries = [get(cell, name, entrant) for _, get in columns]
            rows.append((Entry(chosen.name_of(cell)), Entry(name), *entries))
            anchors.append(chosen.name_of(cell))
    # Leave out columns without any value.
    kept = [
        at for at in range(len(columns) + 2) if at < 2 or any(row[at].text != "–" for row in rows)
    ]
    head = ("cell", "entrant", *(label for label, _ in columns))
    return TableData(
        title,
        slug,
        tuple(head[at] for at in kept),
        tuple(tuple(row[at] for at in kept) for row in rows) if len(kept) > 2 else (),
        note=note,
        numeric=tuple(range(2, len(kept))),
        anchors=tuple(anchors),
    )


def _figure(*names: str) -> Callable[[Facts, str, EntrantVerdict], Entry]:
    """Return a getter of the first of these figures that an entrant has."""

    def get(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
        for name in names:
            if (found := entrant.figures.get(name)) is not None:
                return number(name, found)
        return Entry("–")

    return get


def _complete_runs(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    reliability = entrant.reliability
    raced = reliability.runs_raced
    if not raced:
        return Entry("–")
    return Entry(f"{reliability.runs_complete} of {raced}", reliability.runs_complete / raced)


def _limits(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    reliability = entrant.reliability
    if not reliability.runs_raced:
        return Entry("–")
    low, high = 100 * reliability.complete_share_low, 100 * reliability.complete_share_high
    return Entry(f"{low:.0f} to {high:.0f} %", low)


def _transfers(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    started = entrant.reliability.transfers_started
    completed = entrant.reliability.transfers_completed
    return Entry(f"{completed} of {started}", completed / started if started else None)


def _reasons(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    found = entrant.reliability.failures
    text = ", ".join(f"{reason} {count} ×" for reason, count in found.items())
    return Entry(text or "–", float(sum(found.values())))


def _missing(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    count = entrant.reliability.runs_missing
    return Entry(str(count) if count else "–", float(count))


def _stalled(cell: Facts, name: str, _: EntrantVerdict) -> Entry:
    """Return how many of an entrant's transfers stalled."""
    runs = (run for run in cell.runs if run.entrant == name)
    leechers = (each for run in runs for each in run.leechers if each.outcome != "missing")
    stalls = [each.stall for each in leechers if each.stall is not None]
    if not stalls:
        return Entry("–")
    count = sum(stall >= STALL_SECONDS for stall in stalls)
    return Entry(f"{count} of {len(stalls)}", count / len(stalls))


def _bound(cell: Facts, name: str, _: EntrantVerdict) -> Entry:
    found = cell.bounds.get(name)
    return Entry(found.what if found else "–")


_BANDWIDTH: tuple[Column, ...] = (
    ("wire sent / payload", _figure("wireSent")),
    ("wire received / payload", _figure("wireReceived")),
    ("packets sent", _figure("wirePackets")),
    ("duplicates / payload", _figure("duplicates")),
    ("sent by leechers", _figure("leechersShare", "leechersShareOfWire")),
    ("connected peers", _figure("connectedPeers")),
)
_BANDWIDTH_NOTE = (
    "Wire: bytes of all peers' interfaces / (payload × leechers), in complete runs. Sent by "
    "leechers: share of the payload that leechers served each other, by the systems' own counters, "
    "or by wire if there are none. Median over runs (min–max)."
)
_STABILITY: tuple[Column, ...] = (
    ("longest stall", _figure("longestStall", "longestWrittenStall", "longestDeliveryStall")),
    ("stalled transfers", _stalled),
    ("variation", _figure("arrivalVariation", "writtenVariation", "deliveryVariation")),
    ("spread between runs", _figure("spread")),
    ("slow runs, share", _figure("slowRuns")),
    ("slowest / median run", _figure("slowestRun")),
    ("CPU, median leecher", _figure("cpuLeecher")),
    ("CPU, all peers", _figure("cpuAll")),
    ("peak memory", _figure("peakMemory")),
    ("bounded by", _bound),
)
_STABILITY_NOTE = (
    f"A transfer is stalled if no new byte comes for {STALL_SECONDS:g} s or longer. Stall and "
    "variation: on the first curve that an entrant observes (arrival, written or delivery). Two "
    "entrants' curves may differ in kind; the tables of each cell compare only curves of the same "
    "kind. Median over runs (min–max)."
)
_RELIABILITY: tuple[Column, ...] = (
    ("complete runs", _complete_runs),
    ("share, 95 % (exact)", _limits),
    ("transfers", _transfers),
    ("missing runs", _missing),
    ("reasons", _reasons),
)
_RELIABILITY_NOTE = (
    "A run is complete if every leecher completed. The share has Clopper–Pearson limits. Missing "
    "runs were lost to the infrastructure and are in no figure."
)
