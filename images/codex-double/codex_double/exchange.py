"""Blocks over TCP, by the double's own protocol: a 4-byte length, a JSON header, then the data."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections import Counter
from typing import Any

from codex_double.discovery import Record
from codex_double.store import Store

_LENGTH = struct.Struct(">I")


class PeerLostError(Exception):
    """The other node closed or refused the connection, or didn't answer in time."""


async def _send(writer: asyncio.StreamWriter, head: dict[str, Any], body: bytes = b"") -> int:
    text = json.dumps({**head, "size": len(body)}).encode()
    writer.write(_LENGTH.pack(len(text)) + text + body)
    await writer.drain()
    return _LENGTH.size + len(text) + len(body)


async def _receive(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes, int]:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    head = json.loads(await reader.readexactly(length))
    body = await reader.readexactly(head["size"])
    return head, body, _LENGTH.size + length + len(body)


class Exchange:
    """One node's server side, and its connections to other nodes.

    Args:
        store: the blocks to serve.
        is_deaf: returns whether this node doesn't answer at the moment.
        timeout_seconds: how long it waits for a peer that doesn't continue.
        me: this node's id.
        redial_seconds: the time after which a lost connection is made again.
    """

    def __init__(
        self, store: Store, is_deaf: Any, timeout_seconds: float, me: str, redial_seconds: float
    ) -> None:
        self._store, self._is_deaf = store, is_deaf
        self.timeout_seconds, self._me, self._redial_seconds = timeout_seconds, me, redial_seconds
        self.counts: Counter[str] = Counter()
        self.connected: Counter[str] = Counter()
        """Permanent connections by the other node's id; they outlast a download."""
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            OSError: it is busy.
        """
        self._server = await asyncio.start_server(self._serve, host, port, limit=1 << 20)
        return self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close everything at once."""
        if self._server is not None:
            self._server.close()
        for keeper in self._keepers.values():
            keeper.cancel()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = None
        self._writers.add(writer)
        try:
            while True:
                head, _, size = await _receive(reader)
                self.counts["in"] += size
                while self._is_deaf():
                    await asyncio.sleep(0.02)
                if head["want"] == "company":
                    name = head["me"]
                    self.connected[name] += 1
                await self._answer(writer, head)
        except (OSError, EOFError, ValueError, KeyError, asyncio.CancelledError):
            pass
        finally:
            self.connected -= Counter([name] if name else [])
            self._writers.discard(writer)
            writer.transport.abort()

    async def _answer(self, writer: asyncio.StreamWriter, head: dict[str, Any]) -> None:
        match head["want"]:
            case "company":
                await self._reply(writer, {})
            case "manifest":
                manifest = self._store.manifests.get(head["cid"])
                await self._reply(writer, {"manifest": manifest})
            case "tree":
                digests = self._store.tree(head["tree"])
                body = b"".join(digests or [])
                await self._reply(writer, {"have": digests is not None}, body)
            case "blocks":
                self.counts["want_lists_received"] += 1
                for text in head["digests"]:
                    digest = bytes.fromhex(text)
                    have = self._store.has(digest)
                    body = self._store.get(digest) if have else b""
                    self.counts["blocks_sent"] += have
                    await self._reply(writer, {"have": have}, body)

    async def _reply(
        self, writer: asyncio.StreamWriter, head: dict[str, Any], body: bytes = b""
    ) -> None:
        self.counts["out"] += await _send(writer, head, body)

    async def connect(self, record: Record) -> Link:
        """Connect to a node for a download, and permanently too.

        Raises:
            PeerLostError: it can't be reached.
        """
        link = await self._dial(record)
        self.keep(record)
        return link

    def keep(self, record: Record) -> None:
        """Keep a permanent connection to a node."""
        keeper = self._keepers.get(record["id"])
        if keeper is None or keeper.done():
            self._keepers[record["id"]] = asyncio.create_task(self._keep(record))

    async def _keep(self, record: Record) -> None:
        """Keep a connection until the node can't be reached; make it again when it was lost."""
        with contextlib.suppress(PeerLostError):
            while True:
                link = await self._dial(record)
                try:
                    if await link.introduce(self._me):
                        self.connected[record["id"]] += 1
                        await link.closed()
                        self.connected -= Counter([record["id"]])
                finally:
                    link.close()
                await asyncio.sleep(self._redial_seconds)
                while self._is_deaf():
                    await asyncio.sleep(0.02)

    async def _dial(self, record: Record) -> Link:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                reader, writer = await asyncio.open_connection(
                    record["ip"], record["tcp"], limit=1 << 20
                )
        except (OSError, TimeoutError) as error:
            self.counts["failed_dials"] += 1
            raise PeerLostError(record["id"]) from error
        self.counts["dials"] += 1
        self._writers.add(writer)
        return Link(self, record, reader, writer)


class Link:
    """A connection to another node, for one request at a time."""

    def __init__(
        self,
        exchange: Exchange,
        record: Record,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.record = record
        self._exchange, self._reader, self._writer = exchange, reader, writer

    async def introduce(self, me: str) -> bool:
        """Introduce this node on a permanent connection; return False if it was lost before an
        answer."""
        try:
            await self._ask({"want": "company", "me": me})
            await self._next()
        except PeerLostError:
            return False
        return True

    async def closed(self) -> None:
        """Return when the other node has closed a permanent connection."""
        with contextlib.suppress(OSError):
            await self._reader.read()

    async def manifest(self, cid: str) -> dict[str, Any] | None:
        """Request a manifest."""
        await self._ask({"want": "manifest", "cid": cid})
        head, _ = await self._next()
        return head["manifest"]

    async def tree(self, tree: str) -> list[bytes] | None:
        """Request a dataset's block digests."""
        await self._ask({"want": "tree", "tree": tree})
        head, body = await self._next()
        return [body[at : at + 32] for at in range(0, len(body), 32)] if head["have"] else None

    async def request_blocks(self, digests: list[bytes]) -> None:
        """Request blocks; `block` then returns them one by one."""
        await self._ask({"want": "blocks", "digests": [digest.hex() for digest in digests]})
        self._exchange.counts["want_lists_sent"] += 1

    async def block(self) -> bytes | None:
        """Return the next requested block, or None if the other node doesn't have it."""
        head, body = await self._next()
        self._exchange.counts["blocks_received"] += head["have"]
        return body if head["have"] else None

    def close(self) -> None:
        """Close the connection."""
        self._exchange._writers.discard(self._writer)
        with contextlib.suppress(RuntimeError):
            self._writer.transport.abort()

    async def _ask(self, head: dict[str, Any]) -> None:
        try:
            self._exchange.counts["out"] += await _send(self._writer, head)
        except OSError as error:
            raise PeerLostError(self.record["id"]) from error

    async def _next(self) -> tuple[dict[str, Any], bytes]:
        try:
            async with asyncio.timeout(self._exchange.timeout_seconds):
                head, body, size = await _receive(self._reader)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            raise PeerLostError(self.record["id"]) from error
        self._exchange.counts["in"] += size
        return head, body
