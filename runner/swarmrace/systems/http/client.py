"""One download over one plain HTTP connection, each read stamped and written to its place.

It runs in a thread of its own, so that a stamp is taken when recv(2) returns and not when an event
loop comes round to it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httptools

from swarmrace.arrivals import ByteLog
from swarmrace.errors import Reason, TransferError
from swarmrace.host.infrastructure import FULL

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarmrace.systems.abc import Record

_MAX_HEAD = 65_536


class Download:
    """Fetches `url` into an open file.

    Args:
        url: an `http` URL.
        file: descriptor of the file that the payload is written to.
        record: gets discovery, one arrival a read, and done.
        read_size: most bytes of one read.
        source: IP address to connect from.
        configure: called with the socket before it connects.
    """

    def __init__(
        self,
        url: str,
        file: int,
        record: Record,
        *,
        read_size: int,
        source: str,
        configure: Callable[[socket.socket], None],
    ) -> None:
        self._url = url
        self._file = file
        self._record = record
        self._buffer = memoryview(bytearray(read_size))
        self._source = source
        self._configure = configure
        self._socket: socket.socket | None = None
        self._cancelled = False
        self._log = ByteLog(2 * record.size_bytes // read_size + 64)
        record.arrivals = record.deliverable = self._log

    def cancel(self) -> None:
        """Make `run` end soon; from any thread. To be called again until it has."""
        self._cancelled = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Fetch; return when the last byte is written.

        Raises:
            TransferError: `refused` (nobody listens, another status or length), `node died` (the
                connection ended before the last byte) or `disk full`. After `cancel`, whatever the
                torn connection gave.
        """
        with self._connect() as connection:
            try:
                connection.sendall(self._request())
                data, t_ns = self._read_head(connection)
                self._receive(connection, data, t_ns)
            except (ConnectionError, TimeoutError) as error:
                raise self._ended(error.strerror or str(error)) from error

    def _connect(self) -> socket.socket:
        parts = urlsplit(self._url)
        try:
            found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
            family, kind, _, _, to = found[0]
            self._socket = connection = socket.socket(family, kind)
            try:
                self._configure(connection)
                connection.bind((self._source, 0))
                if not self._cancelled:
                    connection.connect(to)
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            raise TransferError(
                Reason.REFUSED, f"{self._url}: can't connect: {error.strerror or error}"
            ) from error
        return connection

    def _request(self) -> bytes:
        parts = urlsplit(self._url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: swarmrace\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        ).encode()

    def _read_head(self, connection: socket.socket) -> tuple[bytes, int]:
        """Read up to the final answer's head; return the payload bytes that came with its end and
        when they came."""
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        head, status, t_ns = bytearray(), 100, 0
        while status < 200:  # interim answers (RFC 9110, 15.2) precede the final one
            end = head.find(b"\r\n\r\n") + 4
            if end < 4:
                if len(head) > _MAX_HEAD:
                    raise self._refused("a response head", f"{len(head)} bytes without its end")
                count = connection.recv_into(self._buffer)
                t_ns = self._record.clock.now_ns()
                if not count:
                    raise self._ended("closed before its answer")
                head += self._buffer[:count]
                continue
            try:
                parser.feed_data(bytes(head[:end]))
            except httptools.HttpParserError as error:
                raise self._refused("an HTTP response", str(error)) from error
            del head[:end]
            status = parser.get_status_code()
        if status != 200:
            raise self._refused("status 200", str(status))
        if answer.length != str(self._record.size_bytes).encode():
            raise self._refused(
                f"Content-Length {self._record.size_bytes}", repr(answer.length.decode("latin-1"))
            )
        self._record.discovered(t_ns)
        return bytes(head[: self._record.size_bytes]), t_ns

    def _receive(self, connection: socket.socket, first: bytes, t_ns: int) -> None:
        size, buffer, write = self._record.size_bytes, self._buffer, self._write
        note, now_ns, receive = self._log.record, self._record.clock.now_ns, connection.recv_into
        offset = len(first)
        if first:
            note(0, offset, t_ns)
            write(memoryview(first), 0)
        while offset < size:
            count = receive(buffer, min(len(buffer), size - offset))
            t_ns = now_ns()
            if not count:
                raise self._ended("closed early")
            note(offset, count, t_ns)
            write(buffer[:count], offset)
            offset += count
        self._record.done()

    def _write(self, data: memoryview, offset: int) -> None:
        try:
            while data:
                written = os.pwrite(self._file, data, offset)
                data, offset = data[written:], offset + written
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise TransferError(
                Reason.DISK_FULL,
                f"at byte {offset} of the leecher's file: {error.strerror}",
                error.errno,
            ) from error

    def _refused(self, expected: str, found: str) -> TransferError:
        return TransferError(Reason.REFUSED, f"{self._url}: expected {expected}, found {found}")

    def _ended(self, how: str) -> TransferError:
        return TransferError(
            Reason.NODE_DIED,
            f"{self._url}: connection ended after {self._log.bytes_recorded} of "
            f"{self._record.size_bytes} bytes: {how}",
        )


class _Answer:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.length = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-length":
            self.length = value
