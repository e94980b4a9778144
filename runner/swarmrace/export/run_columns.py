"""The columns of `runs`, and those that `transfers` repeats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from swarmrace.export.columns import Column, RunRow
from swarmrace.plan.plan import describe
from swarmrace.verdict.figures import publish_seconds
from swarmrace.verdict.model import Value


def _number(value: Value) -> float | None:
    return value if isinstance(value, float | int) else None


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


def _options(row: RunRow) -> Any:
    return row.race.results.scenario.entrants[row.verdict.entrant]


def _setting(name: str) -> Callable[[RunRow], Any]:
    return lambda row: getattr(row.race.results.scenario.race, name)


def _network(name: str) -> Callable[[RunRow], Any]:
    return lambda row: getattr(row.race.results.scenario.race.network, name)


RUN: tuple[Column, ...] = (
    Column("race_id", "text", "", "The race's id", lambda r: r.race.results.info.race_id),
    Column(
        "folder", "text", "", "Name of the results folder", lambda r: r.race.results.folder.name
    ),
    Column(
        "cell",
        "text",
        "",
        "Cell of the matrix: peers x seeders, file size, network",
        lambda r: r.race.cell,
    ),
    Column("attempt", "integer", "1", "The scenario's attempt, from 1", lambda r: r.race.attempt),
    Column(
        "swarm_size",
        "integer",
        "1",
        "Peers of each entrant, seeders included",
        _setting("swarm_size"),
    ),
    Column("seeders", "integer", "1", "Peers that hold the file at the start", _setting("seeders")),
    Column("file_size_bytes", "integer", "byte", "Size of the payload", _setting("file_size")),
    Column(
        "network",
        "text",
        "",
        "Network conditions in words; empty if none are set",
        lambda r: describe(r.race.results.scenario.race.network),
    ),
    Column("entrant", "text", "", "Name of the entrant", lambda r: r.verdict.entrant),
    Column("kind", "text", "", "Kind of the entrant", lambda r: _options(r).kind),
    Column("profile", "text", "", "Profile of the entrant", lambda r: _options(r).profile),
    Column(
        "test_double",
        "boolean",
        "",
        "Whether its program is a test double of the real one",
        lambda r: r.race.verdict.entrants[r.verdict.entrant].test_double,
    ),
    Column(
        "run_id",
        "text",
        "",
        "Id of the run: its position in the race and its entrant",
        lambda r: r.verdict.run_id,
    ),
    Column(
        "repetition",
        "integer",
        "1",
        "Block, from 0; each block has one run of every entrant",
        lambda r: r.verdict.repetition,
    ),
    Column("place", "integer", "1", "Position within its block, from 1", lambda r: r.verdict.place),
)

RUNS_COLUMNS: tuple[Column, ...] = (
    *RUN,
    Column(
        "run_index",
        "integer",
        "1",
        "Position within the race, from 0",
        lambda r: r.record.run.index,
    ),
    Column(
        "upload_rate",
        "integer",
        "byte/second",
        "Upload rate set for every peer",
        _network("upload"),
    ),
    Column(
        "download_rate",
        "integer",
        "byte/second",
        "Download rate set for every peer",
        _network("download"),
    ),
    Column(
        "delay_ms", "number", "millisecond", "Delay set, one way", _network("delay_milliseconds")
    ),
    Column("loss_percent", "number", "%", "Loss set", _network("loss_percent")),
    Column(
        "status",
        "text",
        "",
        "`counted`; `failed`: ranked slower than any counted run; `missing`: lost to the "
        "infrastructure or never run, in no figure",
        lambda r: r.verdict.status,
    ),
    Column(
        "reason",
        "text",
        "",
        "Why the run failed or is missing; failures of its peers",
        lambda r: r.verdict.reason,
    ),
    Column(
        "t100_seconds",
        "number",
        "second",
        "The run's number: t100 (done) of its median leecher",
        lambda r: _number(r.verdict.t100),
    ),
    Column(
        "last_seconds",
        "number",
        "second",
        "t100 of its last leecher",
        lambda r: _number(r.verdict.last),
    ),
    Column("leechers", "integer", "1", "Leechers that started", lambda r: r.verdict.leechers),
    Column(
        "completed",
        "integer",
        "1",
        "Leechers that completed, verified",
        lambda r: r.verdict.completed,
    ),
    Column(
        "publish_seconds",
        "number",
        "second",
        "Publish time of the first seeder, which publishes alone",
        lambda r: _finite(publish_seconds(r.view)),
    ),
    Column(
        "wire_sent_bytes",
        "integer",
        "byte",
        "Sent by all peers' interfaces; empty if one was not measured",
        lambda r: _wire(r, "sent_bytes"),
    ),
    Column(
        "wire_received_bytes",
        "integer",
        "byte",
        "Received by all peers' interfaces; empty if one was not measured",
        lambda r: _wire(r, "received_bytes"),
    ),
    Column(
        "cpu_seconds",
        "number",
        "second",
        "CPU time of all peers' systems",
        lambda r: _usage(r, "cpu_seconds"),
    ),
    Column(
        "runner_cpu_seconds",
        "number",
        "second",
        "CPU time of the runners that are separate processes",
        lambda r: _usage(r, "runner_cpu_seconds"),
    ),
    Column(
        "foreign_cpu_share",
        "number",
        "1",
        "Share of a machine's CPUs that other work used",
        lambda r: r.verdict.foreign_cpu_share,
    ),
    Column(
        "wall_seconds",
        "number",
        "second",
        "From the run's opening until its last peer has cleaned up",
        lambda r: r.verdict.wall_seconds,
    ),
    Column(
        "opened_utc",
        "text",
        "",
        "Wall-clock time of its opening, only for information",
        lambda r: r.record.result.opened_utc if r.record.result else "",
    ),
    Column(
        "seeding_peers",
        "text",
        "",
        "Indexes of the seeding peers",
        lambda r: " ".join(map(str, r.verdict.seeders)),
    ),
    Column("payload_seed", "text", "", "Seed of the payload", lambda r: r.verdict.payload_seed),
)


def _wire(row: RunRow, name: str) -> int | None:
    wires = [peer.wire for peer in row.record.peers.values()]
    known = [wire for wire in wires if wire is not None]
    whole = len(known) == len(wires) == row.race.results.scenario.race.swarm_size
    return sum(getattr(wire, name) for wire in known) if whole else None


def _usage(row: RunRow, name: str) -> float | None:
    found = [getattr(peer.usage, name) for peer in row.record.peers.values() if peer.usage]
    known = [value for value in found if value is not None]
    return math.fsum(known) if known else None
