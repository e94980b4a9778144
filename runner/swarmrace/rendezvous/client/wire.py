"""Counting the wire bytes of this process's control connections, from the kernel's TCP_INFO."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpcore
import httpx

_HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
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
    timestamps). Retransmissions are included; received duplicates are not. Segments merged by
    offloading are counted one by one, so the figure is too high by less than 66 bytes a segment.
    (0, 0) for anything but TCP.
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


class CountingTransport(httpx.AsyncBaseTransport):
    """A transport for httpx that counts the wire bytes of its connections.

    httpx's own transport accepts no network backend, but httpcore's connection pool does.

    Args:
        uds: path of a unix socket to connect to instead of the URL's host.
    """

    def __init__(self, *, uds: str | None = None) -> None:
        self._backend = _CountingBackend()
        self._connections = httpcore.AsyncConnectionPool(
            max_connections=8, keepalive_expiry=60.0, uds=uds, network_backend=self._backend
        )

    def wire_bytes(self) -> tuple[int, int]:
        """Return the wire bytes (sent, received) of all connections so far."""
        return self._backend.wire_bytes()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; httpcore's errors are raised as httpx's of the same name."""
        url = request.url
        with _errors_of_httpx(request):
            answer = await self._connections.handle_async_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, request),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; raises httpx's errors."""

    def __init__(self, answer: httpcore.Response, request: httpx.Request) -> None:
        self._answer, self._request = answer, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx(self._request):
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with _errors_of_httpx(self._request):
            await self._answer.aclose()


@contextlib.contextmanager
def _errors_of_httpx(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except _HTTPCORE_ERRORS as error:
        raise _httpx_error(type(error))(str(error), request=request) from error


def _httpx_error(kind: type[BaseException]) -> type[httpx.TransportError]:
    """Return httpx's error of the same name as httpcore's, or as its nearest base class."""
    for each in kind.__mro__:
        found = getattr(httpx, each.__name__, None)
        if isinstance(found, type) and issubclass(found, httpx.TransportError):
            return found
    return httpx.TransportError


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
    """A TCP connection that keeps its last TCP_INFO when it closes."""

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
