"""What a scrape costs the peer: time in the peer's thread, in the scrape's thread, and pauses.

    python -m benchmarks.scrape [--size 1GiB] [--scrapes 20]

One thread records 16 KiB blocks of a payload in random order at 1 GB/s (the hardest log to sample:
no prefix, no adjacent blocks), while `/metrics` is rendered again and again. The longest pause is
the longest time between two stamps of the recording thread: the most that a scrape could add to a
mark. Runs with and without scrapes alternate, because other things cause pauses too.

Prints one JSON object per line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import json
import random
import statistics
import threading
import time
from pathlib import Path

import click

from swarmrace.clock import SystemClock
from swarmrace.metrics import table
from swarmrace.metrics.sampler import Sampler
from swarmrace.peer.state import PeerConfig, PeerState
from swarmrace.plan.schedule import schedule
from swarmrace.recording.arrivals import ByteLog
from swarmrace.scenario.loading import parse
from swarmrace.systems.abc import Record
from swarmrace.units import parse_size

BLOCK = 16_384
BYTES_PER_SECOND = 1e9
AIM_SNAPSHOT_MILLISECONDS = 1.0


def sampler_of(size: int) -> tuple[Sampler, Record]:
    """Return the sampler and the record of a leecher at its start."""
    race = {"swarmSize": 2, "fileSize": size, "repetitions": 1, "rotateSeeders": False}
    scenario = parse({"global": {"race": race, "entrants": {"one": {"kind": "synthetic"}}}})
    config = PeerConfig(
        scenario=scenario,
        race_id=scenario.race_id(),
        entrant="one",
        peer=1,
        rendezvous="http://127.0.0.1:1",
        address="127.0.0.1",
        work_dir=Path(),
    )
    clock, state = SystemClock(), PeerState(config)
    record = Record(clock, size)
    record.arrivals, record.deliverable = ByteLog(size // BLOCK), ByteLog(size // BLOCK)
    record.start_ns = clock.now_ns()
    state.run, state.record, state.stage = schedule(scenario)[0], record, "race"
    return Sampler(state, clock), record


def measure(size: int, scrapes: int) -> tuple[float, list[float], list[float]]:
    """Record a whole payload; return the longest pause and, per scrape, the time in the peer's
    thread and in total, all in milliseconds."""
    sampler, record = sampler_of(size)
    blocks = list(range(size // BLOCK))
    random.Random(size).shuffle(blocks)
    longest_ns, interval_ns = 0, BLOCK / BYTES_PER_SECOND * 1e9

    def write() -> None:
        nonlocal longest_ns
        began = before = time.monotonic_ns()
        assert record.arrivals is not None
        assert record.deliverable is not None
        for number, block in enumerate(blocks):
            while (now := time.monotonic_ns()) < began + number * interval_ns:
                longest_ns, before = max(longest_ns, now - before), now
            longest_ns, before = max(longest_ns, now - before), now
            record.arrivals.record(block * BLOCK, BLOCK, now)
            record.deliverable.record(block * BLOCK, BLOCK, now)

    writer = threading.Thread(target=write)
    writer.start()
    snapshot_ms, total_ms = [], []
    while scrapes and writer.is_alive():
        writer.join(len(blocks) * interval_ns / 1e9 / scrapes)
        began = time.perf_counter()
        snapshot = sampler.snapshot()
        snapshot_ms.append((time.perf_counter() - began) * 1e3)
        table.families(sampler.samples(snapshot))
        total_ms.append((time.perf_counter() - began) * 1e3)
    writer.join()
    return longest_ns / 1e6, snapshot_ms, total_ms


@click.command(help=__doc__)
@click.option("--size", default="1GiB", show_default=True)
@click.option("--scrapes", default=20, show_default=True)
@click.option("--runs", default=5, show_default=True)
def main(size: str, scrapes: int, runs: int) -> None:
    pauses: dict[bool, list[float]] = {True: [], False: []}
    snapshot_ms: list[float] = []
    total_ms: list[float] = []
    for _ in range(runs):
        for with_scrapes in (True, False):
            longest, *times = measure(parse_size(size), scrapes if with_scrapes else 0)
            pauses[with_scrapes].append(longest)
            snapshot_ms += times[0]
            total_ms += times[1]
    _print("scrape, in the peer's thread", snapshot_ms, AIM_SNAPSHOT_MILLISECONDS)
    _print("scrape, in total", total_ms)
    _print("longest pause with scrapes", pauses[True])
    _print("longest pause without", pauses[False])


def _print(name: str, values: list[float], aim: float | None = None) -> None:
    value = statistics.median(values)
    row = {
        "name": name,
        "value": round(value, 3),
        "unit": "ms (median)",
        "spread": round(statistics.stdev(values), 3) if len(values) > 1 else None,
        "n": len(values),
        "aim": aim,
        "met": None if aim is None else value <= aim,
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
