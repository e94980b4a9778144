"""The less busy paths, by Starlette. docs/rendezvous.md lists them all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from swarmrace.errors import Reason
from swarmrace.faults import faults_of
from swarmrace.recording.records import PeerInfo
from swarmrace.rendezvous.board import Boards, Leases
from swarmrace.rendezvous.conductor import Conductor
from swarmrace.rendezvous.intake import Intake, Listing
from swarmrace.rendezvous.live import paths as live_page
from swarmrace.rendezvous.live.live import Live
from swarmrace.rendezvous.messages import INSTANCE_HEADER, Claim, parse_index
from swarmrace.rendezvous.roster import RefusedError, refuse_lost
from swarmrace.rendezvous.store import Store
from swarmrace.systems.run import Run

_MAX_BODY_BYTES = 8_000_000
_MAX_PREFLIGHT_BYTES = 10**12
_CHUNK = bytes(65_536)
_Kind = TypeVar("_Kind")
_Default = TypeVar("_Default")
_CLAIMS = TypeAdapter(dict[str, Claim])
_LOSS_REASONS = (Reason.PEER_LOST, Reason.OUT_OF_MEMORY, Reason.INFRASTRUCTURE)


class Routes:
    """Handlers over one race's state.

    Args:
        conductor: the race.
        store: its folder.
        live: the live page.
        poll_seconds: maximum wait of a long poll.
    """

    def __init__(
        self, conductor: Conductor, store: Store, live: Live, poll_seconds: float = 10.0
    ) -> None:
        self._conductor, self._store, self._poll_seconds = conductor, store, poll_seconds
        self._began_ns = conductor.clock.now_ns()
        self.boards = Boards()
        self._leases = Leases(max(2, len(conductor.roster.peers) // 16))
        self._live = live
        self._intake = Intake(store, conductor, live.handed_in)
        self._listing = Listing(store.folder)
        self._closed: dict[str, dict[str, Any]] = {}

    def app(self) -> Starlette:
        """Return the handlers as an ASGI application."""
        race, peer = f"/{self._store.info.race_id}", "/peers/{entrant}/{peer}"
        run = "/runs/{run_id}"
        table = [
            ("GET", "/", self._root),
            ("GET", "/healthz", self._healthz),
            ("GET", f"{race}/status", self._status),
            ("PUT", f"{race}{peer}", self._hello),
            ("GET", f"{race}{peer}", self._uploaded),
            ("POST", f"{race}{peer}/goodbye", self._goodbye),
            ("POST", f"{race}{peer}/lost", self._lost),
            ("POST", f"{race}{peer}/preflight-lease", self._lease),
            ("DELETE", f"{race}{peer}/preflight-lease", self._release_lease),
            ("GET", f"{race}{run}/references", self._references),
            ("PUT", f"{race}{run}/references/{{rank}}", self._put_reference),
            ("GET", f"{race}{run}/board/{{key:path}}", self._board),
            ("PUT", f"{race}{run}/board/{{key:path}}", self._put_board),
            ("PUT", f"{race}/results/{{run_id}}/{{name}}", self._put_result),
            ("POST", f"{race}/interrupt", self._interrupt),
            ("POST", f"{race}/preflight", self._sink),
            ("GET", f"{race}/preflight", self._source),
            ("GET", f"{race}/files", self._files),
            ("GET", f"{race}/files/{{path:path}}", self._file),
        ]
        handlers: dict[Any, Any] = {
            RefusedError: lambda _, error: _error(error.status, str(error)),
            OSError: self._no_disk,
            ClientDisconnect: lambda _, error: _error(400, "the request was cut short"),
            404: lambda request, _: _error(404, f"no such path: {request.url.path[:200]}"),
            405: lambda request, _: _error(405, f"{request.method} is not for this path"),
        }
        routes = [Route(path, handler, methods=[method]) for method, path, handler in table]
        routes += live_page.routes(self._store.info.race_id, self._live)
        return Starlette(routes=routes, exception_handlers=handlers)

    def _no_disk(self, _: Request, error: Exception) -> Response:
        """Answer 507 while the folder can't be written. A full disk may have room again, so
        clients retry unless `stopped` is set."""
        if not isinstance(error, OSError) or error.errno is None:
            raise error
        self._store.trouble.note(error, "results")
        body = {"error": self._store.trouble.text, "stopped": bool(self._conductor.stopped)}
        return JSONResponse(body, 507)

    async def _root(self, _: Request) -> Response:
        info = self._store.info
        return JSONResponse(
            {"service": "swarmrace rendezvous", "race_id": info.race_id, "name": info.name}
        )

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _status(self, _: Request) -> Response:
        conductor, info = self._conductor, self._store.info
        flight = conductor.flight
        for run_id, result in conductor.closed.items():
            if run_id not in self._closed:
                self._closed[run_id] = result.model_dump(mode="json", by_alias=False)
        run = None
        if flight is not None:
            run = {
                "id": flight.run.id,
                "index": flight.run.index,
                "total": max(run.index for run in conductor.runs.values()) + 1,
                "entrant": flight.run.entrant,
                "trial": flight.run.is_trial,
                "barrier": flight.barrier,
                "failure": flight.failure and flight.failure.model_dump(mode="json"),
            }
        return JSONResponse(
            {
                "race_id": info.race_id,
                "name": info.name,
                "boot": conductor.boot,
                "started": bool(conductor.closed) or flight is not None,
                "over": conductor.over,
                "interrupted": conductor.interrupted,
                "stopped": conductor.stopped,
                "trouble": self._store.trouble.text,
                "elapsed": (conductor.clock.now_ns() - self._began_ns) / 1e9,
                "run": run,
                "trials": {
                    name: trial.model_dump(mode="json", by_alias=False)
                    for name, trial in conductor.trials.outcomes.items()
                },
                "closed": [self._closed[run_id] for run_id in conductor.closed],
                "peers": [
                    {
                        "entrant": peer.entrant,
                        "peer": peer.index,
                        "stage": None if peer.info is None else peer.stage,
                        "run_id": peer.run_id,
                        "progress_bytes": peer.progress_bytes,
                        "size_bytes": conductor.race.file_size,
                        "lost": peer.lost,
                        "gone": peer.has_left,
                    }
                    for peer in conductor.roster.peers.values()
                ],
            }
        )

    async def _hello(self, request: Request) -> Response:
        body = await _json(request)
        runs = body.pop("runs", {}) if isinstance(body, dict) else {}
        try:
            info = PeerInfo.model_validate(body)
            claims = _CLAIMS.validate_python(runs)
        except ValidationError as error:
            raise RefusedError(422, "; ".join(map(str, faults_of(error, PeerInfo)[:3]))) from error
        entrant, peer = _peer_of(request)
        if (info.entrant, info.peer) != (entrant, peer):
            raise RefusedError(
                422, f"expected {entrant}/{peer}, found {info.entrant}/{info.peer} in the body"
            )
        self._conductor.roster.known(entrant, peer)
        instance = request.headers.get(INSTANCE_HEADER)
        self._conductor.hello(info, instance, claims)
        await self._store.write_info_soon(self._conductor.roster.infos())
        return JSONResponse({"race_id": self._store.info.race_id, "boot": self._conductor.boot})

    async def _uploaded(self, request: Request) -> Response:
        peer = self._conductor.roster.known(*_peer_of(request))
        refuse_lost(peer)
        runs = [run.id for run in self._conductor.runs.values() if run.entrant == peer.entrant]
        return JSONResponse({"results": self._store.results_of(runs, peer.entrant, peer.index)})

    async def _goodbye(self, request: Request) -> Response:
        reason = _field(await _json(request), "reason", str, None)
        peer = self._conductor.roster.known(*_peer_of(request))
        if peer.lost is None and not peer.has_left:
            self._conductor.goodbye(self._contact(request), reason)
        return JSONResponse({})

    async def _lost(self, request: Request) -> Response:
        body = await _json(request)
        detail = _field(body, "detail", str, "reported as lost")
        given = _field(body, "reason", str, "") if isinstance(body, dict) else ""
        reason = next((each for each in _LOSS_REASONS if each == given), Reason.PEER_LOST)
        self._conductor.lose(*_peer_of(request), detail[:500], reason)
        return JSONResponse({})

    async def _interrupt(self, _: Request) -> Response:
        self._conductor.interrupt()
        return JSONResponse({})

    async def _references(self, request: Request) -> Response:
        run = self._run(request)
        return JSONResponse({"references": self.boards.references(run.id)})

    async def _put_reference(self, request: Request) -> Response:
        run, rank = self._run(request), parse_index(request.path_params["rank"])
        if not 0 <= rank < len(run.seeders):
            raise RefusedError(404, f"rank: expected 0 to {len(run.seeders) - 1}")
        body = await _json(request)
        # Nothing is posted for a run that is over: it would replace the board of the one in flight.
        if posted := self._conductor.is_open(run.id):
            self.boards.put_reference(run.id, rank, body)
        return JSONResponse({"posted": posted})

    async def _board(self, request: Request) -> Response:
        run = self._run(request)
        ended = self._conductor.failure_of(run.id)
        if ended is not None:
            return JSONResponse({"ended": ended.model_dump(mode="json")})
        found = await self.boards.get(run.id, request.path_params["key"], self._poll_seconds)
        if not found:
            return JSONResponse({"waiting": True}, 202)
        return JSONResponse({"value": found[0]})

    async def _put_board(self, request: Request) -> Response:
        run = self._run(request)
        body = await _json(request)
        if posted := self._conductor.is_open(run.id):
            self.boards.put(run.id, request.path_params["key"], body)
        return JSONResponse({"posted": posted})

    async def _put_result(self, request: Request) -> Response:
        status = await self._intake.put(
            request.path_params["run_id"],
            request.path_params["name"],
            request.headers.get("content-digest"),
            request.stream(),
        )
        self._store.trouble.clear("results")
        return JSONResponse({}, status)

    async def _files(self, _: Request) -> Response:
        return JSONResponse({"files": await asyncio.to_thread(self._listing.files)})

    async def _file(self, request: Request) -> Response:
        path = await asyncio.to_thread(self._listing.find, request.path_params["path"])
        return FileResponse(path, media_type="application/octet-stream")

    async def _lease(self, request: Request) -> Response:
        peer = self._conductor.roster.known(*_peer_of(request))
        refuse_lost(peer)
        key = (peer.entrant, peer.index)
        return JSONResponse({"granted": await self._leases.take(key, self._poll_seconds)})

    async def _release_lease(self, request: Request) -> Response:
        self._leases.release(_peer_of(request))
        return JSONResponse({})

    async def _sink(self, request: Request) -> Response:
        """Measure the rate of a body, without its first `skip` bytes and first chunk."""
        skip = _query_number(request, "skip", 0)
        received, mark, mark_ns = 0, 0, 0
        clock = self._conductor.clock
        async for chunk in request.stream():
            received += len(chunk)
            if not mark and received > skip:
                mark, mark_ns = received, clock.now_ns()
        elapsed_ns = max(1, clock.now_ns() - mark_ns)
        rate = (received - mark) / elapsed_ns * 1e9 if mark else 0.0
        return JSONResponse({"bytes": received, "bytes_per_second": rate})

    async def _source(self, request: Request) -> Response:
        size = _query_number(request, "bytes", 0)

        async def body() -> AsyncIterator[bytes]:
            for _ in range(size // len(_CHUNK)):
                yield _CHUNK
            yield _CHUNK[: size % len(_CHUNK)]

        return StreamingResponse(
            body(), media_type="application/octet-stream", headers={"content-length": str(size)}
        )

    def _contact(self, request: Request) -> Any:
        instance = request.headers.get(INSTANCE_HEADER)
        return self._conductor.roster.contact(*_peer_of(request), instance)

    def _run(self, request: Request) -> Run:
        return self._conductor.run(request.path_params["run_id"])


async def _json(request: Request) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise RefusedError(413, f"expected at most {_MAX_BODY_BYTES} bytes")
    try:
        return json.loads(bytes(body)) if body else {}
    except (ValueError, RecursionError) as error:
        raise RefusedError(422, f"expected JSON, found: {error}") from error


def _field(body: Any, name: str, kind: type[_Kind], default: _Default) -> _Kind | _Default:
    value = body.get(name) if isinstance(body, dict) else body
    if value is None:
        return default
    if not isinstance(value, kind):
        raise RefusedError(422, f"{name}: expected {kind.__name__}, found {str(value)[:80]!r}")
    return value


def _peer_of(request: Request) -> tuple[str, int]:
    return str(request.path_params["entrant"]), parse_index(request.path_params["peer"])


def _query_number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    size = parse_index(text, 20)
    if not 0 <= size <= _MAX_PREFLIGHT_BYTES:
        raise RefusedError(422, f"{name}: expected a number of bytes, found {text[:80]!r}")
    return size


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
