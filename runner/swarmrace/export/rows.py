"""Makes the rows of the tables from one results folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swarmrace.errors import ResultsError
from swarmrace.export.columns import MarksRow, RunRow, Table, TransferRow
from swarmrace.export.folders import JudgedRace, read
from swarmrace.export.tables import MARKS, MARKS_HEAD, PERCENTS, RUNS, TRANSFERS
from swarmrace.recording.percents import percents_of
from swarmrace.recording.records import CURVES, WIRE, PeerResult, Percents
from swarmrace.results.folder import Results
from swarmrace.verdict.runs import view

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]
"""Rows by table name; a row has its values in the order of the table's columns."""


def rows_of_folder(folder: Path) -> Rows:
    """Return the rows of a results folder.

    Raises:
        ResultsError: the folder can't be read, or was edited.
    """
    return rows(read(folder))


def rows(race: JudgedRace) -> Rows:
    """Return the rows of a race."""
    runs = list(_runs(race))
    transfers = [each for run in runs for each in _transfers(run)]
    marks = [each for transfer in transfers for each in _marks(race, transfer)]
    return {
        TRANSFERS.name: _fill(TRANSFERS, transfers),
        RUNS.name: _fill(RUNS, runs),
        MARKS.name: [_marks_row(each) for each in marks],
    }


def _fill(table: Table, contexts: Sequence[Any]) -> list[Row]:
    return [tuple(column.get(each) for column in table.columns) for each in contexts]


def _marks_row(each: MarksRow) -> Row:
    """Return a row of `marks`: its first columns, then a time for each percent that was reached."""
    seconds = each.percents.seconds
    return (
        *(column.get(each) for column in MARKS_HEAD),
        *seconds,
        *(None,) * (PERCENTS - len(seconds)),
    )


def _runs(race: JudgedRace) -> Iterator[RunRow]:
    records = {record.run.id: record for record in race.results.runs}
    for verdict in race.verdict.runs:
        yield RunRow(race, verdict, view(records[verdict.run_id], race.results.scenario.race))


def _transfers(run: RunRow) -> Iterator[TransferRow]:
    record = run.record
    if record.result is None and not record.peers:
        return  # never began
    for peer in range(run.race.results.scenario.race.swarm_size):
        if peer not in record.run.seeders:
            yield TransferRow(run, peer, record.peers.get(peer))


def _marks(race: JudgedRace, row: TransferRow) -> Iterator[MarksRow]:
    if row.result is None:
        return
    poll = race.verdict.entrants[row.run.verdict.entrant].poll_seconds
    for curve, found in percents(race.results, row.result, poll).items():
        yield MarksRow(row, curve, found)


def percents(results: Results, peer: PeerResult, poll_seconds: float) -> dict[str, Percents]:
    """Return a leecher's curves at every whole percent, by kind.

    They are stored with its transfer. In older folders they are computed from the npz, if it
    exists.
    """
    found: dict[str, Percents] = {}
    transfer = peer.transfer
    for kind in CURVES:
        if transfer is None or not getattr(transfer, kind):
            continue  # not observed, or nothing arrived
        stored = transfer.percents.get(kind)
        computed = stored or _computed(results, peer, kind, poll_seconds)
        if computed is not None and computed.seconds:
            found[kind] = computed
    wire = peer.wire_curve
    if wire is not None and wire.bytes_until_done:
        computed = wire.percents or _wire(results, peer, wire.bytes_until_done)
        if computed is not None:
            found[WIRE] = computed
    return found


def _computed(
    results: Results, peer: PeerResult, kind: str, poll_seconds: float
) -> Percents | None:
    """Return a curve's percents from its npz. A delivery without a curve of its own is computed
    from the bytes that arrived or were written."""
    transfer = peer.transfer
    assert transfer is not None
    names = [CURVES[kind]]
    if kind == "delivery":
        names += [CURVES["arrival"], CURVES["written"]]
    for name in names:
        if getattr(transfer, f"{name}_file") is None:
            continue
        try:
            curve = results.curve(peer.run_id, peer.peer, name)
        except ResultsError:
            return None  # missing or incomplete: only its marks are known
        curve = curve.prefix() if kind == "delivery" and curve.offsets_known else curve
        done = transfer.done_seconds
        return percents_of(curve, poll_seconds, None if done is None else round(done * 1e9))
    return None


def _wire(results: Results, peer: PeerResult, total: int) -> Percents | None:
    assert peer.wire_curve is not None
    try:
        curve = results.curve(peer.run_id, peer.peer, WIRE)
    except ResultsError:
        return None
    wanted = [curve.time_to_bytes(max(1, -(-total * percent // 100))) for percent in range(101)]
    seconds = [t_ns / 1e9 for t_ns in wanted if t_ns is not None]
    gap = peer.wire_curve.longest_gap_seconds
    return Percents(seconds=seconds, resolution_seconds=[gap] * len(seconds))
