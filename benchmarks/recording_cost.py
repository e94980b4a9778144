"""What recording costs BitTorrent: throughput and CPU with it over the same profile without.

    python -m benchmarks.recording_cost                              every case
    python -m benchmarks.recording_cost --case "100 ms" --pairs 20   those whose name holds this
    python -m benchmarks.recording_cost --case swarm --keep cost.jsonl --seconds 170   a slice
    python -m benchmarks.recording_cost --keep cost.jsonl --pairs 0  print what the file holds

A pair is one transfer recorded and one bare, in alternating order, each by fresh processes. A ratio
is taken within its pair; of the pairs the geometric mean stands with its standard error. A case is
measured until that error is at most 0.015, from 10 pairs on, at most `--pairs`. The aim is 0.97:
what costs more may not be among the settings that recording needs.

One to one: a seeder (ours) and a leecher in namespaces of their own, with a relay between them
where there is delay; CPU is of the leecher's process. The swarm: 4 seeders and 28 leechers on
loopback, all recorded or all bare; throughput is of the median leecher and of the last, CPU of all
peers. A bare leecher is done when libtorrent says so, a recorded one when its last block is written
and verified, by libtorrent's own stamps. Files are in memory where there is a /dev/shm.
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
from benchmarks.bittorrent_throughput import Node, leech_by
from benchmarks.ratios import ratio_of
from benchmarks.relay import relayed
from swarmrace.network.namespaces import Namespace, PeerNetwork
from swarmrace.recording.payload import Payload, file_sha256
from swarmrace.scenario.scenario import Network
from swarmrace.systems.bittorrent.torrent import NAME
from swarmrace.units import parse_size

AIM = 0.97
STANDARD_ERROR = 0.015
LEAST_PAIRS = 10
KINDS = ("instrumented", "bare")


@dataclass(frozen=True)
class Case:
    """What is transferred."""

    name: str
    profile: str
    size: str
    rtt_milliseconds: float = 0
    seeders: int = 1
    leechers: int = 1


CASES = [
    *(Case(f"tuned, {rtt} ms RTT", "tuned", "60MB", rtt) for rtt in (0, 20, 100)),
    *(Case(f"stock, {rtt} ms RTT", "stock", "20MB", rtt) for rtt in (0, 20, 100)),
    Case("tuned, swarm of 4 seeders and 28 leechers", "tuned", "30MB", 0, 4, 28),
]

Fetch = Callable[[str, Path], dict[str, Any]]
"""Does one transfer of a kind into a folder and returns what it took."""


@contextlib.contextmanager
def one_to_one(case: Case, file: Path, sha256: str, base: Path) -> Iterator[Fetch]:
    """Yield what lets one leecher at a time fetch from one seeder."""
    runner = asyncio.Runner()
    with runner, apart(case.rtt_milliseconds) as (here, there):
        task = Task(
            "seeder",
            here.address,
            str(base / "seeder"),
            file.stat().st_size,
            file=str(file),
            profile=case.profile,
            namespace=here.path,
            tracker=True,
        )

        @contextlib.asynccontextmanager
        async def serving() -> AsyncIterator[dict[str, Any]]:
            async with Node.started(task) as node:
                yield await node.go()

        async def fetch(kind: str, folder: Path) -> dict[str, Any]:
            options = {"address": there.address, "namespace": there.path, "profile": case.profile}
            figures = await leech_by(kind, folder, task.size_bytes, reference, **options)
            found = figures.pop("sha256", None)
            assert (found or file_sha256(folder / NAME)) == sha256, f"{kind} fetched other bytes"
            return figures

        seeder = serving()
        reference = runner.run(seeder.__aenter__())
        try:
            yield lambda kind, folder: runner.run(fetch(kind, folder))
        finally:
            runner.run(seeder.__aexit__(None, None, None))


@contextlib.contextmanager
def apart(rtt_milliseconds: float) -> Iterator[tuple[Namespace, Namespace]]:
    """Yield two peers' namespaces with so much delay between them, half of it each way."""
    if rtt_milliseconds:
        with relayed(Network(delay_milliseconds=rtt_milliseconds / 2)) as delaying:
            yield delaying.network.peers[0], delaying.network.peers[1]
    else:
        with PeerNetwork(2) as made:
            yield made.peers[0], made.peers[1]


@contextlib.contextmanager
def swarm(case: Case, file: Path, sha256: str, base: Path) -> Iterator[Fetch]:
    """Yield what lets a whole swarm fetch."""

    def fetch(kind: str, folder: Path) -> dict[str, Any]:
        took = bittorrent_swarm.transfer(
            file,
            sha256,
            folder,
            recorded=kind == "instrumented",
            seeders=case.seeders,
            leechers=case.leechers,
        )
        return {
            "seconds": statistics.median(took.seconds),
            "last_seconds": max(took.seconds),
            "cpu_seconds": took.cpu_seconds,
            "complete": took.complete,
        }

    yield fetch


def measure(
    case: Case, kept: list[dict[str, Any]], pairs: int, until: float
) -> Iterator[dict[str, Any]]:
    """Yield pairs until there are enough with those in `kept`, or the time is over."""
    with tempfile.TemporaryDirectory(dir=_memory()) as temporary:
        base = Path(temporary)
        file = base / "payload.bin"
        sha256 = Payload("cost", parse_size(case.size)).write(file)
        between = swarm if case.leechers > 1 else one_to_one
        with between(case, file, sha256, base) as fetch:
            warm = False
            while len(kept) < pairs and not enough(kept) and time.monotonic() < until:
                number = len(kept)
                took: dict[str, Any] = {}
                for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                    folder = base / kind
                    folder.mkdir()
                    took[kind] = fetch(kind, folder)
                    shutil.rmtree(folder)
                click.echo(f"# {case.name}, pair {number}: {took}", err=True)
                if warm:  # the first is for warming up
                    kept.append({"case": asdict(case), **took})
                    yield kept[-1]
                warm = True


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def enough(kept: Sequence[dict[str, Any]]) -> bool:
    """Return whether the ratio of throughputs is known well enough."""
    return len(kept) >= LEAST_PAIRS and ratio_of(ratios(kept))[1] <= STANDARD_ERROR


def ratios(
    kept: Sequence[dict[str, Any]], key: str = "seconds", over: tuple[str, str] = KINDS[::-1]
) -> list[float]:
    """Return, pair by pair, `key` of the one kind over that of the other: of `seconds`, bare over
    recorded, the ratio of throughputs."""
    return [pair[over[0]][key] / pair[over[1]][key] for pair in kept]


def figures(case: Case, kept: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what a case's pairs say."""
    for name, found, aim in (
        ("throughput", ratios(kept), AIM),
        ("throughput of the last leecher", _of(kept, "last_seconds"), None),
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
            "aim": f">= {aim}, standard error <= {STANDARD_ERROR}" if aim else "",
            "met": not aim or (ratio >= aim and error <= STANDARD_ERROR),
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


def _of(kept: Sequence[dict[str, Any]], key: str) -> list[float]:
    return ratios(kept, key) if key in kept[0]["bare"] else []


@click.command()
@click.option("--case", "part", default="", help="Only cases whose names hold this.")
@click.option("--pairs", default=90, show_default=True, help="At most, of each case.")
@click.option("--size", default="", help="Instead of each case's own size.")
@click.option("--seconds", type=float, help="Begin no pair later than this.")
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="Add each pair here.")
def main(part: str, pairs: int, size: str, seconds: float | None, keep: Path | None) -> None:
    """Measure and print."""
    cases = [Case(**{**asdict(case), "size": size or case.size}) for case in CASES]
    cases = [case for case in cases if part in case.name]
    if not cases:
        raise click.UsageError(f"--case: found {part}, expected part of a case's name")
    lines = keep.read_text().splitlines() if keep is not None and keep.exists() else []
    read = [json.loads(line) for line in lines]
    until = time.monotonic() + seconds if seconds is not None else float("inf")
    missed = False
    for case in cases:
        kept = [pair for pair in read if pair["case"] == asdict(case)]
        if len(kept) < pairs and not enough(kept) and time.monotonic() < until:
            for pair in measure(case, kept, pairs, until):
                if keep is not None:
                    with keep.open("a") as opened:
                        print(json.dumps(pair), file=opened)
        for figure in figures(case, kept) if kept else ():
            missed |= not figure["met"]
            print(json.dumps(figure), flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
