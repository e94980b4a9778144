"""Transfers between namespaces, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from pyroute2 import IPRoute

from patience import PATIENCE_SECONDS
from swarmrace.network import counters
from swarmrace.network.namespaces import Namespace, call_inside
from swarmrace.network.rtnetlink import Rtnetlink

_CHUNK = bytes(65_536)


def send(connection: socket.socket, count: int) -> None:
    view = memoryview(_CHUNK)
    while count:
        count -= connection.send(view[: min(count, len(_CHUNK))])


def receive(connection: socket.socket, count: int) -> int:
    got = 0
    while got < count and (part := connection.recv(min(len(_CHUNK), count - got))):
        got += len(part)
    return got


@contextlib.contextmanager
def sink(namespace: Namespace) -> Iterator[tuple[str, int]]:
    """Serve connections inside a namespace. A request is `u` or `d` and a length in 8 bytes: `u`
    is answered once that many bytes have come, `d` by that many bytes."""
    server = call_inside(namespace, socket.create_server, (namespace.address, 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    head = connection.recv(9, socket.MSG_WAITALL)
                    if len(head) == 9:
                        (count,) = struct.unpack(">Q", head[1:])
                        if head[:1] == b"u":
                            receive(connection, count)
                            connection.sendall(b"k")
                        else:
                            send(connection, count)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def transfer(address: tuple[str, int], direction: str, count: int) -> int:
    """Download from a `sink` (`d`) or upload to it (`u`), in the calling thread's namespace."""
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(direction.encode() + struct.pack(">Q", count))
        if direction == "u":
            send(connection, count)
            return len(connection.recv(1)) * count
        return receive(connection, count)


def overloaded(sender: Namespace, receiver: Namespace, *, seconds: float = 0.5) -> float:
    """Send datagrams faster than a rate limiter lets through; return the longest delay in seconds
    of those that arrived: that of one for which the queue was full. The kernel stamps arrival.

    While a busy machine doesn't run the sender the queue drains, so most delays may be shorter.
    """
    stamps: list[tuple[int, int]] = []
    with (
        call_inside(receiver, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sink_,
        call_inside(sender, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        sink_.bind((receiver.address, 0))
        sink_.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        sink_.settimeout(0.2)
        out.setsockopt(socket.SOL_SOCKET, 32, 64_000_000)  # SO_SNDBUFFORCE: the limiter must drop
        out.connect(sink_.getsockname())

        sent = threading.Event()

        def collect() -> None:
            while True:
                try:
                    data, controls, _, _ = sink_.recvmsg(2048, 64)
                except TimeoutError:
                    if sent.is_set() and stamps:
                        return
                    continue
                whole, rest = struct.unpack("=qq", controls[0][2])
                stamps.append((struct.unpack_from("=q", data)[0], 1_000_000_000 * whole + rest))

        thread = threading.Thread(target=collect)
        thread.start()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for _ in range(10):
                with contextlib.suppress(OSError):  # the limiter's queue is full
                    out.send(struct.pack("=q", time.time_ns()) + bytes(1_400))
            time.sleep(0.002)
        sent.set()
        thread.join()
    return max(came - left for left, came in stamps) / 1e9


def dropped(namespace: Namespace) -> int:
    """Return how many packets the limiter of a namespace's own interface has dropped."""
    return sum(queue["drops"] for queue in _queues(namespace))


def settle(*namespaces: Namespace) -> None:
    """Return once nothing is on its way between namespaces whose network is closed: no limiter
    holds a packet, and the interfaces' counters stand still.

    Two reads of a counter are only compared after this, because TCP may still repeat or
    acknowledge a packet between them.
    """
    before: object = None
    for _ in range(1000):
        now = [call_inside(each, counters.read, each.interface) for each in namespaces]
        held = sum(queue["backlog"] for each in namespaces for queue in _queues(each))
        if now == before and not held:
            return
        before = now
        time.sleep(0.1)
    raise AssertionError(f"found traffic that doesn't end: {before}")


def _queues(namespace: Namespace) -> list[dict[str, int]]:
    """Return what the queues of a namespace's own interface hold and have dropped."""

    def read() -> list[dict[str, int]]:
        with IPRoute() as netlink:
            found = netlink.get_qdiscs(index=socket.if_nametoindex(namespace.interface))
            return [each.get_nested("TCA_STATS2", "TCA_STATS_QUEUE") for each in found]

    return call_inside(namespace, read)


class SocketMover:
    """A client for `preflight.measure` that transfers over a `sink`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.leased = False

    @contextlib.asynccontextmanager
    async def preflight_lease(self) -> AsyncIterator[None]:
        self.leased = True
        yield
        self.leased = False

    async def preflight_upload(self, size_bytes: int, skip_bytes: int = 0) -> float:
        return await self._timed("u", size_bytes)

    async def preflight_download(self, size_bytes: int, skip_bytes: int = 0) -> float:
        return await self._timed("d", size_bytes)

    async def _timed(self, direction: str, size_bytes: int) -> float:
        assert self.leased
        began = time.monotonic()
        await asyncio.sleep(0)
        assert transfer(self._address, direction, size_bytes) == size_bytes
        return size_bytes / (time.monotonic() - began)


def delete_link(name: str) -> None:
    """Delete a link in the calling thread's namespace."""
    with Rtnetlink() as links:
        links.delete_link(name)


def drop_packets(namespace: Namespace, percent: float) -> None:
    """Drop this share of incoming packets behind the interface; skip if iptables can't."""
    command = ["iptables", "-A", "INPUT", "-i", namespace.interface, "-m", "statistic"]
    command += ["--mode", "random", "--probability", str(percent / 100), "-j", "DROP"]
    try:
        done = call_inside(
            namespace, lambda: subprocess.run(command, capture_output=True, check=False)
        )
    except FileNotFoundError:
        pytest.skip("iptables is not installed")
    if done.returncode:
        pytest.skip(f"iptables: {done.stderr.decode().strip()}")


def links() -> set[str]:
    """Return the interfaces of the calling thread's namespace."""
    return {name for _, name in socket.if_nameindex()}


class LinkWatch:
    """Waits, inside a namespace, until an interface is gone (by rtnetlink(7))."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.bind((0, 1))

    def wait_until_gone(self, interface: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._socket:
            while interface in links():
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                try:
                    self._socket.recv(65_536)
                except TimeoutError:
                    return interface not in links()
        return True
