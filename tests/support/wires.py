"""Moving bytes between namespaces, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import socket
import struct
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from swarmrace.network.namespaces import Namespace, call_inside

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
    """Serve connections inside a namespace: `u` and 8 bytes of length are answered once so many
    bytes have come; `d` and a length by so many bytes."""
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
    """Move bytes from or to a `sink`, in the calling thread's namespace."""
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(direction.encode() + struct.pack(">Q", count))
        if direction == "u":
            send(connection, count)
            return len(connection.recv(1)) * count
        return receive(connection, count)


def overloaded(sender: Namespace, receiver: Namespace, *, seconds: float) -> list[float]:
    """Send datagrams faster than a limit lets through; return how long each that arrived took, in
    seconds, without those of the first half, in which the queue fills. The kernel stamps arrival.
    """
    taken: list[tuple[int, int]] = []
    with (
        call_inside(receiver, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sink_,
        call_inside(sender, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        sink_.bind((receiver.address, 0))
        sink_.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        sink_.settimeout(1)
        out.setsockopt(socket.SOL_SOCKET, 32, 64_000_000)  # SO_SNDBUFFORCE: the limiter's drop
        out.connect(sink_.getsockname())

        def collect() -> None:
            with contextlib.suppress(TimeoutError):
                while True:
                    data, controls, _, _ = sink_.recvmsg(2048, 64)
                    whole, rest = struct.unpack("=qq", controls[0][2])
                    taken.append((struct.unpack_from("=q", data)[0], 1_000_000_000 * whole + rest))

        thread = threading.Thread(target=collect)
        thread.start()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for _ in range(10):
                with contextlib.suppress(OSError):  # the limiter's queue is full
                    out.send(struct.pack("=q", time.time_ns()) + bytes(1_400))
            time.sleep(0.002)
        thread.join()
    return [(came - sent) / 1e9 for sent, came in taken[len(taken) // 2 :]]


class SocketMover:
    """What `preflight.measure` needs, over a `sink`."""

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


def offload_off(interface: str) -> None:
    """Turn gso, tso and gro off in the calling thread's namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (0x24, 0x1F, 0x2C):
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(control, 0x8946, request)


def lossy(namespace: Namespace, percent: float) -> None:
    """Drop some of what comes in behind the interface; skip where iptables can't."""
    command = ["iptables", "-A", "INPUT", "-i", namespace.interface, "-m", "statistic"]
    command += ["--mode", "random", "--probability", str(percent / 100), "-j", "DROP"]
    try:
        done = call_inside(
            namespace, lambda: subprocess.run(command, capture_output=True, check=False)
        )
    except FileNotFoundError:
        pytest.skip("there is no iptables")
    if done.returncode:
        pytest.skip(f"iptables: {done.stderr.decode().strip()}")


def links() -> set[str]:
    """Return the interfaces of the calling thread's namespace."""
    return {name for _, name in socket.if_nameindex()}


class LinkWatch:
    """Waits, inside a namespace, until an interface is gone (rtnetlink(7) tells)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.bind((0, 1))

    def until_gone(self, interface: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._socket:
            while interface in links():
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                try:
                    self._socket.recv(65_536)
                except TimeoutError:
                    return interface not in links()
        return True
