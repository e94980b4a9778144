"""Results folders from synthetic numbers: what rendezvous and peers would have written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from swarmrace.errors import Reason
from swarmrace.plan.schedule import schedule
from swarmrace.recording.arrivals import Curve, Origin
from swarmrace.recording.records import (
    MARK_PERCENTS,
    Failure,
    Mark,
    PeerInfo,
    PeerResult,
    Publish,
    RaceInfo,
    RunResult,
    Transfer,
    Usage,
)
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run
from swarmrace.verdict import Verdict, compute

Times = Sequence[float]
"""Each leecher's t100 in seconds; infinite for a transfer that failed."""

INF = math.inf
BT = {"kind": "bittorrent"}
CODEX = {"kind": "codex"}
HTTP = {"kind": "http"}
TIMES = {"x": [[1, 2, 3], [2, 3, 4], [1.5, 2.5, 9]]}
STALL = Failure(reason=Reason.STALL, stage="race", detail="no byte for 120 s")


def scenario_of(entrants: Mapping[str, Mapping[str, Any]], **race: Any) -> Scenario:
    """Return a scenario of 4 peers, 1 seeding, unless `race` says otherwise."""
    keys = {"swarmSize": 4, "seeders": 1, "fileSize": "10MB", "repetitions": 3} | race
    return parse({"global": {"race": keys, "entrants": {k: dict(v) for k, v in entrants.items()}}})


def flat(*numbers: float) -> list[Times]:
    """Return runs whose leechers all take the same time."""
    return [[n, n, n] for n in numbers]


def updated(**fields: Any) -> Callable[[Any], Any]:
    """Return a function that changes these fields of a record."""
    return lambda model: model.model_copy(update=fields)


def verdict_of(
    tmp_path: Path,
    times: Mapping[str, Sequence[Times | None]] = TIMES,
    *,
    race: Mapping[str, Any] | None = None,
    entrants: Mapping[str, Mapping[str, Any]] | None = None,
    **folder: Any,
) -> Verdict:
    """Return the verdict of a race with the entrant `x`, or with `entrants`."""
    scenario = scenario_of(entrants or {"x": HTTP}, **(race or {}))
    return compute(results.load(build(tmp_path, scenario, times, **folder)))


def verdict_between(
    tmp_path: Path,
    entrants: Mapping[str, Mapping[str, Any]],
    times: Mapping[str, Sequence[Times | None]],
    *,
    folder: Mapping[str, Any] | None = None,
    **race: Any,
) -> Verdict:
    """Return the verdict of several entrants."""
    return verdict_of(tmp_path / "results", times, race=race, entrants=entrants, **(folder or {}))


def figure(found: Verdict, name: str, entrant: str = "x") -> Any:
    """Return a figure's value, minimum, maximum and number of runs, or None if there is none."""
    summary = found.entrants[entrant].figures.get(name)
    return summary and (summary.value, summary.least, summary.most, summary.runs)


def build(
    folder: Path,
    scenario: Scenario,
    times: Mapping[str, Sequence[Times | None]],
    *,
    resolution_seconds: float = 0.001,
    nodes: Callable[[str, int], str] = lambda entrant, peer: "",
    rates: Mapping[str, float] | None = None,
    peer: Callable[[PeerResult], PeerResult] = lambda result: result,
    run: Callable[[RunResult], RunResult | None] = lambda result: result,
) -> Path:
    """Write a results folder.

    Args:
        folder: made if it isn't there.
        scenario: what was raced.
        times: by entrant, for each repetition the leechers' times, or None when nothing was left.
        resolution_seconds: of every mark.
        nodes: the node of an entrant's peer.
        rates: what the preflight measured, for every peer.
        peer: changes a peer's record before it is written.
        run: changes a run's record before it is written, or leaves it out.
    """
    race_id = scenario.race_id()
    info = RaceInfo(
        race_id=race_id,
        name="made up",
        scenario=scenario.model_dump(mode="json"),
        backend="local",
        created_utc="2026-11-23T18:00:00Z",
        versions={"swarmrace": "0.1.0", "python": "3.11.7"},
        machine={"cpus": 2, "cpu": "a CPU", "memory_bytes": 8_000_000_000},
        status="finished",
        peers=[
            PeerInfo(
                entrant=name,
                peer=index,
                address=f"127.0.0.{index + 2}",
                host="here",
                node=nodes(name, index),
                versions={"swarmrace": "0.1.0"},
                rates=dict(rates or {}),
            )
            for name in scenario.entrants
            for index in range(scenario.race.swarm_size)
        ],
    )
    _write(folder / "race.json", info)
    for each in schedule(scenario):
        leechers = times[each.entrant][each.repetition]
        if leechers is not None:
            _write_run(
                folder, race_id, scenario, each, leechers, resolution_seconds, peer=peer, run=run
            )
    return folder


def _write_run(
    folder: Path,
    race_id: str,
    scenario: Scenario,
    each: Run,
    times: Times,
    resolution_seconds: float,
    *,
    peer: Callable[[PeerResult], PeerResult],
    run: Callable[[RunResult], RunResult | None],
) -> None:
    home = folder / "runs" / each.id
    home.mkdir(parents=True)
    result = run(
        RunResult(
            race_id=race_id,
            run_id=each.id,
            index=each.index,
            entrant=each.entrant,
            repetition=each.repetition,
            seeders=list(each.seeders),
            status="raced",
            wall_seconds=5.0,
        )
    )
    if result is not None:
        _write(home / "run.json", result)
    left = iter(times)
    for index in range(scenario.race.swarm_size):
        role = each.role(index)
        facts: dict[str, Any] = {}
        if role == "seeder":
            rank = each.seeders.index(index)
            facts["publish"] = Publish(seconds=0.5 + rank, rank=rank, steps={"hash": 0.2})
            failure = None
        else:
            seconds = next(left)
            failure = STALL if math.isinf(seconds) else None
            name = f"{each.entrant}-{index}.arrivals.npz"
            whole = transfer(seconds, resolution_seconds, scenario.race.file_size, name)
            facts["transfer"] = whole.model_copy(update=_unseen(scenario, each.entrant))
            origin = Origin(race_id, each.id, each.entrant, index)
            (home / name).write_bytes(curve(seconds, scenario.race.file_size).to_npz(origin))
        record = PeerResult(
            race_id=race_id,
            run_id=each.id,
            entrant=each.entrant,
            peer=index,
            role=role,
            repetition=each.repetition,
            seed=scenario.race.seed,
            payload_seed=each.payload_seed,
            size_bytes=each.size_bytes,
            outcome="failed" if failure else "completed",
            failure=failure,
            usage=Usage(cpu_seconds=1.0 + index, peak_memory_bytes=50_000_000),
            counters={"sent_bytes": 1000.0},
            system={"version": "made up 1", "settings": {"a": 1}, "reasons": {"a": "why"}},
            **facts,
        )
        _write(home / f"{each.entrant}-{index}.json", peer(record))


def _unseen(scenario: Scenario, entrant: str) -> dict[str, Any]:
    """Return the empty fields of what a Codex node can't observe."""
    options = scenario.entrants[entrant]
    if options.kind != "codex":
        return {}
    if options.download == "stream":
        return {"arrival": []}
    return {"delivery": [], "longest_delivery_stall_seconds": None}


def transfer(seconds: float, resolution_seconds: float, size_bytes: int, file: str) -> Transfer:
    """Return a transfer whose bytes came evenly; a failed one got 10 % within a second."""
    failed = math.isinf(seconds)
    marks = [
        Mark(
            percent=percent,
            seconds=percent / 10 if failed else max(0.001, seconds * percent / 100),
            resolution_seconds=resolution_seconds,
        )
        for percent in MARK_PERCENTS
        if not failed or percent <= 10
    ]
    return Transfer(
        start_lag_seconds=0.0002,
        start_error_seconds=0.00005,
        discovery_seconds=0.01,
        arrival=marks,
        delivery=marks,
        done_seconds=None if failed else seconds,
        done_resolution_seconds=None if failed else resolution_seconds,
        received_bytes=size_bytes // 10 if failed else size_bytes,
        records=1,
        unit="block of 16 KiB",
        longest_stall_seconds=0.1,
        longest_delivery_stall_seconds=0.2,
        duplicate_bytes=0,
        arrival_variation=0.3,
        delivery_variation=0.4,
        verified=None if failed else True,
        arrivals_file=file,
    )


@cache
def curve(seconds: float, size_bytes: int) -> Curve:
    """Return a curve of ten even steps; for a failed transfer one step at 1 s."""
    steps = 1 if math.isinf(seconds) else 10
    share = size_bytes // 10
    offset = np.arange(steps, dtype=np.int64) * share
    length = np.full(steps, share, dtype=np.int64)
    end = 1.0 if math.isinf(seconds) else seconds
    t_ns = np.round(np.linspace(end / steps, end, steps) * 1e9).astype(np.int64)
    return Curve(offset, length, t_ns, size_bytes)


def _write(path: Path, model: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(model.model_dump_json(indent=1))
