"""Discovery of nodes and of content: the double's own small UDP protocol.

Every node knows every other node that it has heard of. A lookup asks all of them and waits for all,
so a dead one in the table costs its timeout, as in a real node.

As in the real node's discovery (nim-codex-dht, `transport.nim`, `protocol.nim`):

- a request is answered to the address it came from, but its sender enters the table only if that is
  the address in the sender's record;
- an answer from an address other than the record's is ignored: there is no session with it;
- a bootstrap node is in the table from the beginning to the end, and is `seen` once it answers;
- only nodes that were seen are passed on to other nodes.

So if the kernel chooses another source address than the announced one, as over loopback with a
socket bound to the wildcard, no node ever joins.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

_MAX_NODES = 48
"""Maximum number of nodes in one answer."""

Record = dict[str, Any]
"""`id`, `nodeId`, `ip`, `disc` (UDP port), `tcp` (port)."""


def to_spr(record: Record) -> str:
    """Return a record as the string for `--bootstrap-node`."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return "spr:" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def from_spr(text: str) -> Record | None:
    """Return the record in a string, or None if the double didn't make it."""
    try:
        body = text.removeprefix("spr:")
        record = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return record if isinstance(record, dict) and "id" in record else None
    except ValueError:
        return None


@dataclass
class Entry:
    """One node of the table."""

    record: Record
    seen: bool = False


@dataclass
class Discovery(asyncio.DatagramProtocol):
    """One node's table and lookups.

    Args:
        me: this node's own record.
        has: returns whether this node can provide a CID.
        is_deaf: returns whether this node doesn't answer at the moment.
        timeout_seconds: how long a lookup waits for a node that doesn't answer.
    """

    me: Record
    has: Any
    is_deaf: Any
    timeout_seconds: float
    bootstrap: list[Record] = field(default_factory=list)
    nodes: dict[str, Entry] = field(default_factory=dict)
    sent: list[int] = field(default_factory=lambda: [0, 0])
    received: list[int] = field(default_factory=lambda: [0, 0])
    lookups: int = 0
    _transport: asyncio.DatagramTransport | None = None
    _waiting: dict[int, asyncio.Future[bool]] = field(default_factory=dict)
    _serial: Any = field(default_factory=lambda: itertools.count(1))
    _joining: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> bool:
        """Listen and join; return False if the port is busy: the node then has no discovery."""
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: self, local_addr=(host, port)
            )
        except OSError:
            return False
        for record in self.bootstrap:
            self.nodes[record["id"]] = Entry(record)
        self._joining = asyncio.create_task(self._join())
        return True

    @property
    def waiting(self) -> int:
        """Number of lookups' questions without an answer yet."""
        return len(self._waiting)

    def stop(self) -> None:
        """Close the socket; running lookups end without an answer."""
        if self._joining is not None:
            self._joining.cancel()
        if self._transport is not None:
            self._transport.close()
        for future in self._waiting.values():
            future.cancel()

    async def providers(self, cid: str) -> list[Record]:
        """Ask every known node; return those that have the content."""
        self.lookups += 1
        entries = list(self.nodes.values())
        answers = await asyncio.gather(*(self._ask(entry, cid) for entry in entries))
        return [entry.record for entry, has in zip(entries, answers, strict=True) if has]

    async def _ask(self, entry: Entry, cid: str) -> bool:
        number = next(self._serial)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"t": "find", "cid": cid, "n": number}, entry.record)
            async with asyncio.timeout(self.timeout_seconds):
                return await self._waiting[number]
        except TimeoutError:
            entry.seen = False
            node = entry.record["id"]
            print(f"ERR GetProviders message not received in time node={node}", flush=True)
            return False
        finally:
            del self._waiting[number]

    async def _join(self) -> None:
        """Ping the bootstrap nodes, and new nodes until they answer."""
        for attempt in itertools.count():
            for record in self.bootstrap:
                self._send({"t": "ping"}, record)
            for entry in list(self.nodes.values()):
                if not entry.seen:
                    self._send({"t": "ping"}, entry.record)
            await asyncio.sleep(min(1.0, 0.1 * (attempt + 1)))

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Answer pings and lookups; process the answers of other nodes."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            message = json.loads(data)
            self.received[0] += len(data)
            self.received[1] += 1
            if not self.is_deaf():
                self._handle(message, addr)

    def _handle(self, message: dict[str, Any], source: tuple[Any, ...]) -> None:
        sender, kind = message["from"], message["t"]
        own = _address(source[0], source[1]) == _address(sender["ip"], sender["disc"])
        if own:
            entry = self.nodes.setdefault(sender["id"], Entry(sender))
            entry.record, entry.seen = sender, True
        elif kind not in ("ping", "find"):
            return
        match kind:
            case "ping":
                known = [each.record for each in self.nodes.values() if each.seen][-_MAX_NODES:]
                self._answer({"t": "pong", "nodes": known}, source)
            case "pong":
                for record in message["nodes"]:
                    if record["id"] not in (self.me["id"], *self.nodes):
                        self.nodes[record["id"]] = Entry(record)
                        self._send({"t": "ping"}, record)
            case "find":
                answer = {"t": "found", "n": message["n"], "has": self.has(message["cid"])}
                self._answer(answer, source)
            case "found":
                future = self._waiting.get(message["n"])
                if future is not None and not future.done():
                    future.set_result(bool(message["has"]))

    def _send(self, message: dict[str, Any], to: Record) -> None:
        self._answer(message, (to["ip"], to["disc"]))

    def _answer(self, message: dict[str, Any], to: tuple[Any, ...]) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        data = json.dumps({**message, "from": self.me}).encode()
        self.sent[0] += len(data)
        self.sent[1] += 1
        self._transport.sendto(data, to[:2])

    def error_received(self, exc: Exception) -> None:
        """Ignore a closed port at the other end; the lookup times out."""


def _address(ip: str, port: int) -> tuple[Any, int]:
    address = ipaddress.ip_address(ip.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address, port
