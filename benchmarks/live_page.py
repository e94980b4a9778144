"""What a live page costs the tracker: CPU and bytes, with 64 peers and several watchers.

    python -m benchmarks.live_page [--peers 64] [--watchers 8] [--seconds 20] [--rounds 3]

The tracker runs in a process of its own. This process is every peer (keep-alive connections that
send the heartbeats of a race, as often as `swarmrace peer` does, each with other progress) and
every watcher (connections that read the events). A round has three phases of equal length:
without watchers, with them, and with as many that never read. The tracker's CPU time is read before
and after each; the peers' part is in all of them, so the differences are the watchers'.

Bytes are what a watcher received, without the first second, in which the page and the curves so far
come at once (`first answer`).

Prints one JSON object a line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import psutil
import uvloop

from benchmarks.rendezvous import (
    BARRIERS,
    RACE_ID,
    Peer,
    arrivals,
    child,
    connect,
    emit,
    get,
    hellos,
    post,
    run_rendezvous,
)
from swarmrace.plan.schedule import schedule
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario

AIM_PERCENT = 1.0
AIM_BYTES_PER_SECOND = 100_000
BEFORE_START = BARRIERS[: BARRIERS.index("raced")]
EVENTS = f"/{RACE_ID}/live/events"


def scenario(peers: int) -> Scenario:
    """Return a race of one run, which doesn't end while it is measured."""
    race = {"swarmSize": peers, "repetitions": 1, "fileSize": 10**9, "rotateSeeders": False}
    return parse({"global": {"race": race, "entrants": {"a": {"kind": "synthetic"}}}})


class Watcher(asyncio.Protocol):
    """Reads events and counts their bytes."""

    def connection_made(self, transport: Any) -> None:
        """Ask for the events."""
        self.received = 0
        transport.write(get(EVENTS))
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.received += len(data)


async def begin(port: int, made: Scenario) -> list[Peer]:
    """Report all peers and pass the barriers up to the start; return their connections."""
    peers = await connect(port, made.race.swarm_size)
    await asyncio.gather(*hellos(peers))
    run = schedule(made)[0]
    for barrier in ("open", *BEFORE_START):
        await asyncio.gather(*arrivals(peers, run.id, barrier))
    return peers


async def beat(peers: list[Peer], made: Scenario) -> None:
    """Send every peer's heartbeats for ever, evenly spread, each with 0.1 % more of the file."""
    run, count = schedule(made)[0], made.race.swarm_size
    interval = min(max(0.5, count / 16), made.race.timeouts.heartbeat_seconds / 4)
    sent = 0
    while True:
        for index, peer in enumerate(peers):
            held = min(made.race.file_size, made.race.file_size // 1000 * (sent // count))
            body = {"run_id": run.id, "stage": "race", "progress_bytes": held + index}
            await peer.ask_until(post(f"/{RACE_ID}/peers/a/{index}/heartbeat", body))
            sent += 1
            await asyncio.sleep(interval / count)


def cpu_seconds(server: psutil.Process) -> float:
    """Return what the tracker's threads have used. `/proc/PID/stat` counts in steps of 10 ms."""
    tasks = Path(f"/proc/{server.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


async def share(server: psutil.Process, seconds: float) -> float:
    """Return the share of a core that the tracker uses in the next `seconds`, in percent."""
    began, used = time.perf_counter(), cpu_seconds(server)
    await asyncio.sleep(seconds)
    return 100 * (cpu_seconds(server) - used) / (time.perf_counter() - began)


async def measure(
    port: int, server: psutil.Process, made: Scenario, watchers: int, seconds: float, rounds: int
) -> dict[str, list[float]]:
    """Return the figures of every round."""
    loop = asyncio.get_running_loop()
    peers = await begin(port, made)
    beating = asyncio.ensure_future(beat(peers, made))
    figures: dict[str, list[float]] = {
        name: [] for name in ("bare", "watched", "a watcher", "stuck", "bytes", "first", "memory")
    }
    for _ in range(rounds):
        bare = await share(server, seconds)
        opened = [
            (await loop.create_connection(Watcher, "127.0.0.1", port))[1] for _ in range(watchers)
        ]
        await asyncio.sleep(1)
        first = [each.received for each in opened]
        began = time.perf_counter()
        watched = await share(server, seconds)
        took = time.perf_counter() - began
        figures["bytes"] += [
            (each.received - before) / took for each, before in zip(opened, first, strict=True)
        ]
        figures["first"] += [float(each) for each in first]
        for each in opened:
            each.transport.close()
        await asyncio.sleep(1)
        memory = server.memory_info().rss
        stuck = []
        for _ in range(watchers):
            made_socket = socket.create_connection(("127.0.0.1", port))
            made_socket.sendall(get(EVENTS))  # and never reads
            stuck.append(made_socket)
        await asyncio.sleep(1)
        figures["stuck"].append(await share(server, seconds) - bare)
        figures["memory"].append((server.memory_info().rss - memory) / 1e6)
        for made_socket in stuck:
            made_socket.close()
        await asyncio.sleep(1)
        figures["bare"].append(bare)
        figures["watched"].append(watched)
        figures["a watcher"].append((watched - bare) / watchers)
    beating.cancel()
    for peer in peers:
        peer.transport.close()
    return figures


@click.command(help=__doc__)
@click.option("--peers", type=click.IntRange(2, 1000), default=64, show_default=True)
@click.option("--watchers", type=click.IntRange(1, 60), default=8, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=20, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def main(peers: int, watchers: int, seconds: float, rounds: int) -> None:
    made = scenario(peers)
    with (
        tempfile.TemporaryDirectory() as folder,
        child(run_rendezvous, made, Path(folder)) as (port, server),
    ):
        found = uvloop.run(measure(port, server, made, watchers, seconds, rounds))
    core = "% of a core"
    emit(f"CPU of the tracker, {peers} peers, nobody watches", found["bare"], core)
    emit(f"the same with {watchers} watchers", found["watched"], core)
    added = [a - b for a, b in zip(found["watched"], found["bare"], strict=True)]
    emit(f"what {watchers} watchers add", added, core, AIM_PERCENT)
    emit("what one watcher adds", found["a watcher"], core, AIM_PERCENT)
    emit(f"what {watchers} that never read add", found["stuck"], core, AIM_PERCENT)
    emit(f"memory that {watchers} that never read add", found["memory"], "MB")
    emit("bytes to a watcher", found["bytes"], "B/s", AIM_BYTES_PER_SECOND)
    emit("first answer to a watcher", found["first"], "B")


if __name__ == "__main__":
    main()
