"""Server-sent events for any number of viewers: each gets the newest event of every kind.

No viewer has a queue. Only the newest frame of each kind is kept, once for all viewers. A slow
viewer gets the newest frames when its connection accepts data again. A viewer that accepts none for
`stuck_seconds` is cut off. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from swarmrace.rendezvous.http_server import TRANSPORT
from swarmrace.rendezvous.messages import encode

STUCK_SECONDS = 20.0
MAX_WATCHERS = 64
RETRY_MILLISECONDS = 2000
"""Time after which a browser reconnects."""
_SEND_BUFFER_BYTES = 65_536
"""Send buffer of a viewer's socket. The kernel would otherwise hold megabytes for one that doesn't
read."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class Feed:
    """The newest frame of each kind, and the viewers.

    Args:
        stuck_seconds: a viewer that accepts no data for this long is cut off.
        max_watchers: maximum number of viewers; more are refused with 503.
    """

    def __init__(
        self, *, stuck_seconds: float = STUCK_SECONDS, max_watchers: int = MAX_WATCHERS
    ) -> None:
        self._stuck_seconds, self._max_watchers = stuck_seconds, max_watchers
        self._source = secrets.token_hex(4)
        self._frames: dict[str, tuple[int, bytes, bytes]] = {}
        self._version = 0
        self.changed = asyncio.Event()
        """Set when there is a new frame, and then replaced."""
        self.stopped = False
        self.watchers = 0
        self.cut_off = 0
        """Number of viewers that were cut off because they accepted no data."""

    def put(self, kind: str, data: Any) -> None:
        """Replace the event of a kind. The same data again is no event."""
        body = encode(data)
        known = self._frames.get(kind)
        if known is not None and known[2] == body:
            return
        self._version += 1
        self._frames[kind] = (self._version, frame(kind, body, self.event_id), body)
        self._wake()

    @property
    def event_id(self) -> str:
        """The id of the newest event: the feed's own name and a number."""
        return f"{self._source}-{self._version}"

    def stop(self) -> None:
        """End every stream once it has sent the current frames; refuse later ones."""
        self.stopped = True
        self._wake()

    def since(self, version: int) -> tuple[int, bytes]:
        """Return the newest version and all frames newer than `version`, oldest first."""
        newer = sorted(each for each in self._frames.values() if each[0] > version)
        return self._version, b"".join(text for _, text, _ in newer)

    def version_of(self, event_id: str) -> int:
        """Return the version that a returning viewer has seen; 0 if it was another feed's."""
        source, _, number = event_id.partition("-")
        known = source == self._source and number.isascii() and number.isdigit()
        return min(int(number[:18]), self._version) if known else 0

    async def stream(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        greet: Callable[[], bytes] = bytes,
    ) -> None:
        """Answer a request with the events, until its client disconnects or the feed is stopped.

        Args:
            scope: the ASGI request; `Last-Event-ID` is the last event that was seen.
            receive: of ASGI.
            send: of ASGI; it waits while the connection's buffer is full.
            greet: returns frames that only new viewers need.
        """
        async with self.admit(scope, receive, send) as watcher:
            if watcher is not None:
                await watcher.give(greet())
                await self.follow(watcher, self.version_of(watcher.last_event_id))

    @contextlib.asynccontextmanager
    async def admit(
        self, scope: Scope, receive: Receive, send: Send
    ) -> AsyncIterator[Watcher | None]:
        """Open a stream of events for the block, and count it. Yield None if it is refused."""
        if self.stopped or self.watchers >= self._max_watchers:
            text = "no more viewers can be served; close another page, or try again later"
            await JSONResponse({"error": text}, 503)(scope, receive, send)
            yield None
            return
        watcher = Watcher(scope, receive, send, self._stuck_seconds)
        self.watchers += 1
        try:
            async with watcher.open():
                yield watcher
        finally:
            self.watchers -= 1
            self.cut_off += watcher.cut_off

    async def follow(self, watcher: Watcher, seen: int = 0) -> None:
        """Send a viewer all events newer than the version `seen`, until it disconnects or the feed
        is stopped."""
        while not watcher.has_left:
            changed = self.changed
            seen, frames = self.since(seen)
            if frames:
                await watcher.give(frames)
            elif self.stopped:
                return
            else:
                await watcher.wait(changed)

    def _wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class Watcher:
    """One open stream of events.

    Args:
        scope: the ASGI request.
        receive: of ASGI.
        send: of ASGI.
        stuck_seconds: how long the client may accept no data.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._stuck_seconds = stuck_seconds
        self._left: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        self.cut_off = False

    @property
    def last_event_id(self) -> str:
        """The last event that the client reports to have seen."""
        return Headers(scope=self._scope).get("last-event-id", "")

    @property
    def has_left(self) -> bool:
        """Whether the client has disconnected, or was cut off."""
        return self.cut_off or (self._left is not None and self._left.done())

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Send the head when the block begins, and end the answer with it."""
        self._left = asyncio.ensure_future(self._until_left())
        try:
            _bound_send_buffer(self._scope.get(TRANSPORT))
            await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self.give(b"retry: %d\n\n" % RETRY_MILLISECONDS)
            yield
            if not self.has_left:
                await self._send({"type": "http.response.body", "body": b""})
        finally:
            self._left.cancel()

    async def give(self, frames: bytes) -> None:
        """Send frames. Wait while the connection is full, and cut it off if that takes too long.
        Several tasks may send; their frames are never mixed.
        """
        async with self._turn:
            if frames and not self.has_left:
                await self._give(frames)

    async def _give(self, frames: bytes) -> None:
        message = {"type": "http.response.body", "body": frames, "more_body": True}
        try:
            await asyncio.wait_for(self._send(message), self._stuck_seconds)
        except TimeoutError:
            self.cut_off = True
            transport = self._scope.get(TRANSPORT)
            if transport is not None:
                transport.abort()
                assert self._left is not None
                await asyncio.wait({self._left}, timeout=1)

    async def wait(self, changed: asyncio.Event) -> None:
        """Wait for `changed`, or until the client has disconnected."""
        assert self._left is not None
        change = asyncio.ensure_future(changed.wait())
        try:
            ends: set[asyncio.Future[Any]] = {change, self._left}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def frame(kind: str, body: bytes, event_id: str = "") -> bytes:
    """Return one event. `body` is JSON, which has no line feed."""
    named = b"id: %b\n" % event_id.encode() if event_id else b""
    return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), named, body)


def _bound_send_buffer(transport: Any) -> None:
    opened = None if transport is None else transport.get_extra_info("socket")
    if opened is not None:
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
