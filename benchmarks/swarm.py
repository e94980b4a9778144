"""Races by the whole program: slowest transfer, memory per peer, overhead of the harness.

    python -m benchmarks.swarm                 32 peers (4 seeders, 28 leechers), then 8 (1 seeder)
    python -m benchmarks.swarm --swarm 16:2    16 peers, 2 of them seeders

Memory is the unique set size (USS) of each peer's process: the memory that its end would free. A
thread of this process reads it once in every run, when all peers serve or race.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import threading
from pathlib import Path
from typing import Any

import click
import psutil

from swarmrace.backends.local.backend import LocalRace, run
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse


def scenario(peers: int, seeders: int, size: str, repetitions: int, kinds: tuple[str, ...]) -> Any:
    """Return a race of tuned entrants of `kinds`."""
    race = {
        "swarmSize": peers,
        "seeders": seeders,
        "fileSize": size,
        "repetitions": repetitions,
        "timeouts": {"stallSeconds": 30, "transferSeconds": 300},
    }
    entrants = {kind: {"kind": kind, "profile": "tuned"} for kind in kinds}
    return parse({"global": {"race": race, "entrants": entrants}})


class MemoryWatch:
    """The USS of every peer in every run, by entrant."""

    def __init__(self) -> None:
        self.uss_bytes: dict[str, list[int]] = {}
        self._sampled_runs: set[str] = set()

    def update(self, status: dict[str, Any]) -> None:
        """Sample once in every run, as soon as one of its peers has ended its transfer."""
        current = status.get("run")
        if not current or current["id"] in self._sampled_runs:
            return
        stages = {p["stage"] for p in status["peers"] if p.get("run_id") == current["id"]}
        if stages <= {"race", "serve"} and "serve" in stages:
            self._sampled_runs.add(current["id"])
            threading.Thread(target=self._sample, args=(current["entrant"],)).start()

    def _sample(self, entrant: str) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.name().startswith(f"{entrant}-"[:15]):
                    uss = process.memory_full_info().uss
                    self.uss_bytes.setdefault(entrant, []).append(uss)


def overhead_seconds(record: results.RunRecord) -> dict[str, float]:
    """Return one run's time beyond publishing and its slowest transfer, in seconds.

    `harness` is wall time minus publishing, slowest transfer and `cleared`; making the file,
    verification and removal are also listed separately.
    """
    assert record.result is not None
    peers = record.peers.values()
    stages: dict[str, float] = {}
    for name in ("make", "verify", "remove"):
        seconds = [s.seconds for p in peers for s in p.stages if s.name == name]
        stages[name] = max(seconds, default=0.0)
    first = [p.publish.seconds for p in peers if p.publish and p.publish.rank == 0]
    others = [p.publish.seconds for p in peers if p.publish and p.publish.rank > 0]
    slowest = slowest_seconds(record)
    cleared = record.result.phases.get("cleared", 0.0)
    published = max(first, default=0.0) + max(others, default=0.0)
    harness = record.result.wall_seconds - published - slowest - cleared
    return {"harness": harness, "cleared": cleared, **stages}


def slowest_seconds(record: results.RunRecord) -> float:
    """Return the last leecher's t100."""
    return max(p.transfer.done_seconds for p in record.peers.values() if p.transfer)


def emit(name: str, value: float, unit: str, n: int, spread: str, aim: str, met: bool) -> None:
    """Print one figure as a JSON line."""
    fields = {"name": name, "value": round(value, 4), "unit": unit, "n": n, "spread": spread}
    click.echo(json.dumps({**fields, "aim": aim, "met": met}))


@click.command()
@click.option(
    "--swarm",
    "swarms",
    multiple=True,
    default=("32:4", "8:1"),
    show_default=True,
    help="PEERS:SEEDERS; repeatable, one race each.",
)
@click.option("--size", default="100MiB", show_default=True)
@click.option("--repetitions", default=5, show_default=True)
@click.option("--kind", "kinds", multiple=True, default=("bittorrent", "http"), show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the results folders here.")
def main(
    swarms: tuple[str, ...], size: str, repetitions: int, kinds: tuple[str, ...], keep: Path | None
) -> None:
    """Race real swarms on this machine and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        for swarm in swarms:
            peers, seeders = (int(number) for number in swarm.split(":"))
            watch = MemoryWatch()
            raced = scenario(peers, seeders, size, repetitions, kinds)
            local = LocalRace(raced, f"swarm{peers}", keep or Path(folder))
            target = local.folder()
            asyncio.run(run(local, target, watch.update))
            loaded = results.load(target)
            for kind in kinds:
                _report(kind, peers, [r for r in loaded.runs if r.run.entrant == kind], watch)


def _report(kind: str, peers: int, records: list[results.RunRecord], watch: MemoryWatch) -> None:
    failed = [p for r in records for p in r.peers.values() if p.outcome == "failed"]
    started = sum(len(r.peers) for r in records)
    label = f"{kind}, {peers} peers"
    emit(f"{label}: failures", len(failed), "", started, "", "0", not failed)
    for peer in failed:
        click.echo(f"# {peer.run_id} {peer.entrant}-{peer.peer}: {peer.failure}", err=True)
    complete = [r for r in records if not any(p.outcome == "failed" for p in r.peers.values())]
    if not complete:
        return
    slowest = [slowest_seconds(r) for r in complete]
    emit(
        f"{label}: slowest transfer",
        statistics.median(slowest),
        "s",
        len(complete),
        _spread(slowest),
        "<= 10",
        statistics.median(slowest) <= 10,
    )
    parts = [overhead_seconds(r) for r in complete]
    bound = 1.0 if peers <= 8 else 3.0
    harness = [p["harness"] for p in parts]
    emit(
        f"{label}: harness overhead of a run",
        statistics.median(harness),
        "s",
        len(complete),
        _spread(harness),
        f"<= {bound:g}",
        statistics.median(harness) <= bound,
    )
    for name in ("make", "verify", "remove", "cleared"):
        values = [p[name] for p in parts]
        emit(
            f"{label}: {name}, apart",
            statistics.median(values),
            "s",
            len(complete),
            _spread(values),
            "",
            True,
        )
    lags = sorted(
        p.transfer.start_lag_seconds for r in complete for p in r.peers.values() if p.transfer
    )
    p99 = lags[min(len(lags) - 1, int(0.99 * len(lags)))] * 1e3
    emit(
        f"{label}: startLag p99",
        p99,
        "ms",
        len(lags),
        _spread([x * 1e3 for x in lags]),
        "<= 5",
        p99 <= 5,
    )
    uss = [b / 1e6 for b in watch.uss_bytes.get(kind, [])]
    if uss:
        emit(
            f"{label}: USS per peer",
            max(uss),
            "MB",
            len(uss),
            _spread(uss),
            "<= 90",
            max(uss) <= 90,
        )
    lost = [
        p
        for r in complete
        for p in r.peers.values()
        if p.transfer and not p.transfer.records_complete
    ]
    emit(f"{label}: transfers with records missing", len(lost), "", len(lags), "", "0", not lost)


def _spread(values: list[float]) -> str:
    return f"{min(values):.3g} to {max(values):.3g}"


if __name__ == "__main__":
    main()
