"""How far `arrival` and a block's `written` stamp lag behind the socket, at full loopback speed.

    python -m benchmarks.bittorrent_lag                3 runs of 1 GiB
    python -m benchmarks.bittorrent_lag --runs 1 --size 100MiB

A seeder written here (BEP 3, BEP 10) sends the blocks in the order of the requests, so it knows at
which byte of its TCP stream each block ends; it queues as many requests as libtorrent does by
default.

This process, the leecher's parent, polls the leecher's socket (a copy of the descriptor, by
pidfd_getfd) every half millisecond: TCP_INFO gives the bytes of the stream that have arrived,
FIONREAD those that libtorrent has not read yet. A block's lag is its stamp minus the time of the
last poll at which libtorrent had not read its last byte: an upper bound, too high by at most one
interval. A second figure is the lag behind the arrival in the kernel, which includes the time in
the socket's queue. The lag of `arrival` is measured at every percent from 1 to 99, behind the same
share of the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import socket
import statistics
import struct
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.bittorrent_node import Task, answer
from benchmarks.bittorrent_throughput import Node, addresses
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.payload import Payload
from swarmrace.systems.bittorrent import torrent
from swarmrace.units import parse_size

BLOCK = 16_384
POLL_SECONDS = 0.0005
_PIDFD_GETFD = 438
_BYTES_RECEIVED = 128  # offset of tcpi_bytes_received in struct tcp_info (linux/tcp.h)


# The seeder


def seed(listener: socket.socket, file: Path, metainfo: Path, folder: Path) -> None:
    """Serve one leecher; write the stream position of each block's end to `ends.npy`."""
    import libtorrent as lt

    info = lt.torrent_info(lt.bdecode(metainfo.read_bytes()))
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with file.open("rb") as opened:
        data = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    hashes = info.info_hashes().v1.to_bytes()
    hello = b"\x13BitTorrent protocol" + bytes([0, 0, 0, 0, 0, 0x10, 0, 0]) + hashes
    queue_length = lt.default_settings()["max_allowed_in_request_queue"]
    extended = lt.bencode({b"m": {}, b"reqq": queue_length})
    pieces = info.num_pieces()
    field = bytearray(-(-pieces // 8))
    for piece in range(pieces):
        field[piece // 8] |= 0x80 >> piece % 8
    hello += b"-SR0001-" + b"lagbenchmark" + _message(20, b"\0" + extended)
    hello += _message(5, bytes(field)) + _message(1, b"")
    connection.sendall(hello)
    _serve(connection, data, info.piece_length(), len(hello), folder)


def _serve(
    connection: socket.socket, data: memoryview, piece_bytes: int, sent: int, folder: Path
) -> None:
    ends: list[tuple[int, int]] = []
    buffered = bytearray()
    greeting = 68
    while chunk := _receive(connection):
        buffered += chunk
        parts: list[Any] = []
        if greeting and len(buffered) >= greeting:
            del buffered[:greeting]
            greeting = 0
        at = 0
        while not greeting and len(buffered) >= at + 4:
            length = int.from_bytes(buffered[at : at + 4], "big")
            if len(buffered) < at + 4 + length:
                break
            if length == 13 and buffered[at + 4] == 6:
                piece, begin, count = struct.unpack_from(">III", buffered, at + 5)
                offset = piece * piece_bytes + begin
                head = struct.pack(">IBII", 9 + count, 7, piece, begin)
                parts += [head, data[offset : offset + count]]
                sent += len(head) + count
                ends.append((offset, sent))
            at += 4 + length
        del buffered[:at]
        for start in range(0, len(parts), 64):
            _send(connection, parts[start : start + 64])
    np.save(folder / "ends.npy", np.array(ends, dtype=np.int64))


def _receive(connection: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionError):
        return connection.recv(65_536)
    return b""


def _send(connection: socket.socket, parts: list[Any]) -> None:
    remaining_bytes = sum(map(len, parts))
    while True:
        remaining_bytes -= (sent := connection.sendmsg(parts))
        if not remaining_bytes:
            return
        while sent >= len(parts[0]):
            sent -= len(parts.pop(0))
        parts[0] = memoryview(parts[0])[sent:]


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", 1 + len(body), kind) + body


def answer_announces(server: socket.socket, seeder: tuple[str, int]) -> None:
    """Answer every announce with this one seeder."""
    peers = socket.inet_aton(seeder[0]) + seeder[1].to_bytes(2, "big")
    body = b"d8:intervali1800e5:peers6:" + peers + b"e"
    while True:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            head = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)


def seeder_process(folder: Path, address: str) -> None:
    """Run the seeder: make the torrent, print its reference, serve."""
    listener, server = socket.create_server((address, 0)), socket.create_server((address, 0))
    url = "http://{}:{}/announce".format(*server.getsockname())
    file = folder / "payload.bin"
    made = torrent.make(file, folder / "made", protocol="v1", piece_bytes=None, announce_url=url)
    (folder / "payload.torrent").write_bytes(made.metainfo)
    announces = (server, listener.getsockname())
    threading.Thread(target=answer_announces, args=announces, daemon=True).start()
    answer(torrent.reference(made, "torrent", url) | {"port": listener.getsockname()[1]})
    seed(listener, file, folder / "payload.torrent", folder)


# Polling the leecher's socket


def find_socket(pid: int, seeder: tuple[str, int]) -> socket.socket | None:
    """Return a copy of the process' TCP socket that is connected to `seeder`, or None."""
    library = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if not str(entry.readlink()).startswith("socket:"):
                    continue
                copy = library.syscall(_PIDFD_GETFD, pidfd, int(entry.name), 0)
                if copy < 0:
                    if (code := ctypes.get_errno()) == errno.EBADF:
                        continue  # closed since it was listed
                    reason = os.strerror(code)
                    raise click.ClickException(f"the leecher's socket can't be copied: {reason}")
                found = socket.socket(fileno=copy)
                try:
                    if found.getpeername() == seeder:
                        return found
                except OSError:
                    pass
                found.close()
    finally:
        os.close(pidfd)
    return None


def watch(pid: int, seeder: tuple[str, int], stop: threading.Event) -> np.ndarray:
    """Poll the socket until `stop`; return rows of (time in ns, bytes arrived, bytes read)."""
    found = None
    while found is None and not stop.is_set():
        found = find_socket(pid, seeder)
    rows: list[tuple[int, int, int]] = []
    assert found is not None
    unread = bytearray(4)
    with found:
        while not stop.is_set():
            try:
                # In this order, bytes that arrive between the two calls count as read: the bytes
                # read may be too high, never too low, and the lag stays an upper bound.
                fcntl.ioctl(found.fileno(), termios.FIONREAD, unread)
                info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            except OSError:
                break
            arrived = int.from_bytes(info[_BYTES_RECEIVED : _BYTES_RECEIVED + 8], sys.byteorder)
            unread_bytes = int.from_bytes(unread, sys.byteorder)
            rows.append((time.monotonic_ns(), arrived, arrived - unread_bytes))
            time.sleep(POLL_SECONDS)
    return np.array(rows, dtype=np.int64)


def lags_ms(
    rows: np.ndarray, ends: np.ndarray, curve: Curve, arrival: Curve
) -> dict[str, np.ndarray]:
    """Return each block's lag behind `read` and `arrived`, and the lag of each percent of
    `arrival` behind `read`, in ms: upper bounds, too high by at most one interval."""
    first = dict(reversed(ends.tolist()))
    end = np.array([first[offset] for offset in curve.offset.tolist()])
    result = {}
    for column, name in ((1, "arrived"), (2, "read")):
        total = np.maximum.accumulate(rows[:, column])
        at = np.searchsorted(total, end)  # the first poll that saw the block's last byte
        known = (at > 0) & (at < len(rows))
        result[name] = (curve.t_ns[known] - rows[at[known] - 1, 0]) / 1e6
    # The stream ends with the file; its other bytes (message headers) are spread evenly.
    read = np.maximum.accumulate(rows[:, 2])
    stream_bytes = int(end.max())
    percents = range(1, 100)
    polls = np.searchsorted(read, [stream_bytes * percent // 100 for percent in percents])
    marks = np.array([arrival.time_to_percent(percent) for percent in percents])
    known = (polls > 0) & (polls < len(rows))
    result["arrival"] = (marks[known] - rows[polls[known] - 1, 0]) / 1e6
    result["interval"] = np.diff(rows[:, 0]) / 1e6
    return result


async def measure(size_bytes: int, base: Path) -> dict[str, np.ndarray]:
    """Measure one run."""
    Payload("lag", size_bytes).write(base / "payload.bin")
    address = next(addresses)
    command = [sys.executable, "-m", "benchmarks.bittorrent_lag", "--seeder", str(base), address]
    pipe = asyncio.subprocess.PIPE
    seeder = await asyncio.create_subprocess_exec(*command, stdout=pipe)
    try:
        assert seeder.stdout is not None
        reference = json.loads(await seeder.stdout.readline())
        seeder_address = (address, reference.pop("port"))
        folder = base / "leecher"
        folder.mkdir()
        task = Task(
            "instrumented",
            next(addresses),
            str(folder),
            size_bytes,
            reference=reference,
            keep_arrivals=True,
        )
        async with Node.started(task) as node:
            stop = threading.Event()
            watching = asyncio.ensure_future(
                asyncio.to_thread(watch, node.process.pid, seeder_address, stop)
            )
            figures = await node.go()
            stop.set()
            rows = await watching
            curve, arrival = (Curve.from_npz(folder / f"{n}.npz") for n in ("written", "arrivals"))
        await seeder.wait()
    finally:
        if seeder.returncode is None:
            seeder.kill()
            await seeder.wait()
    if not figures["complete"]:
        raise click.ClickException(f"records are missing: {figures['notes']}")
    lags = lags_ms(rows, np.load(base / "ends.npy"), curve, arrival)
    return lags | {"speed": np.array([size_bytes / figures["seconds"] / 1e6])}


@click.command()
@click.option("--runs", default=3, show_default=True)
@click.option("--size", default="1GiB", show_default=True)
@click.option("--seeder", nargs=2, hidden=True)
def main(runs: int, size: str, seeder: tuple[str, str] | None) -> None:
    """Measure and print the lags."""
    if seeder:
        seeder_process(Path(seeder[0]), seeder[1])
        return
    parent = "/dev/shm" if Path("/dev/shm").is_dir() else None
    measured = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir=parent) as base:
            measured.append(asyncio.run(measure(parse_size(size), Path(base))))
    for name, label in (
        ("arrival", "arrival behind the socket"),
        ("read", "written stamp behind the socket"),
        ("arrived", "written stamp behind the arrival in the kernel"),
    ):
        medians = [float(np.median(run[name])) for run in measured]
        spread = " ".join(
            f"p{q} {statistics.mean(float(np.percentile(run[name], q)) for run in measured):.1f}"
            for q in (5, 95, 99)
        )
        value = statistics.median(medians)
        met = value <= 10 if name == "arrival" else None
        fields = {
            "name": f"bittorrent: {label}, median",
            "value": round(value, 3),
            "unit": "ms",
            "n": sum(len(run[name]) for run in measured),
            "spread": f"{min(medians):.3g} to {max(medians):.3g} over {runs} runs; {spread}",
            "aim": "<= 10" if name == "arrival" else "",
            "met": met,
        }
        click.echo(json.dumps(fields))
        click.echo(f"# {fields['name']}: {value:.2f} ms ({fields['spread']})", err=True)
    interval = statistics.median(float(np.median(run["interval"])) for run in measured)
    speed = statistics.mean(float(run["speed"][0]) for run in measured)
    click.echo(f"# polled every {interval:.2f} ms, at {speed:.0f} MB/s", err=True)


if __name__ == "__main__":
    main()
