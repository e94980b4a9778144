"""What reading a stream costs: the client shared by HTTP leechers and Codex streams, against an
HTTP library that hashes, drops or writes the bytes it reads.

One process serves a file by sendfile over loopback; this one reads it in each way in turn. The
figures are this process's CPU per GB read, and its ratio to the shared client's.

    python -m benchmarks.stream_reader [--size 400MB] [--rounds 5]

Prints one JSON object per line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import click
import httpx

from benchmarks.payload import emit
from swarmrace.clock import SystemClock
from swarmrace.systems.abc import Record
from swarmrace.systems.codex.stream import CodexStreamFile
from swarmrace.systems.http.server import FileServer
from swarmrace.systems.http.tuning import configure
from swarmrace.units import parse_size

TARGET = "/api/codex/v1/data/z/network/stream"


def _serve(file: str, pipe: Connection) -> None:
    server = FileServer("127.0.0.1", Path(file), TARGET, configure)
    pipe.send(server.url)
    pipe.recv()
    server.close()


def _read_shared(url: str, file: Path, size_bytes: int) -> None:
    stream = CodexStreamFile(file)
    asyncio.run(stream.fetch(url, "z", Record(SystemClock(), size_bytes)))
    stream.remove()


def _read_library(url: str, consume: Callable[[bytes], object]) -> None:
    async def read() -> None:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=None) as client,
            client.stream("GET", url) as response,
        ):
            async for data in response.aiter_raw():
                consume(data)

    asyncio.run(read())


def _write_library(url: str, file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        _read_library(url, out.write)
    file.unlink()


def measure(size_bytes: int, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return the CPU seconds per GB of each way to read, one figure per round."""
    source, target = folder / "payload", folder / "read"
    source.write_bytes(os.urandom(size_bytes))
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(str(source), there))
    server.start()
    url = here.recv()
    ways: dict[str, Callable[[], None]] = {
        "shared client, written": lambda: _read_shared(url, target, size_bytes),
        "library, hashed": lambda: _read_library(url, hashlib.sha256().update),
        "library, dropped": lambda: _read_library(url, len),
        "library, written": lambda: _write_library(url, target),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            found[name].append((time.process_time() - began) / size_bytes * 1e9)
    here.send(None)
    server.join()
    return found


@click.command()
@click.option("--size", default="400MB", show_default=True)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
def main(size: str, rounds: int) -> None:
    """Measure and print the cost of each way to read."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(parse_size(size), rounds, Path(folder))
    base = found["shared client, written"]
    for name, values in found.items():
        emit(f"CPU of the reader, {name}", values, "s/GB")
        ratios = [a / b for a, b in zip(values, base, strict=True)]
        emit(f"{name}, over the shared client", ratios, "ratio")


if __name__ == "__main__":
    main()
