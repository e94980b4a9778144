"""One address for everything that a local command races: the page, and the events of the current
tracker.

A tracker comes and goes with each race of a sweep, and may be in a network namespace. The front
runs in a thread of the command, outlives them all, and relays the events of the current one over
its unix socket. For a slow viewer it also reads slowly, so that the tracker skips to the newest
events.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from swarmrace.errors import UnavailableError
from swarmrace.host import sockets
from swarmrace.host.sockets import url_host
from swarmrace.rendezvous.http_server import Server
from swarmrace.rendezvous.live.feed import Feed, Watcher, frame
from swarmrace.rendezvous.live.paths import Events, html
from swarmrace.rendezvous.messages import encode

_BACKLOG = 64
_SILENT_SECONDS = 15.0
"""A tracker that sends nothing for this long is lost: it sends news every second."""
_AGAIN_SECONDS = 0.5
_START_SECONDS = 60.0
_MISDIRECTED = 421


@dataclass(frozen=True, slots=True)
class Target:
    """The address of a race's tracker."""

    socket: Path
    race_id: str


class Front:
    """Serves the page until `close`.

    Args:
        host: IP address or name to listen on.
        port: 0 takes a free one.

    Raises:
        UnavailableError: the address can't be listened on.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            self._bound = sockets.listening(host, port, _BACKLOG)
        except OSError as error:
            raise UnavailableError(
                f"--watch-on: expected an address to listen on, found {host}:{port}: "
                f"{error.strerror or error}; choose another address"
            ) from error
        self.host = host
        self.port = int(self._bound.getsockname()[1])
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="live page", daemon=True)

    @property
    def url(self) -> str:
        """The page's address; this machine's own if it listens on all addresses."""
        host = "127.0.0.1" if self.host in ("*", "0.0.0.0", "::") else self.host
        return f"http://{url_host(host)}:{self.port}/"

    @property
    def is_public(self) -> bool:
        """Whether other machines may reach it."""
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"

    def start(self) -> None:
        """Start serving.

        Raises:
            UnavailableError: it doesn't start.
        """
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise UnavailableError(
                f"--watch: expected the page to be served within {_START_SECONDS:g} s, found that "
                "it isn't; race without --watch"
            )

    def follow(self, socket: Path | None, race_id: str = "") -> None:
        """Relay the tracker at a unix socket from now on; with None, relay none."""
        target = None if socket is None else Target(socket, race_id)
        self._call(lambda: self._app.follow(target))

    def put_sweep(self, data: dict[str, Any]) -> None:
        """Show a sweep's progress: event `sweep`."""
        self._call(lambda: self._app.feed.put("sweep", data))

    def close(self) -> None:
        """Report to all viewers that the command ends, then stop."""
        self._call(self._end)
        self._thread.join(_START_SECONDS)
        self._bound.close()

    def _call(self, action: Any) -> None:
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(action)

    def _end(self) -> None:
        self._app.end()
        self._server.stop()

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._app = FrontApp(self.host)
        self._server = Server(self._app.app(), sockets=[self._bound])
        task = asyncio.ensure_future(self._server.run_until_stopped())
        with contextlib.suppress(Exception):
            await self._server.started_or_failed(task)
            self._ready.set()
            await task


class FrontApp:
    """What the front answers.

    Args:
        host: what it listens on. Other names in a request's `Host` are refused, so that no website
            can read the page through its own name for this address.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host.casefold()
        self.feed = Feed()
        self._target: Target | None = None
        self._moved = asyncio.Event()

    def app(self) -> Any:
        """Return it as an ASGI application."""
        routes = [
            Route("/", html, methods=["GET"]),
            Route("/live", html, methods=["GET"]),
            Route("/events", self._events, methods=["GET"]),
        ]
        inner = Starlette(routes=routes)

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if "method" not in scope:  # neither a WebSocket nor a lifespan
                return
            if not self._is_ours(scope):
                text = (
                    "Host: expected an IP address, localhost or the name given by --watch-on, "
                    "found another name; open the page by one of those\n"
                )
                await PlainTextResponse(text, _MISDIRECTED)(scope, receive, send)
                return
            await inner(scope, receive, send)

        return guarded

    def follow(self, target: Target | None) -> None:
        """Relay another tracker; with None, relay none."""
        if target == self._target:
            return
        self._target = target
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def end(self) -> None:
        """End all streams."""
        self.feed.put("link", {"state": "ended", "why": ""})
        self.feed.stop()
        self.follow(None)

    async def watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the front's own events and those of the current tracker."""
        async with self.feed.admit(scope, receive, send) as watcher:
            if watcher is None:
                return
            relaying = asyncio.ensure_future(self._relay(watcher))
            try:
                await self.feed.follow(watcher)
            finally:
                relaying.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await relaying

    async def _relay(self, watcher: Watcher) -> None:
        while not watcher.has_left:
            target, moved = self._target, self._moved
            if target is None:
                await self._say(watcher, "waiting", "no race is running")
                await moved.wait()
                continue
            why = "its stream ended"
            try:
                async with contextlib.aclosing(_events_of(target)) as events:
                    async for frames in events:
                        await watcher.give(frames)
                        if watcher.has_left or moved.is_set():
                            break
            except (httpx.HTTPError, OSError) as error:
                why = str(error) or type(error).__name__
            # After a race its tracker is ended on purpose, a moment later.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(moved.wait(), _AGAIN_SECONDS)
            if target is self._target:
                await self._say(watcher, "lost", why)

    async def _say(self, watcher: Watcher, state: str, why: str) -> None:
        await watcher.give(frame("link", encode({"state": state, "why": why})))

    async def _events(self, _: Request) -> Response:
        return Events(self.watch)

    def _is_ours(self, scope: Scope) -> bool:
        text = Headers(scope=scope).get("host", "").casefold()
        name = text.partition("]")[0].lstrip("[") if text.startswith("[") else text.split(":")[0]
        if name in ("localhost", self._host):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def _events_of(target: Target) -> AsyncGenerator[bytes, None]:
    """Yield a tracker's frames, each whole, as they arrive.

    Raises:
        httpx.HTTPError: it is out of reach, silent, or answers with something else.
    """
    transport = httpx.AsyncHTTPTransport(uds=str(target.socket))
    timeout = httpx.Timeout(_SILENT_SECONDS)
    async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:
        url = f"http://rendezvous/{target.race_id}/live/events"
        async with client.stream("GET", url) as answer:
            answer.raise_for_status()
            rest = b""
            async for chunk in answer.aiter_raw():
                whole, end, rest = (rest + chunk).rpartition(b"\n\n")
                if whole:
                    yield whole + end


@contextlib.contextmanager
def front_on(listen: tuple[str, int] | None) -> Iterator[Front | None]:
    """Serve the page within the block, if an address is given.

    Raises:
        UnavailableError: it can't be listened on.
    """
    if listen is None:
        yield None
        return
    front = Front(*listen)
    front.start()
    try:
        yield front
    finally:
        front.close()
