"""Bandwidth, stability and reliability: a row for each cell and entrant."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from swarmrace.report.facts import Facts
from swarmrace.report.model import Entry, TableData
from swarmrace.report.selection import Chosen
from swarmrace.report.shares import number
from swarmrace.verdict.model import EntrantVerdict

Column = tuple[str, Callable[[Facts, str, EntrantVerdict], Entry]]


def tables(chosen: Chosen) -> Iterator[TableData]:
    """Yield the three tables; one without any figure is left out."""
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
    # A column that nobody has says nothing.
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
    """Return what takes the first of these figures that an entrant has."""

    def get(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
        for name in names:
            if (found := entrant.figures.get(name)) is not None:
                return number(name, found)
        return Entry("–")

    return get


def _complete_runs(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    told = entrant.reliability
    raced = told.runs_scheduled - told.runs_missing
    if not raced:
        return Entry("–")
    return Entry(f"{told.runs_complete} of {raced}", told.runs_complete / raced)


def _limits(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    told = entrant.reliability
    if told.runs_scheduled == told.runs_missing:
        return Entry("–")
    low, high = 100 * told.complete_share_low, 100 * told.complete_share_high
    return Entry(f"{low:.0f} to {high:.0f} %", low)


def _transfers(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    told = entrant.reliability
    share = told.transfers_completed / told.transfers_started if told.transfers_started else None
    return Entry(f"{told.transfers_completed} of {told.transfers_started}", share)


def _reasons(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    found = entrant.reliability.failures
    text = ", ".join(f"{reason} {count} ×" for reason, count in found.items())
    return Entry(text or "–", float(sum(found.values())))


def _missing(_: Facts, __: str, entrant: EntrantVerdict) -> Entry:
    count = entrant.reliability.runs_missing
    return Entry(str(count) if count else "–", float(count))


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
    "Bytes of all peers' interfaces over payload × leechers, of complete runs; the share of the "
    "payload that leechers served each other, by the systems' own counters or else by wire. Median "
    "over runs (least–most)."
)
_STABILITY: tuple[Column, ...] = (
    ("longest stall", _figure("longestStall", "longestWrittenStall", "longestDeliveryStall")),
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
    "Stall and variation are of the first of arrival, written and delivery that an entrant "
    "observes, so two entrants' may be of unlike kinds; the cells' own tables set like against "
    "like. Median over runs (least–most)."
)
_RELIABILITY: tuple[Column, ...] = (
    ("complete runs", _complete_runs),
    ("share, 95 % (exact)", _limits),
    ("transfers", _transfers),
    ("missing runs", _missing),
    ("reasons", _reasons),
)
_RELIABILITY_NOTE = (
    "A run is complete when every leecher completed; its share has Clopper and Pearson's limits. "
    "Missing runs were lost to the infrastructure and are in no figure."
)
