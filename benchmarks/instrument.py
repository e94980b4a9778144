"""The error of the measurement itself: what a leecher reports minus what another process sent.

    python -m benchmarks.instrument [--size 50MB] [--seconds 1] [--runs 5] [--each-curve]

A separate process serves a payload over TCP, piece by piece at the instants of a curve, and stamps
each piece by the host's CLOCK_MONOTONIC right before handing it to the kernel. The leecher reads it
through the code of a real race (`peer.transfer.race`, a system's fetch,
`peer.transfer.summarize`): once as the `http` baseline, once through the stream reader of `codex`.
The error is reported minus sent:

* of every piece: the recorded time of its last byte, minus its stamp;
* of the marks t50, t90 and t100: the time in the result, minus the stamp of the piece with that
  byte; absolute, and relative to the time since the start.

The error includes the path through the kernel and, on a busy machine, the wait for a core. Figures
cover all curves together unless `--each-curve` is given.

Prints one JSON object per line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import click
import numpy as np

from swarmrace.clock import SystemClock
from swarmrace.peer import transfer
from swarmrace.recording.records import Transfer
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems import load
from swarmrace.systems.abc import Context, Observes, Record, Reference
from swarmrace.systems.codex.api import Api
from swarmrace.systems.codex.stream import CodexStreamFile
from swarmrace.systems.http.options import HttpOptions
from swarmrace.systems.run import Run
from swarmrace.units import parse_size

PIECE = 16_384
SENDER, READER = "127.0.0.1", "127.0.0.2"
AIM_MILLISECONDS, AIM_PERCENT = 1.0, 0.1
PERCENTS = (50.0, 90.0, 100.0)
Pieces = Sequence[tuple[float, int]]
"""Each piece's instant, in seconds since the request, and its length in bytes."""


def steady(pieces: int, seconds: float) -> list[float]:
    """Return instants at equal intervals."""
    return [seconds * (k + 1) / pieces for k in range(pieces)]


def bursts(pieces: int, seconds: float) -> list[float]:
    """Return the instants of ten bursts: a pause, then a tenth of the bytes at twice the speed."""
    tenths = [10 * (k + 1) / pieces for k in range(pieces)]
    return [seconds * (tenth + math.ceil(tenth)) / 20 for tenth in tenths]


def late(pieces: int, seconds: float) -> list[float]:
    """Return instants that get denser: half of the bytes in the last 30 % of the time."""
    return [seconds * math.sqrt((k + 1) / pieces) for k in range(pieces)]


CURVES = {"steady": steady, "bursts": bursts, "late": late}


def send(orders: Connection) -> None:
    """Run the sending process: serve each order's pieces once and send back their stamps."""
    with socket.create_server((SENDER, 0)) as listener:
        orders.send(listener.getsockname()[1])
        while (pieces := orders.recv()) is not None:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                orders.send(serve(connection, pieces))


def serve(connection: socket.socket, pieces: Pieces) -> list[int]:
    """Answer one request with the pieces at their instants; return when each was sent."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65_536)
    began_ns = time.monotonic_ns()
    size = sum(length for _, length in pieces)
    connection.sendall(
        f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode()
    )
    stamps, zeros = [], memoryview(bytes(PIECE))
    for seconds, length in pieces:
        wait_ns = began_ns + round(seconds * 1e9) - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        stamps.append(time.monotonic_ns())
        connection.sendall(zeros[:length])
    connection.recv(1)  # wait until the reader has closed, so that nothing here delays it
    return stamps


class Stream:
    """The stream reader of `codex`, without the node's other API calls."""

    trouble = ""

    def __init__(self, folder: Path) -> None:
        self._file = CodexStreamFile(folder / "stream.payload")

    def progress(self) -> None:
        """Do nothing: this system has no counter of its own, only its records."""

    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Read the stream."""
        api = Api(str(references[0]["url"]), family="codex")
        try:
            await self._file.fetch(api.stream_url("benchmark"), "benchmark", record)
        finally:
            await api.close()
            self._file.remove()


async def measure(path: str, url: str, size: int, folder: Path) -> tuple[Record, Transfer]:
    """Race one leecher over `path` (`http` or `stream`); return its record and its figures."""
    clock = SystemClock()
    record = Record(clock, size)
    http = load("http").create(
        Context(
            entrant=path,
            peer=1,
            swarm_size=2,
            race_id="benchmark",
            address=READER,
            work_dir=folder,
            announce_url="",
            size_bytes=size,
            board=None,
            clock=clock,
        ),
        HttpOptions(),
    )
    await http.prepare(Run(0, "000-http", path, 0, (0,), "benchmark", size))
    system = http if path == "http" else Stream(folder)
    observes = (
        load("http").observes(HttpOptions())
        if path == "http"
        else Observes(arrival=False, delivery=True, unit="read of the stream", in_order=True)
    )
    start_ns = clock.now_ns() + 20_000_000
    stamp_ns, failure = await transfer.race(
        system, [{"url": url}], record, Timeouts(), start_ns, lambda: None
    )
    if failure is not None:
        raise click.ClickException(f"{path}: {failure.reason}: {failure.detail}")
    figures, _ = transfer.summarize(record, observes, start_ns, stamp_ns, clock.now_ns())
    await http.close()
    return record, figures


def errors_of(
    record: Record, figures: Transfer, stamps: Sequence[int], lengths: Sequence[int]
) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    """Return each piece's error (ms), and each mark's error (ms) and relative error (%)."""
    log = record.arrivals or record.deliverable
    assert log is not None
    assert record.start_ns is not None
    _, length, t_ns = log.columns()
    ends, sent = np.cumsum(np.array(lengths)), np.array(stamps)
    pieces = (t_ns[np.searchsorted(np.cumsum(length), ends)] - sent) / 1e6
    marks = {}
    reported = {f"t{m.percent:g}": m.seconds for m in figures.arrival or figures.delivery}
    for percent in PERCENTS:
        mark_bytes = math.ceil(record.size_bytes * percent / 100)
        true_seconds = (int(sent[np.searchsorted(ends, mark_bytes)]) - record.start_ns) / 1e9
        error = reported[f"t{percent:g}"] - true_seconds
        marks[f"t{percent:g}"] = (error * 1e3, abs(error) / true_seconds * 100)
    return pieces, marks


def emit(name: str, values: list[float], unit: str, digits: int, aim: float | None) -> None:
    """Print the median over runs as a JSON line."""
    value = statistics.median(values)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    line = {"name": name, "value": round(value, digits), "unit": unit}
    line |= {"spread": round(spread, digits), "n": len(values)}
    line |= {"aim": "" if aim is None else f"<= {aim:g}", "met": aim is None or value <= aim}
    print(json.dumps(line), flush=True)


def report(name: str, runs: list[tuple[np.ndarray, dict[str, tuple[float, float]]]]) -> None:
    """Print the figures of one path."""
    for label, percentile, aim in (
        ("median", 50, AIM_MILLISECONDS),
        ("p99", 99, AIM_MILLISECONDS),
        ("max", 100, None),
    ):
        values = [float(np.percentile(pieces, percentile)) for pieces, _ in runs]
        emit(f"{name}: reported - sent, {label} of pieces", values, "ms", 4, aim)
    for mark in runs[0][1]:
        absolute = [marks[mark][0] for _, marks in runs]
        emit(f"{name}: error of {mark}", absolute, "ms", 4, AIM_MILLISECONDS)
        emit(f"{name}: error of {mark}", [m[mark][1] for _, m in runs], "%", 5, AIM_PERCENT)


@click.command()
@click.option("--size", default="50MB", show_default=True)
@click.option("--seconds", default=1.0, show_default=True, help="Duration of a transfer.")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1))
@click.option("--each-curve", is_flag=True, help="Print separate figures for each curve.")
def main(size: str, seconds: float, runs: int, each_curve: bool) -> None:
    """Send by curves, and compare the reported times with the sent ones."""
    size_bytes = parse_size(size)
    count = -(-size_bytes // PIECE)
    lengths = [PIECE] * (count - 1) + [size_bytes - PIECE * (count - 1)]
    ours, theirs = multiprocessing.Pipe()
    sender = multiprocessing.get_context("spawn").Process(target=send, args=(theirs,), daemon=True)
    sender.start()
    url = f"http://{SENDER}:{ours.recv()}"
    found: dict[str, list] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            for curve, instants in CURVES.items():
                for path in ("http", "stream"):
                    ours.send(list(zip(instants(count, seconds), lengths, strict=True)))
                    record, figures = asyncio.run(measure(path, url, size_bytes, Path(folder)))
                    errors = errors_of(record, figures, ours.recv(), lengths)
                    name = f"{path}, {curve}" if each_curve else path
                    found.setdefault(name, []).append(errors)
    ours.send(None)
    sender.join()
    for name, results in found.items():
        report(name, results)


if __name__ == "__main__":
    main()
