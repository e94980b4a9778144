"""One download over one HTTP connection; each read is stamped and written to the file.

This client reads every system that serves an application by HTTP (the baseline, a Codex node's
stream), so that all are charged equally for reading.

It runs in a separate thread, so that reading doesn't wait for an event loop. A read's stamp is when
its last byte reached the host (`recording.stamped_reads`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httptools

from swarmrace.errors import Reason, TransferError
from swarmrace.host.infrastructure import FULL
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.stamped_reads import StampedReads, enable_receive_stamps

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarmrace.systems.abc import Record

_MAX_HEAD = 65_536
_TEXT_SECONDS = 1.0


class Download:
    """Fetches `url` into an open file.

    Args:
        url: an `http` or `https` URL.
        file: descriptor of the file that the payload is written to.
        record: receives discovery, one arrival per read, and done.
        read_size: maximum size of one read, in bytes.
        source: IP address to connect from; None leaves the choice to the kernel.
        configure: called with the socket before it connects.
        length_required: whether an answer without a Content-Length is refused.
        method: the request's method, one without a body.
    """

    def __init__(
        self,
        url: str,
        file: int,
        record: Record,
        *,
        read_size: int,
        source: str | None = None,
        configure: Callable[[socket.socket], None] = lambda sock: None,
        length_required: bool = True,
        method: str = "GET",
    ) -> None:
        self._url = url
        self._file = file
        self._record = record
        self._buffer = memoryview(bytearray(read_size))
        self._source = source
        self._configure = configure
        self._length_required = length_required
        self._method = method
        self._answer = _Answer()
        self._socket: socket.socket | None = None
        self._cancelled = False
        self._log = ByteLog(2 * record.size_bytes // read_size + 64)
        self._begin(record)

    def _begin(self, record: Record) -> None:
        """Set the record's logs: what arrives in order is delivered at once."""
        record.arrivals = record.deliverable = self._log

    def cancel(self) -> None:
        """Make `run` end soon; from any thread. Call it repeatedly until `run` has ended."""
        self._cancelled = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Fetch; return when the last byte is written.

        Raises:
            TransferError: `refused` (the connection, or another status or length), `node died` (the
                connection ended before the last byte) or `disk full`. After `cancel`, any of these.
        """
        with self._connect() as connection:
            try:
                connection.sendall(self._request())
                reads = StampedReads(connection, self._record.clock.now_ns)
                data, t_ns, answer = self._read_head(connection, reads)
                if answer.length:
                    self._receive(reads, data, t_ns)
                else:
                    self._receive_unsized(reads, data, t_ns, answer)
            except (ConnectionError, TimeoutError) as error:
                raise self._ended(error.strerror or str(error)) from error

    def _connect(self) -> socket.socket:
        parts = urlsplit(self._url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
            family, kind, _, _, to = found[0]
            self._socket = connection = socket.socket(family, kind)
            try:
                self._configure(connection)
                enable_receive_stamps(connection)
                if self._source is not None:
                    connection.bind((self._source, 0))
                if not self._cancelled:
                    connection.connect(to)
                    if parts.scheme == "https":
                        tls = ssl.create_default_context()
                        self._socket = connection = tls.wrap_socket(
                            connection, server_hostname=parts.hostname
                        )
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            raise self._not_connected(error) from error
        return connection

    def _request(self) -> bytes:
        parts = urlsplit(self._url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        length = "" if self._method == "GET" else "Content-Length: 0\r\n"
        return (
            f"{self._method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"User-Agent: swarmrace\r\nAccept: */*\r\n{length}Connection: close\r\n\r\n"
        ).encode()

    def _read_head(
        self, connection: socket.socket, reads: StampedReads
    ) -> tuple[bytes, int, _Answer]:
        """Read the final answer's head; return the bytes of the body that came with its end, when
        they came, and the answer."""
        answer = self._answer
        parser = answer.parser
        head, status, t_ns = bytearray(), 100, 0
        while status < 200:  # interim answers (RFC 9110, 15.2) come before the final one
            end = head.find(b"\r\n\r\n") + 4
            if end < 4:
                if len(head) > _MAX_HEAD:
                    raise self._refused("a response head", f"{len(head)} bytes without its end")
                count, t_ns = reads.read(self._buffer)
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
            raise self._wrong_status(status, answer.text(connection, bytes(head)))
        size = self._record.size_bytes
        if answer.length != str(size).encode() and (answer.length or self._length_required):
            raise self._wrong_length(answer.length.decode("latin-1"))
        self._record.discovered(t_ns)
        return bytes(head[:size] if answer.length else head), t_ns, answer

    def _receive(self, reads: StampedReads, first: bytes, t_ns: int) -> None:
        size, buffer, write = self._record.size_bytes, self._buffer, self._write
        note, read = self._log.record, reads.read
        offset = len(first)
        if first:
            note(0, offset, t_ns)
            write(memoryview(first), 0)
        while offset < size:
            count, t_ns = read(buffer[: size - offset])
            if not count:
                raise self._ended("closed early")
            note(offset, count, t_ns)
            write(buffer[:count], offset)
            offset += count
        self._record.done()

    def _receive_unsized(
        self, reads: StampedReads, data: bytes, t_ns: int, answer: _Answer
    ) -> None:
        """Receive a body without a Content-Length: in chunks, or up to the connection's end."""
        size, buffer, offset = self._record.size_bytes, self._buffer, 0
        while True:
            body = answer.feed(data) if data else b""
            if body:
                self._log.record(offset, len(body), t_ns)
                self._write(memoryview(body), offset)
                offset += len(body)
                if offset > size:
                    raise self._wrong_size(offset)
                if offset == size:
                    self._record.done()
            if answer.complete:
                break
            count, t_ns = reads.read(buffer)
            if not count:
                if answer.chunked:
                    raise self._ended("closed early")
                break
            data = bytes(buffer[:count])
        if offset != size:
            raise self._wrong_size(offset)

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

    def _not_connected(self, error: OSError) -> TransferError:
        detail = f"{self._url}: can't connect: {error.strerror or error}"
        return TransferError(Reason.REFUSED, detail)

    def _wrong_status(self, status: int, text: str) -> TransferError:
        return self._refused("status 200", str(status))

    def _wrong_length(self, found: str) -> TransferError:
        return self._refused(f"Content-Length {self._record.size_bytes}", repr(found))

    def _wrong_size(self, received: int) -> TransferError:
        return self._refused(f"{self._record.size_bytes} bytes", str(received))

    def _refused(self, expected: str, found: str) -> TransferError:
        return TransferError(Reason.REFUSED, f"{self._url}: expected {expected}, found {found}")

    def _ended(self, how: str) -> TransferError:
        return TransferError(
            Reason.NODE_DIED,
            f"{self._url}: connection ended after {self._log.bytes_recorded} of "
            f"{self._record.size_bytes} bytes: {how}",
        )


class _Answer:
    """One response, parsed by httptools as far as needed."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.length = b""
        self.headers: dict[bytes, bytes] = {}
        """By their names in small letters, those behind a chunked body included."""
        self.chunked = self.complete = False
        self._body = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Return the payload in `data`, the next part of the response."""
        self.parser.feed_data(data)
        body, self._body = bytes(self._body), bytearray()
        return body

    def text(self, connection: socket.socket, data: bytes) -> str:
        """Return the body of an error in one line, as much as comes within a second."""
        found = bytearray()
        with contextlib.suppress(OSError, httptools.HttpParserError):
            connection.settimeout(_TEXT_SECONDS)
            while True:
                found += self.feed(data) if data else b""
                if self.complete or len(found) > _MAX_HEAD:
                    break
                data = connection.recv(_MAX_HEAD)
                if not data:
                    break
        return " ".join(bytes(found).decode(errors="replace").split())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value
        if name.lower() == b"content-length":
            self.length = value
        elif name.lower() == b"transfer-encoding":
            self.chunked = b"chunked" in value.lower()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.complete = True


async def fetched(download: Download) -> None:
    """Run a download in a separate thread; a cancellation closes its connection.

    Raises:
        TransferError: as `Download.run`.
    """
    ended = _in_thread(download.run)
    try:
        await asyncio.shield(ended)
    except asyncio.CancelledError:
        while not ended.done():
            download.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([ended], timeout=0.02)
        ended.exception()
        raise


def _in_thread(work: Callable[[], None]) -> asyncio.Future[None]:
    """Run `work` in a new thread at once; a shared pool might make it wait."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def body() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing waits any more
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=body, name="http-fetch", daemon=True).start()
    return ended
