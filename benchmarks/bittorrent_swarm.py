"""One transfer of a whole BitTorrent swarm on this machine, recorded or bare: what each peer took.

Every peer is a process, forked from one that has everything imported, with an address of its own on
loopback in a /24 of its own. All leechers begin at one instant and serve on until the last of them
is done, as in a race.
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
class Took:
    """What one transfer took."""

    seconds: list[float]
    """Of each leecher."""
    cpu_seconds: float
    """Of all peers, seeders too, from the start until the last leecher was done."""
    complete: bool
    """Whether no block lacks its record; true of a bare swarm."""


def transfer(
    file: Path, sha256: str, folder: Path, *, recorded: bool, seeders: int, leechers: int
) -> Took:
    """Let a swarm of profile `tuned` fetch `file`; verify what it fetched.

    Args:
        file: the payload.
        sha256: its SHA-256.
        folder: empty; where everybody's files go.
        recorded: whether peers are as they race, or libtorrent with the same settings and nothing
            that records.
        seeders: how many have the file.
        leechers: how many fetch it.
    """
    return asyncio.run(_transfer(file, sha256, folder, recorded, seeders, leechers))


async def _transfer(
    file: Path, sha256: str, folder: Path, recorded: bool, seeders: int, leechers: int
) -> Took:
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
                )
                ours, theirs = fork.Pipe()
                log = folder / f"{index}.log"
                target = (live, task, recorded, theirs)
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
    assert verified == [sha256] * len(pipes), "other bytes were fetched"
    complete = all(whole for _, whole in counted)
    return Took(seconds, sum(cpu for cpu, _ in counted), complete)


async def _answers(pipes: list[Connection]) -> list[Any]:
    return await asyncio.gather(*(asyncio.to_thread(pipe.recv) for pipe in pipes))


def live(task: Task, recorded: bool, pipe: Connection) -> int:
    """Be one peer; return the exit code."""
    Path(task.folder).mkdir()
    if recorded:
        asyncio.run(_recorded(task, pipe))
    else:
        _bare(task, pipe)
    return 0


async def _recorded(task: Task, pipe: Connection) -> None:
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
    pipe.send((time.process_time() - cpu, record.complete))
    await asyncio.to_thread(pipe.recv)
    pipe.send((await system.digest()).sha256)
    await asyncio.to_thread(pipe.recv)


def _bare(task: Task, pipe: Connection) -> None:
    peer = Bare(task.address, Path(task.folder), task.profile)
    seeds = task.role == "seeder"
    pipe.send(peer.seed(Path(task.file), task.announce_url) if seeds else None)
    reference, start_ns = pipe.recv()
    time.sleep(max(0, start_ns - time.monotonic_ns()) / 1e9)
    cpu, stamp_ns = time.process_time(), time.monotonic_ns()
    if not seeds:
        peer.fetch(reference)
        pipe.send((time.monotonic_ns() - stamp_ns) / 1e9)
    pipe.recv()
    pipe.send((time.process_time() - cpu, True))
    pipe.recv()
    pipe.send(file_sha256(Path(task.folder) / NAME))
    pipe.recv()
    os._exit(0)
