"""The columns of `transfers`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from swarmrace.export.columns import Column, RunRow, TransferRow
from swarmrace.export.run_columns import RUN
from swarmrace.verdict.runs import failure_of, transfer_seconds


def through_run(columns: Sequence[Column], get: Callable[[Any], RunRow]) -> tuple[Column, ...]:
    """Return a run's columns for another table, from whose rows `get` returns the run."""

    def composed(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda row: inner(get(row))

    return tuple(column._replace(get=composed(column.get)) for column in columns)


def _transfer(name: str) -> Callable[[TransferRow], Any]:
    return lambda row: row.result and row.result.transfer and getattr(row.result.transfer, name)


def _part(part: str, name: str) -> Callable[[TransferRow], Any]:
    return lambda row: getattr(getattr(row.result, part, None), name, None)


def _failure(name: str) -> Callable[[TransferRow], str]:
    def get(row: TransferRow) -> str:
        if row.result is None:
            lost = row.run.record.result.lost if row.run.record.result else {}
            failure_of_lost = {"reason": "peer lost", "detail": lost.get(row.peer, ""), "stage": ""}
            return failure_of_lost[name] if row.peer in lost else ""
        failure = failure_of(row.result)
        return "" if failure is None else str(getattr(failure, name))

    return get


def outcome(row: TransferRow) -> str:
    """Return the outcome of a transfer: `completed`, `failed`, or `missing` with its run."""
    if row.run.verdict.status == "missing":
        return "missing"
    if row.result is None or math.isinf(transfer_seconds(row.result)):
        return "failed"
    return "completed"


def _node(row: TransferRow) -> str:
    info = row.run.race.results.peer_infos(row.run.verdict.entrant).get(row.peer)
    return (info.node or info.host) if info is not None else ""


def _mark(kind: str, percent: float) -> Callable[[TransferRow], float | None]:
    def get(row: TransferRow) -> float | None:
        found = getattr(row.result.transfer, kind) if row.result and row.result.transfer else ()
        return next((mark.seconds for mark in found if mark.percent == percent), None)

    return get


TRANSFERS_COLUMNS: tuple[Column, ...] = (
    *through_run(RUN, lambda row: row.run),
    Column("peer", "integer", "1", "Index of the leecher", lambda r: r.peer),
    Column("node", "text", "", "Machine or pod it ran on", _node),
    Column(
        "outcome",
        "text",
        "",
        "`completed`: every byte, verified; `failed`; `missing`: its run is missing",
        outcome,
    ),
    Column("reason", "text", "", "Why it failed", _failure("reason")),
    Column("stage", "text", "", "Stage in which it failed", _failure("stage")),
    Column("detail", "text", "", "Details as reported", _failure("detail")),
    Column(
        "done_seconds",
        "number",
        "second",
        "t100: from its own start stamp until the system reports done",
        _transfer("done_seconds"),
    ),
    Column(
        "done_resolution_seconds",
        "number",
        "second",
        "Uncertainty of `done_seconds`",
        _transfer("done_resolution_seconds"),
    ),
    Column(
        "discovery_seconds",
        "number",
        "second",
        "Time until metadata or manifest are known",
        _transfer("discovery_seconds"),
    ),
    Column(
        "first_arrival_seconds",
        "number",
        "second",
        "Time to the first byte, arrival",
        _mark("arrival", 0),
    ),
    Column(
        "first_written_seconds",
        "number",
        "second",
        "Time to the first byte, written",
        _mark("written", 0),
    ),
    Column(
        "first_delivery_seconds",
        "number",
        "second",
        "Time to the first byte, delivery",
        _mark("delivery", 0),
    ),
    Column(
        "verified",
        "boolean",
        "",
        "Whether length and SHA-256 match the payload's",
        _transfer("verified"),
    ),
    Column(
        "received_bytes",
        "integer",
        "byte",
        "Distinct payload bytes recorded",
        _transfer("received_bytes"),
    ),
    Column(
        "duplicate_bytes",
        "integer",
        "byte",
        "Payload bytes that arrived again",
        _transfer("duplicate_bytes"),
    ),
    Column(
        "records_complete",
        "boolean",
        "",
        "Whether every byte has a record",
        _transfer("records_complete"),
    ),
    Column(
        "longest_stall_seconds",
        "number",
        "second",
        "Longest time without a new byte, arrival",
        _transfer("longest_stall_seconds"),
    ),
    Column(
        "longest_written_stall_seconds",
        "number",
        "second",
        "Longest time without a new byte, written",
        _transfer("longest_written_stall_seconds"),
    ),
    Column(
        "longest_delivery_stall_seconds",
        "number",
        "second",
        "Longest time without a new byte, delivery",
        _transfer("longest_delivery_stall_seconds"),
    ),
    Column(
        "arrival_variation",
        "number",
        "1",
        "Coefficient of variation of throughput in 100 ms bins, arrival",
        _transfer("arrival_variation"),
    ),
    Column(
        "written_variation",
        "number",
        "1",
        "Coefficient of variation of throughput in 100 ms bins, written",
        _transfer("written_variation"),
    ),
    Column(
        "delivery_variation",
        "number",
        "1",
        "Coefficient of variation of throughput in 100 ms bins, delivery",
        _transfer("delivery_variation"),
    ),
    Column(
        "start_lag_seconds",
        "number",
        "second",
        "Its start stamp minus the common instant",
        _transfer("start_lag_seconds"),
    ),
    Column(
        "connections_at_start",
        "integer",
        "1",
        "Open connections at the start of the race",
        _transfer("connections_at_start"),
    ),
    Column("retries", "integer", "1", "Retries counted by the system", _transfer("retries")),
    Column(
        "wire_sent_bytes",
        "integer",
        "byte",
        "Sent by its interface from the common start to the run's end",
        _part("wire", "sent_bytes"),
    ),
    Column(
        "wire_received_bytes",
        "integer",
        "byte",
        "Received by its interface from the common start to the run's end",
        _part("wire", "received_bytes"),
    ),
    Column(
        "cpu_seconds", "number", "second", "CPU time of its system", _part("usage", "cpu_seconds")
    ),
    Column(
        "peak_memory_bytes",
        "integer",
        "byte",
        "Highest resident set",
        _part("usage", "peak_memory_bytes"),
    ),
)
