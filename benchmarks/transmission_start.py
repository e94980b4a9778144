"""Where the time of a small Transmission transfer goes: the stages that its RPC shows.

One seeder and three leechers over loopback in a network namespace of their own, without limits.
Every leecher's daemon is asked every 50 ms for its peers, beside the entrant's own questions.

`--rechoke` tests the cause of the longest waits: an empty torrent without a tracker is started and
stopped in every daemon every second, because starting any torrent makes the daemon look at once
for whom to unchoke and in whom to be interested, in all of its torrents.

    python -m benchmarks.transmission_start [--runs N] [--size 20MB] [--profile stock] [--rechoke]

Prints one JSON object per stage: name, value (s from the start, median of all leechers), unit,
spread (lowest to highest), n, aim, met. `make bench` leaves it out: it needs Transmission and says
nothing about swarmrace.
"""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
import libtorrent as lt

from swarmrace.contract.loopback import in_own_network
from swarmrace.contract.swarm import Subject, Swarm, swarm
from swarmrace.errors import TransferError
from swarmrace.systems.bittorrent import torrent
from swarmrace.systems.transmission.system import TransmissionSystem
from swarmrace.units import parse_size

STAGES = (
    "connected",
    "metadata",
    "interested in the seeder",
    "unchoked by the seeder",
    "first byte",
    "90 %",
    "all but the last block",
    "last byte",
)
LEECHERS = 3
_FIELDS = ("metadataPercentComplete", "peers")
_LOOK_SECONDS = 0.05
_BLOCK_BYTES = 16_384


def seen_in(found: Mapping[str, Any], seeder: str) -> list[str]:
    """Return the stages that an answer of `torrent-get` shows a leecher to have reached.

    Args:
        found: the answer, with `_FIELDS`.
        seeder: the seeder's address.
    """
    of_seeder = [peer for peer in found["peers"] if peer["address"] == seeder]
    shown = {
        "connected": bool(of_seeder),
        "metadata": found["metadataPercentComplete"] == 1,
        "interested in the seeder": any(peer["clientIsInterested"] for peer in of_seeder),
        "unchoked by the seeder": any(
            peer["clientIsInterested"] and not peer["clientIsChoked"] for peer in of_seeder
        ),
    }
    return [stage for stage, reached in shown.items() if reached]


async def follow(leecher: TransmissionSystem, seeder: str, times: dict[str, float]) -> None:
    """Note when a leecher reaches each stage, until cancelled."""
    clock = leecher.context.clock
    start_ns = clock.now_ns()
    while True:
        with suppress(TransferError):
            found = await leecher._rpc.torrent(leecher._hash, _FIELDS)
            for stage in seen_in(found, seeder):
                times.setdefault(stage, (clock.now_ns() - start_ns) / 1e9)
        await asyncio.sleep(_LOOK_SECONDS)


def empty_torrent(folder: Path) -> str:
    """Return a torrent without a tracker, in base64, of content that nobody has."""
    folder.mkdir()
    (folder / "content").write_bytes(bytes(_BLOCK_BYTES))
    made = torrent.make(
        folder / "content", folder / "link", protocol="v1", piece_bytes=None, announce_url="none"
    )
    metainfo: Any = lt.bdecode(made.metainfo)
    del metainfo[b"announce"]
    return base64.b64encode(lt.bencode(metainfo)).decode()


async def rechoke(system: TransmissionSystem, metainfo: str, folder: Path) -> None:
    """Make a daemon rechoke once a second, until cancelled."""
    added = await system._rpc.call(
        "torrent-add", metainfo=metainfo, download_dir=str(folder), paused=True
    )
    info_hash = added["torrent-added"]["hashString"]
    while True:
        for method in ("torrent-start-now", "torrent-stop"):
            await system._rpc.call(method, ids=[info_hash])
            await asyncio.sleep(0.5)


async def one_run(made: Swarm, folder: Path, often: bool) -> list[dict[str, float]]:
    """Race once; return each leecher's times by stage."""
    run = made.run()
    file, _ = made.file(run)
    await made.prepare(run)
    (published,) = await made.publish(run, file)
    systems = [one for one in made.systems if isinstance(one, TransmissionSystem)]
    seeder, *leechers = systems
    tasks = []
    if often:
        metainfo = empty_torrent(folder / "empty")
        tasks = [asyncio.create_task(rechoke(one, metainfo, folder)) for one in systems]

    async def fetch(leecher: TransmissionSystem) -> dict[str, float]:
        times: dict[str, float] = {}
        record = made.record()
        record.start_ns = start_ns = made.clock.now_ns()
        tasks.append(asyncio.create_task(follow(leecher, seeder.context.address, times)))
        await leecher.fetch([published.reference], record)
        assert record.arrivals is not None
        curve = record.arrivals.curve(start_ns, made.size_bytes)
        whole = 100 * (made.size_bytes - _BLOCK_BYTES) / made.size_bytes
        percents = {"first byte": 0, "90 %": 90, "all but the last block": whole, "last byte": 100}
        for stage, percent in percents.items():
            t_ns = curve.time_to_percent(percent)
            assert t_ns is not None
            times[stage] = t_ns / 1e9
        return times

    try:
        return list(await asyncio.gather(*(fetch(leecher) for leecher in leechers)))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def lines(found: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return the output for the times of all leechers of all runs."""
    by_stage = defaultdict(list)
    for times in found:
        for stage, seconds in times.items():
            by_stage[stage].append(seconds)
    return [
        {
            "name": stage,
            "value": round(statistics.median(by_stage[stage]), 2),
            "unit": "s",
            "spread": f"{min(by_stage[stage]):.2f} to {max(by_stage[stage]):.2f}",
            "n": len(by_stage[stage]),
            "aim": None,
            "met": None,
        }
        for stage in STAGES
        if by_stage[stage]
    ]


@click.command()
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--size", default="20MB", show_default=True)
@click.option("--profile", type=click.Choice(["stock", "tuned"]), default="stock")
@click.option("--rechoke", "often", is_flag=True, help="Have every daemon rechoke each second.")
def main(runs: int, size: str, profile: str, often: bool) -> None:
    """Race and print the stages."""
    subject = Subject("transmission", {"profile": profile})

    async def race(folder: Path) -> list[dict[str, float]]:
        async with swarm(subject, folder, parse_size(size), LEECHERS + 1) as made:
            return await one_run(made, folder, often)

    found = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="swarmrace-") as name:
            folder = Path(name)
            found += in_own_network(partial(asyncio.run, race(folder)))
    for line in lines(found):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
