"""Counting the wire bytes of one's own control connections, from the kernel's TCP_INFO."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

_TCP_INFO_BYTES = 224
_OPTION_TIMESTAMPS = 1
_IP_HEADER = {socket.AF_INET: 20, socket.AF_INET6: 40}
_TCP_HEADER = 20
_TIMESTAMPS = 12
_LINK_HEADER = 14
"""Interface counters include the Ethernet header, except on the loopback interface."""


def wire_bytes(connection: socket.socket) -> tuple[int, int]:
    """Return the bytes (sent, received) of a TCP connection as its interface counted them.

    Payload and segment counts are the kernel's (`struct tcp_info` of linux/tcp.h: fields
    bytes_sent, bytes_received, segs_out, segs_in); headers are computed (link, IP, TCP and its
    timestamps). What is sent again is included; what arrives twice is not. Segments merged by
    offloading count one by one, so the figure errs upward, by less than 66 bytes a segment. (0, 0)
    for anything but TCP.
    """
    header = _IP_HEADER.get(connection.family)
    if header is None:
        return 0, 0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        local = connection.getsockname()[0]
    except OSError:
        return 0, 0
    info = info.ljust(_TCP_INFO_BYTES, b"\0")
    (received,) = struct.unpack_from("=Q", info, 128)
    segments_out, segments_in = struct.unpack_from("=II", info, 136)
    (sent,) = struct.unpack_from("=Q", info, 200)
    header += _TCP_HEADER
    if info[5] & _OPTION_TIMESTAMPS:
        header += _TIMESTAMPS
    if not ipaddress.ip_address(local.partition("%")[0]).is_loopback:
        header += _LINK_HEADER
    return sent + header * segments_out, received + header * segments_in


class CountingTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport, over connections that are counted.

    Args:
        uds: path of a unix socket to connect to instead of the URL's host.
    """

    def __init__(self, *, uds: str | None = None) -> None:
        super().__init__(trust_env=False, verify=False)  # reading certificates costs 50 ms of CPU
        self._backend = _CountingBackend()
        # httpx has no argument for httpcore's network backend, so its pool is replaced.
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=8, keepalive_expiry=60.0, uds=uds, network_backend=self._backend
        )

    def wire_bytes(self) -> tuple[int, int]:
        """Return the wire bytes (sent, received) of all connections so far."""
        return self._backend.wire_bytes()


class _CountingBackend(httpcore.AsyncNetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._open: set[_CountingStream] = set()
        self._closed = (0, 0)

    def wire_bytes(self) -> tuple[int, int]:
        totals = [self._closed, *(stream.wire_bytes() for stream in self._open)]
        return sum(sent for sent, _ in totals), sum(received for _, received in totals)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._inner.connect_tcp(
            host, port, timeout, local_address, socket_options=socket_options
        )
        return self._counted(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return await self._inner.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    def _counted(self, stream: httpcore.AsyncNetworkStream) -> httpcore.AsyncNetworkStream:
        counted = _CountingStream(stream, self)
        self._open.add(counted)
        return counted

    def closed(self, stream: _CountingStream, total: tuple[int, int]) -> None:
        if stream in self._open:
            self._open.discard(stream)
            self._closed = (self._closed[0] + total[0], self._closed[1] + total[1])


class _CountingStream(httpcore.AsyncNetworkStream):
    """A TCP connection whose last TCP_INFO is kept when it closes."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, backend: _CountingBackend) -> None:
        self._inner, self._backend = inner, backend
        self._last = (0, 0)

    def wire_bytes(self) -> tuple[int, int]:
        connection = self._inner.get_extra_info("socket")
        with contextlib.suppress(OSError):
            now = wire_bytes(connection) if connection is not None else (0, 0)
            self._last = max(self._last, now)
        return self._last

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        total = self.wire_bytes()
        try:
            await self._inner.aclose()
        finally:
            self._backend.closed(self, total)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return await self._inner.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
