"""One node of a BitTorrent benchmark, a process: `python -m benchmarks.bittorrent_node TASK`.

Its argument is a `Task` as JSON. It prints a line `ready`, waits for a line on stdin, does its
task, prints a line of JSON, and ends when stdin is closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.bittorrent_bare import Bare
from swarmrace.clock import SystemClock
from swarmrace.rendezvous.server import ServerConfig, listening
from swarmrace.scenario.loading import parse
from swarmrace.systems.abc import Context, Record
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.bittorrent.system import BitTorrent
from swarmrace.systems.run import Run


@dataclass(frozen=True)
class Task:
    """A node's task."""

    role: str
    """`seeder`, `instrumented` (our leecher as it races) or `bare` (the same settings without
    recording)."""
    address: str
    folder: str
    size_bytes: int
    announce_url: str = ""
    file: str = ""
    reference: dict[str, Any] | None = None
    profile: str = "tuned"
    record_writes: bool = False
    namespace: str = ""
    """Path of the network namespace to run in."""
    tracker: bool = False
    """Whether this seeder runs its own tracker, in its own namespace."""
    keep_arrivals: bool = False
    """Whether the leecher stores `arrivals.npz` and `written.npz` in its folder."""

    def arguments(self) -> list[str]:
        """Return the command line."""
        inside = ["nsenter", f"--net={self.namespace}"] if self.namespace else []
        command = [sys.executable, "-m", "benchmarks.bittorrent_node", json.dumps(asdict(self))]
        return [*inside, *command]


def system_of(task: Task) -> BitTorrent:
    """Return our system for this node."""
    context = Context(
        entrant="bittorrent",
        peer=0 if task.role == "seeder" else 1,
        swarm_size=2,
        race_id="benchmark",
        address=task.address,
        work_dir=Path(task.folder),
        announce_url=task.announce_url,
        size_bytes=task.size_bytes,
        board=None,  # type: ignore[arg-type]  # BitTorrent does not use it
        clock=SystemClock(),
    )
    options = BitTorrentOptions(
        profile=task.profile, record_writes=task.record_writes or task.keep_arrivals
    )
    return BitTorrent(context, options)


def run_of(task: Task) -> Run:
    """Return the node's run."""
    return Run(0, "000-bittorrent", "bittorrent", 0, (0,), "benchmark", task.size_bytes)


async def work(task: Task) -> None:
    """Do the task with our system; start its tracker first if it has one."""
    if not task.tracker:
        await work_with_tracker(task)
        return
    scenario = parse({"global": {"entrants": {"bt": {"kind": "bittorrent"}}}})
    folder = Path(task.folder).with_name("tracker")
    async with listening(ServerConfig(scenario, "benchmark", folder, host=task.address)) as there:
        url = f"http://{there.host}:{there.port}/benchmark/announce"
        await work_with_tracker(replace(task, announce_url=url))


async def work_with_tracker(task: Task) -> None:
    """Do the task while its tracker runs."""
    system = system_of(task)
    try:
        await system.prepare(run_of(task))
        await wait_for_go()
        if task.role == "seeder":
            published = await system.publish(Path(task.file), None)
            answer(dict(published.reference))
        else:
            answer(await leech(system, task))
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await system.close()


async def leech(system: BitTorrent, task: Task) -> dict[str, Any]:
    """Fetch as in a race; return the figures."""
    assert task.reference is not None
    record = Record(SystemClock(), task.size_bytes)
    cpu, start_ns = time.process_time(), time.monotonic_ns()
    await system.fetch([task.reference], record)
    cpu = time.process_time() - cpu
    assert record.done_ns is not None
    assert record.arrivals is not None
    if task.keep_arrivals:
        assert record.written is not None
        for name, log in (("arrivals", record.arrivals), ("written", record.written)):
            curve = log.curve(0, task.size_bytes)
            (Path(task.folder) / f"{name}.npz").write_bytes(curve.to_npz())
    seconds = (record.done_ns - start_ns) / 1e9
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "complete": record.complete is not False,
        "sha256": (await system.digest()).sha256,
        "notes": record.notes,
    }


def bare(task: Task) -> dict[str, Any]:
    """Fetch by plain libtorrent with our settings, without recording; return the figures."""
    assert task.reference is not None
    peer = Bare(task.address, Path(task.folder), task.profile)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, start_ns = time.process_time(), time.monotonic_ns()
    peer.fetch(task.reference)
    seconds = (time.monotonic_ns() - start_ns) / 1e9
    return {"seconds": seconds, "cpu_seconds": time.process_time() - cpu, "complete": True}


async def wait_for_go() -> None:
    """Print that this node is ready and wait for a line on stdin."""
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


def answer(data: dict[str, Any]) -> None:
    """Print one line of JSON."""
    print(json.dumps(data), flush=True)


if __name__ == "__main__":
    given = Task(**json.loads(sys.argv[1]))
    if given.role == "bare":
        answer(bare(given))
        sys.stdin.read()
    else:
        asyncio.run(work(given))
