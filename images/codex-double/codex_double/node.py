"""One node: combines its parts, starts and stops them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import secrets
import socket
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from codex_double import metrics, rest
from codex_double.config import Config
from codex_double.discovery import Discovery, Record, from_spr, to_spr
from codex_double.download import Download, Network
from codex_double.exchange import Exchange, PeerLostError
from codex_double.store import Store

T = TypeVar("T")
_LOOKUP_SECONDS = 2.0
_PEER_SECONDS = 60.0
_REDIAL_SECONDS = 1.0


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Node:
    """A node; several can run in one event loop.

    Args:
        config: its configuration.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started = time.time()
        self.uploads = self.downloads = self.answers = 0
        self.api_port = self.metrics_port = 0
        self.backgrounds: dict[int, Download] = {}
        self._numbers = itertools.count(1)
        self._streams: list[Download] = []
        self._deaf_until = 0.0
        self._closing = asyncio.Event()
        self._servers: list[tuple[_Server, asyncio.Task[None], socket.socket]] = []
        key = _key(config.data_dir)
        self.peer_id = "16Uiu2HAm" + hashlib.sha256(key).hexdigest()[:44]
        self.node_id = hashlib.sha256(b"node" + key).hexdigest()
        self.store = Store(config.data_dir / "repo", config.quota_bytes)
        scale = config.habits.time_scale
        self.exchange = Exchange(
            self.store, self.is_deaf, _PEER_SECONDS * scale, self.peer_id, _REDIAL_SECONDS * scale
        )
        self.discovery = Discovery(
            me={},
            has=lambda cid: cid in self.store.manifests,
            is_deaf=self.is_deaf,
            timeout_seconds=_LOOKUP_SECONDS * scale,
        )
        self.network = Network(self.store, self.discovery, self.exchange, config.habits)

    async def start(self) -> None:
        """Start the node.

        Raises:
            OSError: the API's, the metrics' or the listening port is busy. If the discovery port is
                busy, the node runs without discovery.
        """
        config = self.config
        api = _bind(config.api_host, config.api_port)
        if config.nat_search:
            await asyncio.sleep(config.habits.time_scale)
        port = await self.exchange.start(config.listen_host, config.listen_port)
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        ip = config.nat or anywhere.get(config.listen_host, config.listen_host)
        disc_port = config.disc_port or port
        self.discovery.me.update(
            {"id": self.peer_id, "nodeId": self.node_id, "ip": ip, "disc": disc_port, "tcp": port}
        )
        records = [from_spr(text) for text in config.bootstrap]
        self.discovery.bootstrap = [record for record in records if record is not None]
        bound = ip if config.habits.discovery_bind == "announced" else config.disc_host
        if await self.discovery.start(bound, disc_port):
            self._say("INF Discovery started")
            self._say("WRN No key for a QueryResponse")
        if config.preset:
            self._say("WRN Joining the public preset network: a test double can't, it stays alone")
        self.api_port = self._serve(rest.application(self), api)
        if config.metrics:

            async def page(request: Any) -> PlainTextResponse:
                return PlainTextResponse(metrics.text(self))

            listener = _bind(config.metrics_host, config.metrics_port)
            self.metrics_port = self._serve(Starlette(routes=[Route("/metrics", page)]), listener)
        self._say("INF Started Codex node (test double)")

    async def stop(self) -> None:
        """Stop at once; the data directory is kept."""
        for server, _, _ in self._servers:
            for listening in getattr(server, "servers", ()):
                listening.close()
            for connection in list(server.server_state.connections):
                connection.transport.abort()
        self._closing.set()
        self.discovery.stop()
        self.exchange.stop()
        for download in (*self.backgrounds.values(), *self._streams):
            download.kill()
        for server, _, _ in self._servers:
            server.should_exit = server.force_exit = True
        for _, task, listener in self._servers:
            await task
            listener.close()

    @property
    def url(self) -> str:
        """The API's base URL, family included."""
        host = self.config.api_host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.api_port}{self.config.personality.base_path}"

    @property
    def spr(self) -> str:
        """The node's record, with which other nodes join it."""
        return to_spr(self.discovery.me)

    def is_deaf(self) -> bool:
        """Return whether it doesn't answer at the moment."""
        return time.monotonic() < self._deaf_until

    def go_deaf(self) -> None:
        """Lose connections and the table as after a large upload, if the habits say so."""
        habits = self.config.habits
        seconds = habits.deaf_after_upload_seconds * habits.time_scale
        if seconds:
            self._deaf_until = time.monotonic() + seconds
            self.exchange.drop_connections()
            if not habits.deaf_to_peers_only:
                self.discovery.nodes.clear()

    async def until_api_answers(self) -> None:
        """Return when the API may answer."""
        if self.config.habits.deaf_to_peers_only:
            return
        while self.is_deaf() and not self._closing.is_set():
            await asyncio.sleep(0.02)

    async def until_disconnect(self, receive: Any, work: Awaitable[T]) -> T | None:
        """Return the result of `work`, or None as soon as the client disconnects or the node
        stops."""

        async def disconnected() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        tasks = [
            asyncio.ensure_future(work),
            asyncio.create_task(disconnected()),
            asyncio.create_task(self._closing.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return tasks[0].result() if tasks[0].done() else None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def download(self, cid: str, manifest: dict[str, Any]) -> Download:
        """Begin to fetch for a reader."""
        download = Download(self.network, cid, manifest)
        self._streams.append(download)
        return download

    def background(self, cid: str, manifest: dict[str, Any]) -> int:
        """Begin to fetch in the background; return its number."""
        number = next(self._numbers)
        self.backgrounds[number] = Download(self.network, cid, manifest, background=True)
        return number

    def cancel(self, number: int) -> None:
        """End a background download and forget it."""
        download = self.backgrounds.pop(number, None)
        if download is not None:
            download.kill()

    async def dial(self, peer_id: str, addresses: list[str]) -> bool:
        """Connect to a node."""
        entry = self.discovery.nodes.get(peer_id)
        record: Record | None = entry.record if entry else None
        if addresses:
            _, _, ip, _, port = addresses[0].split("/")
            record = {"id": peer_id, "ip": ip, "tcp": int(port)}
        if record is None:
            return False
        try:
            (await self.exchange.connect(record)).close()
        except PeerLostError:
            return False
        return True

    def info(self) -> dict[str, Any]:
        """Return the answer of `/debug/info`."""
        me, kind = self.discovery.me, self.config.personality
        address = f"/ip{6 if ':' in me['ip'] else 4}/{me['ip']}/tcp/{me['tcp']}"
        versions: dict[str, Any] = {"version": kind.version + "-double", "revision": kind.revision}
        versions["testDouble"] = True
        if kind.program == "codex":
            versions["contracts"] = "a179deb2"
        nodes = [_table_node(each.record, each.seen) for each in self.discovery.nodes.values()]
        return {
            "id": self.peer_id,
            "addrs": [address],
            "repo": str(self.config.data_dir),
            "spr": self.spr,
            "announceAddresses": [address],
            "table": {"localNode": _table_node(me, False), "nodes": nodes},
            kind.program: versions,
        }

    def _serve(self, app: Any, listener: socket.socket) -> int:
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", server_header=False
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        self._servers.append((server, task, listener))
        return listener.getsockname()[1]

    def _say(self, line: str) -> None:
        print(line, flush=True)


def _table_node(record: Record, seen: bool) -> dict[str, Any]:
    return {
        "nodeId": record["nodeId"],
        "peerId": record["id"],
        "record": "(envelope: double)",
        "address": f"{record['ip']}:{record['disc']}",
        "seen": seen,
    }


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _key(data_dir: Path) -> bytes:
    """Return the node's private key, created at its first start with this data directory."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "key"
    if not path.exists():
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()
