"""One transfer by a whole BitTorrent swarm on this machine, recorded or bare.

Every peer is a process, forked from one that has everything imported, with its own loopback address
in its own /24. All leechers start at the same instant and keep serving until the last of them is
done, as in a race.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.bittorrent_bare import Bare
from benchmarks.bittorrent_node import Task, run_of, system_of
from swarmrace.backends.local import processes
from swarmrace.clock import SystemClock
from swarmrace.recording.payload import file_sha256
from swarmrace.rendezvous.server import ServerConfig, listening
from swarmrace.scenario.loading import parse
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent.torrent import NAME

LEAD_SECONDS = 0.3


@dataclass(frozen=True)
class TransferCost:
    """Time and CPU of one transfer."""

    seconds: list[float]
    """Of each leecher."""
    cpu_seconds: float
    """Of all peers, seeders included, from the start until the last leecher was done."""
    complete: bool
    """Whether every block has its record; always true of a bare swarm."""


async def transfer(
    file: Path,
    sha256: str,
    folder: Path,
    *,
    recorded: bool,
    seeders: int,
    leechers: int,
    record_writes: bool = False,
) -> TransferCost:
    """Let a swarm of profile `tuned` fetch `file`; verify every peer's bytes.

    Args:
        file: the payload.
        sha256: its SHA-256.
        folder: an empty folder for the peers' files.
        recorded: whether peers record as they do in a race; if not, they are plain libtorrent
            with the same settings.
        seeders: number of seeders.
        leechers: number of leechers.
        record_writes: the option of that name, if they record.
    """
    scenario = parse({"global": {"entrants": {"bt": {"kind": "bittorrent"}}}})
    config = ServerConfig(scenario, "benchmark", folder / "race", host="127.78.0.1")
    fork, started, pipes = processes.context(), [], []
    async with listening(config) as there:
        url = f"http://{there.host}:{there.port}/benchmark/announce"
        try:
            for index in range(seeders + leechers):
                task = Task(
                    "seeder" if index < seeders else "instrumented",
                    f"127.78.{index + 1}.1",
                    str(folder / str(index)),
                    file.stat().st_size,
                    url,
                    file=str(file),
                    record_writes=record_writes,
                )
                ours, theirs = fork.Pipe()
                log = folder / f"{index}.log"
                target = (run_peer, task, recorded, theirs)
                started.append(processes.start(fork, f"peer-{index}", log, None, *target))
                theirs.close()
                pipes.append(ours)
            references = await _answers(pipes)
            start_ns = time.monotonic_ns() + round(LEAD_SECONDS * 1e9)
            for pipe in pipes:
                pipe.send((references[0], start_ns))
            seconds = await _answers(pipes[seeders:])
            for pipe in pipes:
                pipe.send("count")
            counted = await _answers(pipes)
            for pipe in pipes:
                pipe.send("verify")
            verified = await _answers(pipes)
        finally:
            for process in started:
                process.kill()
                process.join()
    assert verified == [sha256] * len(pipes), "a peer fetched wrong bytes"
    complete = all(each for _, each in counted)
    return TransferCost(seconds, sum(cpu for cpu, _ in counted), complete)


async def _answers(pipes: list[Connection]) -> list[Any]:
    return await asyncio.gather(*(asyncio.to_thread(pipe.recv) for pipe in pipes))


def run_peer(task: Task, recorded: bool, pipe: Connection) -> int:
    """Run one peer; return the exit code."""
    Path(task.folder).mkdir()
    if recorded:
        asyncio.run(_run_recorded(task, pipe))
    else:
        _run_bare(task, pipe)
    return 0


async def _run_recorded(task: Task, pipe: Connection) -> None:
    clock, system = SystemClock(), system_of(task)
    await system.prepare(run_of(task))
    if task.role == "seeder":
        pipe.send(dict((await system.publish(Path(task.file), None)).reference))
    else:
        pipe.send(None)
    await system.settle()
    reference, start_ns = await asyncio.to_thread(pipe.recv)
    record = Record(clock, task.size_bytes)
    await clock.sleep_until(start_ns)
    cpu, stamp_ns = time.process_time(), time.monotonic_ns()
    if task.role == "seeder":
        record.complete = True
    else:
        await system.fetch([reference], record)
        assert record.done_ns is not None
        pipe.send((record.done_ns - stamp_ns) / 1e9)
    await asyncio.to_thread(pipe.recv)
    pipe.send((time.process_time() - cpu, record.complete is not False))
    await asyncio.to_thread(pipe.recv)
    pipe.send((await system.digest()).sha256)
    await asyncio.to_thread(pipe.recv)


def _run_bare(task: Task, pipe: Connection) -> None:
    peer = Bare(task.address, Path(task.folder), task.profile)
    is_seeder = task.role == "seeder"
    pipe.send(peer.seed(Path(task.file), task.announce_url) if is_seeder else None)
    reference, start_ns = pipe.recv()
    time.sleep(max(0, start_ns - time.monotonic_ns()) / 1e9)
    cpu, stamp_ns = time.process_time(), time.monotonic_ns()
    if not is_seeder:
        peer.fetch(reference)
        pipe.send((time.monotonic_ns() - stamp_ns) / 1e9)
    pipe.recv()
    pipe.send((time.process_time() - cpu, True))
    pipe.recv()
    pipe.send(file_sha256(Path(task.folder) / NAME))
    pipe.recv()
    os._exit(0)
