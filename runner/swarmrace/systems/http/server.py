"""A tiny HTTP/1.1 server of one file (RFC 9110, RFC 9112), by sendfile(2).

One thread accepts, one serves each connection. A thread that blocks in sendfile costs nothing: the
call runs outside Python's lock until the kernel has accepted the whole piece. An event loop would
be woken for every buffer that becomes free.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import httptools

from swarmrace.host.sockets import url_host

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 4 << 20
_MAX_HEAD = 16_384
_HEAD_SECONDS = 10.0
_LINGER_SECONDS = 0.5
_RETRY_ACCEPT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED)


class BadRequest(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: HTTPStatus) -> None:
        self.status = status
        super().__init__(status.phrase)


class FileServer:
    """Serves `file` at `target`, from construction until `close`.

    GET and HEAD get 200 with Content-Length; another target gets 404, another method 405, and
    anything but an HTTP/1.x request 400. Every answer closes its connection. Range isn't offered,
    as RFC 9110 (14.2) allows.

    Args:
        address: IP address to listen on.
        file: the file to serve; opened once, so it may be unlinked afterwards.
        target: the absolute path of the URL, such as `/000-http`.
        configure: called with the listening socket before it listens (its connections inherit the
            socket options).

    Raises:
        OSError: the file can't be opened or the address can't be bound.
    """

    def __init__(
        self,
        address: str,
        file: Path,
        target: str,
        configure: Callable[[socket.socket], None],
    ) -> None:
        self._target = target.encode()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._open: dict[socket.socket, threading.Thread] = {}
        self.sent_bytes = 0
        """Payload bytes that the kernel has accepted, over all connections."""
        self.accepted = 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with contextlib.ExitStack() as undo:
            self._file = undo.enter_context(file.open("rb", buffering=0))
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            self._listener = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
            configure(self._listener)
            self._listener.bind((address, 0))
            self._listener.listen(1024)
            undo.pop_all()
        port = self._listener.getsockname()[1]
        self.url = f"http://{url_host(address)}:{port}{target}"
        self._acceptor = threading.Thread(target=self._accept, name="http-accept", daemon=True)
        self._acceptor.start()

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._open)

    def close(self) -> None:
        """Drop all connections and stop; returns when no thread is left. Safe to call twice."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(2)
        self._acceptor.join()
        with self._lock:
            threads = list(self._open.values())
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # wakes recv(2) and sendfile(2)
        for thread in threads:
            thread.join()
        self._listener.close()
        self._file.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno not in _RETRY_ACCEPT:
                    return
                self._closed.wait(0.01)
                continue
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="http-serve", daemon=True
            )
            with self._lock:
                self._open[connection] = thread
                self.accepted += 1
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                self._answer(connection)
        finally:
            with self._lock:
                del self._open[connection]

    def _answer(self, connection: socket.socket) -> None:
        method = b""
        try:
            method, target = _read_request(connection)
            if method not in (b"GET", b"HEAD"):
                raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED)
            if target != self._target:
                raise BadRequest(HTTPStatus.NOT_FOUND)
        except BadRequest as error:
            text = f"{error.status.value} {error.status.phrase}\n".encode()
            connection.sendall(
                _head(error.status, len(text)) + (b"" if method == b"HEAD" else text)
            )
        else:
            connection.settimeout(None)
            connection.sendall(_head(HTTPStatus.OK, self.size_bytes))
            if method == b"GET":
                self._send_file(connection)
        _linger(connection)

    def _send_file(self, connection: socket.socket) -> None:
        out, file, offset = connection.fileno(), self._file.fileno(), 0
        while offset < self.size_bytes:
            sent = os.sendfile(out, file, offset, min(_PIECE, self.size_bytes - offset))
            if not sent:
                return  # the file shrank: the leecher sees the early close
            offset += sent
            with self._lock:
                self.sent_bytes += sent


def _read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return method and path of the request whose head arrives on `connection`."""
    connection.settimeout(_HEAD_SECONDS)
    request = _Request()
    parser = httptools.HttpRequestParser(request)
    left = _MAX_HEAD
    try:
        while not request.complete:
            data = connection.recv(left)
            if not data:
                raise OSError(errno.ECONNRESET, "closed before its request")
            left -= len(data)
            parser.feed_data(data)
            if not left and not request.complete:
                raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        path = httptools.parse_url(request.url).path
    except TimeoutError as error:
        raise BadRequest(HTTPStatus.REQUEST_TIMEOUT) from error
    except httptools.HttpParserUpgrade:
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED) from None
    except httptools.HttpParserError as error:
        raise BadRequest(HTTPStatus.BAD_REQUEST) from error
    if parser.get_http_version() == "1.1" and request.hosts != 1:
        raise BadRequest(HTTPStatus.BAD_REQUEST)  # RFC 9112, 3.2
    return parser.get_method(), path


class _Request:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.url, self.hosts, self.complete = b"", 0, False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.hosts += name.lower() == b"host"

    def on_headers_complete(self) -> None:
        self.complete = True


def _head(status: HTTPStatus, length: int) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Length: {length}",
        f"Content-Type: {'application/octet-stream' if status == 200 else 'text/plain'}",
        "Accept-Ranges: none",
        "Connection: close",
    ]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _linger(connection: socket.socket) -> None:
    """Close our side, then keep reading for a moment: closing with unread bytes would send a reset,
    and the client could lose the answer (RFC 9112, 9.6)."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(_LINGER_SECONDS)
    for _ in range(64):
        if not connection.recv(65_536):
            return
