"""The REST interface, with the answers that docs/evidence/codex-node.md describes.

It uses the ASGI interface directly where a habit needs it: headers sent long before the body, calls
that never answer, clients that disconnect.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from codex_double import cid as cids
from codex_double.store import QuotaFullError, Upload

if TYPE_CHECKING:
    from codex_double.node import Node

_DEFAULT_BLOCK = 65_536
_DELETE_SECONDS_PER_BYTE = 0.8 / (100 << 20)
"""100 MiB took 0.75 to 0.88 s, 500 MiB 2.3 to 4.7 s."""
_FILENAME = re.compile(r'filename="([^"]*)"')
_LEVELS = {"trace", "debug", "info", "notice", "warn", "error", "fatal"}


def application(node: Node) -> Any:
    """Return the ASGI application of a node."""
    base = node.config.personality.base_path
    rest = _Rest(node)

    def route(path: str, handler: Any, method: str = "GET") -> Route:
        made = Route(base + path, handler, methods=[method])
        made.methods = {method}  # Starlette adds HEAD, which a node doesn't have
        return made

    routes = [
        route("/data", rest.upload, "POST"),
        route("/data/{cid}", rest.local),
        route("/data/{cid}", rest.delete, "DELETE"),
        route("/data/{cid}/network", rest.fetch, "POST"),
        route("/data/{cid}/network/stream", rest.stream),
        route("/data/{cid}/network/manifest", rest.manifest),
        route("/data/{cid}/exists", rest.exists),
        route("/space", rest.space),
        route("/debug/info", rest.info),
        route("/debug/chronicles/loglevel", rest.loglevel, "POST"),
        route("/spr", rest.spr),
        route("/peerid", rest.peerid),
        route("/connect/{peer}", rest.connect),
    ]
    if node.config.personality.lists_data:
        routes.append(route("/data", rest.listing))
    if node.config.personality.reports_progress:
        routes.append(route("/data/{cid}/network/progress/{download}", rest.progress))
        routes.append(route("/data/{cid}/network/{download}", rest.cancel, "DELETE"))
    app = Starlette(routes=routes)

    async def closing(scope: Any, receive: Any, send: Any) -> None:
        async def send_closing(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        if scope["type"] == "http":
            node.answers += 1
            await node.until_api_answers()
            await app(scope, receive, send_closing)

    return closing


class _Never(Response):
    """No answer until the client disconnects or the node stops."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._node.until_disconnect(receive, asyncio.Event().wait())


class _Body(Response):
    """A body, sent block by block after the headers. Without a length it is chunked."""

    def __init__(
        self,
        node: Node,
        manifest: dict[str, Any],
        block: Callable[[int], Awaitable[bytes]],
        finished: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__()
        self._node, self._manifest, self._block = node, manifest, block
        self._finished = finished

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size = self._manifest["datasetSize"]
        name = self._manifest["filename"]
        disposition = f'attachment; filename="{name}"' if name else "attachment"
        headers = [
            (b"content-type", (self._manifest["mimetype"] or "application/octet-stream").encode()),
            (b"content-disposition", disposition.encode()),
        ]
        if self._node.config.personality.says_length:
            headers.append((b"content-length", str(size).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await self._node.until_disconnect(receive, self._send(send, size))
        finally:
            if self._finished is not None:
                await self._finished()

    async def _send(self, send: Any, size: int) -> None:
        block_size, habits = self._manifest["blockSize"], self._node.config.habits
        if habits.short_body:
            size -= 1
        for index in range(-(-self._manifest["datasetSize"] // block_size)):
            data = (await self._block(index))[: size - index * block_size]
            if habits.corrupt_body and index * block_size + len(data) == size:
                data = data[:-1] + bytes([data[-1] ^ 1])
            await send({"type": "http.response.body", "body": data, "more_body": True})
        self._node.downloads += 1
        if not habits.short_body:
            await send({"type": "http.response.body", "body": b""})


class _Rest:
    def __init__(self, node: Node) -> None:
        self._node, self._store = node, node.store

    async def upload(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        if kind and mimetypes.guess_extension(kind) is None:
            return PlainTextResponse(f"The MIME type '{kind}' is not valid.", 422)
        block = _DEFAULT_BLOCK
        if self._node.config.personality.reports_progress and "blockSize" in request.query_params:
            text = request.query_params["blockSize"]
            block = int(text) if text.isdigit() else 0
            if block & (block - 1) or not 4096 <= block <= 524_288:
                return PlainTextResponse("blockSize must be a power of two", 400)
        match = _FILENAME.search(request.headers.get("content-disposition", ""))
        upload = Upload(self._store, block)
        try:
            async for data in request.stream():
                upload.feed(data)
            if upload.size_bytes == 0:
                return PlainTextResponse("", 500)
            timed = self._node.config.habits.upload_time_in_cid
            cid = upload.finish(match[1] if match else None, kind or None, timed)
        except QuotaFullError as error:
            print(f"ERR Error uploading file exc={error}", flush=True)
            return PlainTextResponse(str(error), 500)
        self._node.uploads += 1
        self._node.go_deaf()
        return PlainTextResponse(cid)

    async def listing(self, request: Request) -> Response:
        content = [_content(cid, each) for cid, each in self._store.manifests.items()]
        return JSONResponse({"content": content})

    async def local(self, request: Request) -> Response:
        cid, bad = _cid(request)
        if bad is not None:
            return bad
        manifest = self._store.manifests.get(cid)
        if manifest is None:
            return PlainTextResponse("The requested CID could not be retrieved", 404)
        digests = self._store.tree(manifest["treeCid"]) or []

        async def block(index: int) -> bytes:
            if not self._store.has(digests[index]):
                await asyncio.Event().wait()
            return self._store.get(digests[index])

        return _Body(self._node, manifest, block)

    async def _known(self, request: Request) -> tuple[str, dict[str, Any]] | Response:
        """Return the requested CID and its manifest, or the answer if there is none."""
        cid, bad = _cid(request)
        if bad is not None:
            return bad
        manifest = await self._node.until_disconnect(
            request.receive, self._node.network.manifest(cid)
        )
        return _Never(self._node) if manifest is None else (cid, manifest)

    async def stream(self, request: Request) -> Response:
        known = await self._known(request)
        if isinstance(known, Response):
            return known
        cid, manifest = known
        download = self._node.download(cid, manifest)
        return _Body(self._node, manifest, download.wait_for_block, download.stop)

    async def manifest(self, request: Request) -> Response:
        known = await self._known(request)
        if isinstance(known, Response):
            return known
        cid, manifest = known
        return JSONResponse(_content(cid, manifest))

    async def fetch(self, request: Request) -> Response:
        known = await self._known(request)
        if isinstance(known, Response):
            return known
        cid, manifest = known
        number = self._node.background(cid, manifest)
        extra = {"downloadId": number} if self._node.config.personality.reports_progress else {}
        return JSONResponse({**_content(cid, manifest), **extra})

    async def progress(self, request: Request) -> Response:
        number = request.path_params["download"]
        download = self._node.backgrounds.get(int(number) if number.isdigit() else -1)
        if download is None or download.complete:
            # A download that has ended is forgotten, so nothing else is reported.
            return JSONResponse({"active": False})
        totals = {"received": download.received, "total": download.total, "bytes": download.bytes}
        return JSONResponse({"active": True, **totals})

    async def cancel(self, request: Request) -> Response:
        number = request.path_params["download"]
        self._node.cancel(int(number) if number.isdigit() else -1)
        return Response(status_code=204)

    async def exists(self, request: Request) -> Response:
        cid, bad = _cid(request)
        return bad if bad is not None else JSONResponse({cid: cid in self._store.manifests})

    async def delete(self, request: Request) -> Response:
        cid, bad = _cid(request)
        if bad is not None:
            return bad
        size = self._store.manifests.get(cid, {}).get("datasetSize", 0)
        await asyncio.sleep(_DELETE_SECONDS_PER_BYTE * size * self._node.config.habits.time_scale)
        self._store.delete(cid)
        return Response(status_code=204)

    async def space(self, request: Request) -> Response:
        return JSONResponse(
            {
                "totalBlocks": self._store.total_blocks,
                "quotaMaxBytes": self._store.quota_bytes,
                "quotaUsedBytes": self._store.used_bytes,
                "quotaReservedBytes": 0,
            }
        )

    async def info(self, request: Request) -> Response:
        return JSONResponse(self._node.info())

    async def loglevel(self, request: Request) -> Response:
        level = request.query_params.get("level", "")
        if level.split(";")[0].lower() not in _LEVELS:
            return PlainTextResponse("Missing log level", 400 if not level else 500)
        return PlainTextResponse("")

    async def spr(self, request: Request) -> Response:
        return _text_or_json(request, "spr", self._node.spr)

    async def peerid(self, request: Request) -> Response:
        return _text_or_json(request, "id", self._node.peer_id)

    async def connect(self, request: Request) -> Response:
        addresses = request.query_params.getlist("addrs")
        if await self._node.dial(request.path_params["peer"], addresses):
            return PlainTextResponse("Successfully connected to peer")
        return PlainTextResponse("Unable to dial peer", 400)


def _cid(request: Request) -> tuple[str, Response | None]:
    cid = request.path_params["cid"]
    try:
        cids.decode(cid)
    except ValueError as error:
        return cid, PlainTextResponse(str(error), 400)
    return cid, None


def _content(cid: str, manifest: dict[str, Any]) -> dict[str, Any]:
    keys = ("treeCid", "datasetSize", "blockSize", "filename", "mimetype", "protected")
    return {"cid": cid, "manifest": {key: manifest[key] for key in keys}}


def _text_or_json(request: Request, key: str, value: str) -> Response:
    if request.headers.get("accept") == "text/plain":
        return PlainTextResponse(value)
    return Response(json.dumps({key: value}), media_type="application/json")
