"""The ASGI application: checks race and token, and answers the busiest paths.

Announces, arrivals, heartbeats and clock readings are answered here, directly on ASGI, because
thousands of peers send them at once. `routes` answers everything else.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeVar

from pydantic import ValidationError

from swarmrace.clock import SystemClock
from swarmrace.recording.records import Failure
from swarmrace.rendezvous.conductor import Conductor
from swarmrace.rendezvous.messages import (
    INSTANCE_HEADER,
    Release,
    clock_identity,
    encode,
    parse_index,
)
from swarmrace.rendezvous.roster import RefusedError
from swarmrace.rendezvous.tracker import announces as bittorrent
from swarmrace.rendezvous.tracker.announces import Tracker

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_MAX_BODY_BYTES = 65_536
_UNWATCHED_SECONDS = 1.0
"""After how long a long poll begins to watch for a disconnecting client. Most end sooner."""
_READ_METHODS = ("GET", "HEAD")
_INSTANCE = INSTANCE_HEADER.encode()
_TEXT = b"text/plain"
_JSON = b"application/json"
_Kind = TypeVar("_Kind")
_log = logging.getLogger(__name__)


class App:
    """Answers every request to the rendezvous.

    Args:
        race_id: the race it serves.
        conductor: the race's state.
        tracker: the BitTorrent tracker.
        fallback: answers all other paths.
        token: bearer token, required by every request that changes the race's state.
        poll_seconds: maximum wait for a barrier before the peer has to ask again.
        open_announce: whether `/announce` and `/scrape` are served as well as the race's own paths.
        release_hash: prefix of every path of a Helm release; empty on one machine.
    """

    def __init__(
        self,
        race_id: str,
        conductor: Conductor,
        tracker: Tracker,
        fallback: Asgi,
        *,
        token: str | None = None,
        poll_seconds: float = 10.0,
        open_announce: bool = False,
        release_hash: str = "",
    ) -> None:
        self._release_hash = release_hash
        self._race_id, self._conductor, self._tracker = race_id, conductor, tracker
        self._fallback, self._poll_seconds = fallback, poll_seconds
        self._bearer = None if token is None else f"Bearer {token}".encode()
        self._prefix = f"/{race_id}/"
        own = {f"/{race_id}/announce": self._announce, f"/{race_id}/scrape": self._scrape}
        self._bittorrent = own | (
            {"/announce": self._announce, "/scrape": self._scrape} if open_announce else {}
        )
        self._clock_path = f"/{race_id}/clock"
        self._identity = clock_identity() if isinstance(conductor.clock, SystemClock) else None
        self._releases: dict[Release, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if "method" not in scope:
            return  # a WebSocket or lifespan event, not served here
        try:
            scope = self._without_release(scope)
            await self._answer(scope, receive, send)
        except RefusedError as error:
            await _send(send, error.status, encode({"error": str(error)}))
        except _Malformed as error:
            await _send(send, 422, encode({"error": str(error)}))
        except OSError:  # the folder can't be written: the store noted it, and the client retries
            trouble, stopped = self._conductor.store.trouble.text, bool(self._conductor.stopped)
            await _send(send, 507, encode({"error": trouble, "stopped": stopped}))
        except Exception as error:
            _log.exception("%s %s", scope["method"], scope["path"])
            body = encode({"error": f"internal error: {type(error).__name__}"})
            await _send(send, 500, body)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        bittorrent_path = self._bittorrent.get(path)
        if bittorrent_path is not None and method in _READ_METHODS:
            await _send(send, 200, bittorrent_path(scope), _TEXT)
            return
        if path in ("/", "/healthz", "/live"):
            await self._fallback(scope, receive, send)
            return
        if not path.startswith(self._prefix):
            await self._wrong_race(path, send)
            return
        if self._bearer is not None and method not in _READ_METHODS:
            self._check_token(scope)
        parts = path[len(self._prefix) :].split("/")
        if len(parts) == 4 and parts[0] == "peers" and method == "POST":
            if parts[3] == "arrive":
                await self._arrive(parts, scope, receive, send)
                return
            if parts[3] == "heartbeat":
                await self._heartbeat(parts, scope, receive, send)
                return
        if path == self._clock_path and method == "GET":
            now_ns = self._conductor.clock.now_ns()
            await _send(send, 200, encode({"now_ns": now_ns, "identity": self._identity}))
            return
        await self._fallback(scope, receive, send)

    def _without_release(self, scope: Scope) -> Scope:
        """Return the scope without the release's prefix; another release's path is unchanged."""
        path, prefix = scope["path"], f"/{self._release_hash}"
        if not self._release_hash or not path.startswith(f"{prefix}/"):
            return scope
        return {**scope, "path": path[len(prefix) :], "raw_path": scope["raw_path"][len(prefix) :]}

    def _announce(self, scope: Scope) -> bytes:
        client = scope.get("client")
        return self._tracker.announce(scope["query_string"], client[0] if client else "")

    def _scrape(self, scope: Scope) -> bytes:
        return self._tracker.scrape(scope["query_string"])

    async def _wrong_race(self, path: str, send: Send) -> None:
        found = path.split("/", 2)[1]
        text = f"this is the rendezvous of race {self._race_id}, not of {found[:80]!r}"
        if path.endswith(("/announce", "/scrape")):
            await _send(send, 200, bittorrent.failure(text), _TEXT)
        else:
            await _send(send, 409, encode({"error": text, "race_id": self._race_id}))

    def _check_token(self, scope: Scope) -> None:
        assert self._bearer is not None
        if not hmac.compare_digest(_header(scope, b"authorization") or b"", self._bearer):
            raise RefusedError(401, "expected this race's token (Authorization: Bearer …)")

    async def _arrive(self, parts: list[str], scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_json(receive)
        conductor, peer = self._conductor, self._peer(parts, scope)
        run_id, barrier = _field(body, "run_id", str), _field(body, "barrier", str)
        failure = None
        if body.get("failure") is not None:
            try:
                failure = Failure.model_validate(body["failure"])
            except ValidationError as error:
                raise _Malformed(f"failure: {error.errors()[0]['msg']}") from error
        release = conductor.arrive(peer, run_id, barrier, failure)
        if release is None:
            seconds = min(self._poll_seconds, _UNWATCHED_SECONDS)
            release = await conductor.wait(peer, run_id, barrier, seconds)
        if release is None and self._poll_seconds > _UNWATCHED_SECONDS:
            disconnected = asyncio.ensure_future(_disconnect(receive))
            seconds = self._poll_seconds - _UNWATCHED_SECONDS
            try:
                release = await conductor.wait(peer, run_id, barrier, seconds, disconnected)
                if disconnected.done():
                    return
            finally:
                disconnected.cancel()
        if release is None:
            await _send(send, 202, b'{"waiting":true}')
        else:
            await _send(send, 200, self._encoded(release))

    async def _heartbeat(
        self, parts: list[str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = await _read_json(receive)
        run_id = body.get("run_id")
        if run_id is not None:
            self._conductor.run(_field(body, "run_id", str))
        answer = self._conductor.heartbeat(
            self._peer(parts, scope),
            run_id,
            _field(body, "stage", str)[:40],
            _field(body, "progress_bytes", int),
        )
        await _send(send, 200, encode(answer.to_json()))

    def _peer(self, parts: list[str], scope: Scope) -> Any:
        instance = _header(scope, _INSTANCE)
        return self._conductor.roster.contact(
            parts[1], parse_index(parts[2]), instance.decode("latin-1") if instance else None
        )

    def _encoded(self, release: Release) -> bytes:
        """Return the JSON of a release, encoded once for all who wait for it."""
        try:
            return self._releases[release]
        except KeyError:
            if len(self._releases) > 64:
                self._releases.clear()
            data = self._releases[release] = encode(release.to_json())
            return data


class _Malformed(Exception):
    """The body isn't what this path accepts."""


def _header(scope: Scope, name: bytes) -> bytes | None:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return next((value for key, value in headers if key == name), None)


def _field(body: dict[str, Any], name: str, kind: type[_Kind]) -> _Kind:
    value = body.get(name)
    if type(value) is not kind:
        raise _Malformed(f"{name}: expected {kind.__name__}, found {str(value)[:80]!r}")
    return value


async def _read_json(receive: Receive) -> dict[str, Any]:
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MAX_BODY_BYTES:
            raise RefusedError(413, f"expected at most {_MAX_BODY_BYTES} bytes")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"expected JSON, found: {error}") from error
    if not isinstance(data, dict):
        raise _Malformed("expected a JSON object")
    return data


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, status: int, body: bytes, kind: bytes = _JSON) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", kind), (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})
