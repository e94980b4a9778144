"""What recording costs BitTorrent: throughput and CPU with recording over those without.

    python -m benchmarks.recording_cost                              every case
    python -m benchmarks.recording_cost --case "100 ms" --pairs 20   cases with this in their name
    python -m benchmarks.recording_cost --case swarm --keep cost.jsonl --seconds 170   a slice
    python -m benchmarks.recording_cost --keep cost.jsonl --pairs 0  print the pairs in the file

A pair is one recorded and one bare transfer with the same profile, in alternating order, each by
new processes. Ratios are taken within a pair; the figure is their geometric mean with its standard
error. A case is measured until that error is at most 0.015, for at least 10 and at most `--pairs`
pairs. The aim is 0.97: a setting that costs more may not be part of recording.

One to one: a seeder (ours) and a leecher, each in its own namespace, with a relay between them if
the case has a delay; CPU is that of the leecher's process. The swarm: 4 seeders and 28 leechers on
loopback, all recorded or all bare, with and without the record of every block's write; throughput
is that of the median and of the last leecher, CPU that of all peers. A bare leecher is done when
libtorrent reports it, a recorded one when all is verified and no write is outstanding, by
libtorrent's own stamps. Files are in /dev/shm if there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks import bittorrent_swarm
from benchmarks.bittorrent_node import Task
from benchmarks.bittorrent_throughput import Node, leech
from benchmarks.ratios import ratio_of
from benchmarks.relay import relayed
from swarmrace.network.namespaces import Namespace, PeerNetwork
from swarmrace.recording.payload import Payload, file_sha256
from swarmrace.scenario.scenario import Network
from swarmrace.systems.bittorrent.torrent import NAME
from swarmrace.units import parse_size

AIM = 0.97
MAX_STANDARD_ERROR = 0.015
MIN_PAIRS = 10
KINDS = ("instrumented", "bare")


@dataclass(frozen=True)
class Case:
    """One kind of transfer to measure."""

    name: str
    profile: str
    size: str
    rtt_milliseconds: float = 0
    seeders: int = 1
    leechers: int = 1
    record_writes: bool = False


CASES = [
    Case("tuned, 0 ms RTT", "tuned", "400MB"),  # 60 MB take 0.15 s, too short for a ratio
    *(Case(f"tuned, {rtt} ms RTT", "tuned", "60MB", rtt) for rtt in (20, 100)),
    *(Case(f"stock, {rtt} ms RTT", "stock", "20MB", rtt) for rtt in (0, 20, 100)),
    Case("tuned, swarm of 4 seeders and 28 leechers", "tuned", "100MB", 0, 4, 28),
    Case("tuned, swarm of 4 and 28, recordWrites on", "tuned", "100MB", 0, 4, 28, True),
]

Fetch = Callable[[str, Path], dict[str, Any]]
"""Runs one transfer of a kind into a folder and returns its figures."""


@contextlib.contextmanager
def one_to_one(case: Case, file: Path, sha256: str, base: Path) -> Iterator[Fetch]:
    """Yield a function that lets one leecher at a time fetch from one seeder."""
    runner = asyncio.Runner()
    with runner, two_namespaces(case.rtt_milliseconds) as (seeding, leeching):
        task = Task(
            "seeder",
            seeding.address,
            str(base / "seeder"),
            file.stat().st_size,
            file=str(file),
            profile=case.profile,
            namespace=seeding.path,
            tracker=True,
        )

        @contextlib.asynccontextmanager
        async def serving() -> AsyncIterator[dict[str, Any]]:
            async with Node.started(task) as node:
                yield await node.go()

        async def fetch(kind: str, folder: Path) -> dict[str, Any]:
            options = {
                "address": leeching.address,
                "namespace": leeching.path,
                "profile": case.profile,
                "record_writes": case.record_writes,
            }
            figures = await leech(kind, folder, task.size_bytes, reference, **options)
            found = figures.pop("sha256", None)
            assert (found or file_sha256(folder / NAME)) == sha256, f"{kind} fetched wrong bytes"
            return figures

        seeder = serving()
        reference = runner.run(seeder.__aenter__())
        try:
            yield lambda kind, folder: runner.run(fetch(kind, folder))
        finally:
            runner.run(seeder.__aexit__(None, None, None))


@contextlib.contextmanager
def two_namespaces(rtt_milliseconds: float) -> Iterator[tuple[Namespace, Namespace]]:
    """Yield two peers' namespaces with this RTT between them, half of it each way."""
    if rtt_milliseconds:
        with relayed(Network(delay_milliseconds=rtt_milliseconds / 2)) as delayed:
            yield delayed.network.peers[0], delayed.network.peers[1]
    else:
        with PeerNetwork(2) as network:
            yield network.peers[0], network.peers[1]


@contextlib.contextmanager
def swarm(case: Case, file: Path, sha256: str, base: Path) -> Iterator[Fetch]:
    """Yield a function that lets a whole swarm fetch."""

    def fetch(kind: str, folder: Path) -> dict[str, Any]:
        cost = asyncio.run(
            bittorrent_swarm.transfer(
                file,
                sha256,
                folder,
                recorded=kind == "instrumented",
                seeders=case.seeders,
                leechers=case.leechers,
                record_writes=case.record_writes,
            )
        )
        return {
            "seconds": statistics.median(cost.seconds),
            "last_seconds": max(cost.seconds),
            "cpu_seconds": cost.cpu_seconds,
            "complete": cost.complete,
        }

    yield fetch


def measure(
    case: Case, kept: list[dict[str, Any]], pairs: int, deadline: float
) -> Iterator[dict[str, Any]]:
    """Append pairs to `kept`, and yield each, until `kept` has enough or the deadline is over."""
    with tempfile.TemporaryDirectory(dir=_memory()) as temporary:
        base = Path(temporary)
        file = base / "payload.bin"
        sha256 = Payload("cost", parse_size(case.size)).write(file)
        setup = swarm if case.leechers > 1 else one_to_one
        with setup(case, file, sha256, base) as fetch:
            is_warm = False
            while len(kept) < pairs and not enough(kept) and time.monotonic() < deadline:
                number = len(kept)
                pair: dict[str, Any] = {}
                for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                    folder = base / kind
                    folder.mkdir()
                    pair[kind] = fetch(kind, folder)
                    shutil.rmtree(folder)
                click.echo(f"# {case.name}, pair {number}: {pair}", err=True)
                if is_warm:  # the first pair only warms up
                    kept.append({"case": asdict(case), **pair})
                    yield kept[-1]
                is_warm = True


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def enough(kept: Sequence[dict[str, Any]]) -> bool:
    """Return whether the ratio of throughputs is known well enough."""
    return len(kept) >= MIN_PAIRS and ratio_of(ratios(kept))[1] <= MAX_STANDARD_ERROR


def ratios(
    kept: Sequence[dict[str, Any]], key: str = "seconds", over: tuple[str, str] = KINDS[::-1]
) -> list[float]:
    """Return, pair by pair, `key` of one kind over that of the other. For `seconds`, bare over
    recorded is the ratio of throughputs."""
    return [pair[over[0]][key] / pair[over[1]][key] for pair in kept]


def figures(case: Case, kept: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a case's figures over its pairs."""
    for name, found, aim in (
        ("throughput", ratios(kept), AIM),
        ("throughput of the last leecher", _ratios_if_measured(kept, "last_seconds"), None),
        ("CPU", ratios(kept, "cpu_seconds", KINDS), None),
    ):
        if not found:
            continue
        ratio, error = ratio_of(found)
        yield {
            "name": f"{case.name}: {name}, recorded / bare",
            "value": round(ratio, 4),
            "unit": "",
            "spread": f"± {error:.4f} (standard error), {min(found):.3g} to {max(found):.3g}",
            "n": len(found),
            "aim": f">= {aim}, standard error <= {MAX_STANDARD_ERROR}" if aim else "",
            "met": not aim or (ratio >= aim and error <= MAX_STANDARD_ERROR),
        }
    lost = [pair for pair in kept if not pair["instrumented"]["complete"]]
    yield {
        "name": f"{case.name}: transfers with records missing",
        "value": len(lost),
        "unit": "",
        "n": len(kept),
        "aim": "0",
        "met": not lost,
    }


def _ratios_if_measured(kept: Sequence[dict[str, Any]], key: str) -> list[float]:
    return ratios(kept, key) if key in kept[0]["bare"] else []


@click.command()
@click.option("--case", "part", default="", help="Only cases with this in their name.")
@click.option("--pairs", default=90, show_default=True, help="Maximum number of pairs per case.")
@click.option("--size", default="", help="Size for all cases.  [default: each case's own]")
@click.option("--seconds", type=float, help="Start no pair after this time.")
@click.option(
    "--keep", type=click.Path(dir_okay=False, path_type=Path), help="Append each pair to this file."
)
def main(part: str, pairs: int, size: str, seconds: float | None, keep: Path | None) -> None:
    """Measure and print the cost of recording."""
    cases = [Case(**{**asdict(case), "size": size or case.size}) for case in CASES]
    cases = [case for case in cases if part in case.name]
    if not cases:
        raise click.UsageError(f"--case: found {part}, expected part of a case's name")
    lines = keep.read_text().splitlines() if keep is not None and keep.exists() else []
    read = [json.loads(line) for line in lines]
    deadline = time.monotonic() + seconds if seconds is not None else float("inf")
    missed = False
    for case in cases:
        kept = [pair for pair in read if pair["case"] == asdict(case)]
        if len(kept) < pairs and not enough(kept) and time.monotonic() < deadline:
            for pair in measure(case, kept, pairs, deadline):
                if keep is not None:
                    with keep.open("a") as opened:
                        print(json.dumps(pair), file=opened)
        for figure in figures(case, kept) if kept else ():
            missed |= not figure["met"]
            print(json.dumps(figure), flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
