"""kubo's RPC (`/api/v0`). Every call has its own time limit, or its caller bounds it.

A node waits forever for a block that no node has, and may answer 200 and break off later. So short
calls have a total limit here. The stage that makes a long call (add, pin, cat) cancels it at its
own limit. Connecting always has a limit.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.node import BrokenError
from swarmrace.systems.node_api import (
    SHORT_SECONDS,
    NodeClient,
    UnreachableError,
    answer_within,
    broken,
    chunks,
    json_object,
    refused,
)

REMOVE_SECONDS = 120.0
"""Total limit of collecting garbage."""
_BOUNDARY = "swarmrace-payload"
_MAX_WORDS = 300


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """The answer of `id`."""

    id: str
    addresses: tuple[str, ...]
    """Where it listens, each ending in `/p2p/ID`."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """What `bitswap/stat` has counted since the node started."""

    received: int = 0
    received_bytes: int = 0
    duplicates: int = 0
    duplicate_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0

    @property
    def kept_bytes(self) -> int:
        """Bytes of blocks received, less those that it knows to have had already."""
        return self.received_bytes - self.duplicate_bytes


class KuboRpc(NodeClient):
    """One node's RPC.

    Args:
        url: `http://host:port`.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, "/api/v0")

    @staticmethod
    def refusal(call: str, status: int, text: str) -> TransferError:
        """Return the failure of a call that the node answered with a status other than 200.

        The end of the node's message is kept, because that is where the system's error is.
        """
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = str(json.loads(text)["Message"])
        words = " ".join(text.split())
        words = words if len(words) <= _MAX_WORDS else f"...{words[-_MAX_WORDS:]}"
        return refused(call, status, words)

    async def identity(self) -> NodeIdentity:
        """Return who the node is and where it listens."""
        answer = await self._short("id")
        return NodeIdentity(
            str(answer.get("ID", "")),
            tuple(map(str, answer.get("Addresses") or ())),
        )

    async def version(self) -> str:
        """Return kubo's version."""
        return str((await self._short("version")).get("Version", "unknown"))

    async def connections(self) -> int:
        """Return how many nodes it is connected to."""
        answer = await self._short("swarm/peers")
        return len({str(peer.get("Peer")) for peer in answer.get("Peers") or ()})

    async def blocks(self) -> Blocks:
        """Return what Bitswap has received and sent."""
        answer = await self._short("bitswap/stat")
        names = ("BlocksReceived", "DataReceived", "DupBlksReceived", "DupDataReceived")
        return Blocks(*(int(answer.get(name, 0)) for name in (*names, "BlocksSent", "DataSent")))

    async def bandwidth(self) -> tuple[int, int]:
        """Return the bytes received and sent over all protocols; they may lag by a second."""
        answer = await self._short("stats/bw")
        return int(answer.get("TotalIn", 0)), int(answer.get("TotalOut", 0))

    async def tree_bytes(self, cid: str) -> int:
        """Return the size of a content's blocks, including those that only hold links."""
        answer = await self._short("files/stat", {"arg": f"/ipfs/{cid}", "offline": "true"})
        return int(answer.get("CumulativeSize", 0))

    async def add(self, file: Path, parameters: Mapping[str, str]) -> str:
        """Add and pin a file; return its CID.

        Raises:
            TransferError: the node refused it or broke off.
        """
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
            'filename="payload.bin"\r\nContent-Type: application/octet-stream\r\n\r\n'
        ).encode()
        tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
        try:
            response = await self._client.post(
                "/add",
                params={"progress": "false", "quieter": "true", **parameters},
                content=_multipart(head, file, tail),
                headers={
                    "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
                    "Content-Length": str(len(head) + file.stat().st_size + len(tail)),
                },
            )
        except httpx.TransportError as error:
            raise broken("add", error) from error
        self._expect(response, "add")
        try:
            return str(json.loads(response.text.splitlines()[-1])["Hash"])
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise BrokenError(
                Reason.REFUSED, f"add: expected a CID, found {response.text[:200]!r}"
            ) from error

    async def pin(self, cid: str) -> None:
        """Have the node fetch all of a content and keep it; return once it has.

        Raises:
            TransferError: the node refused it or broke off.
        """
        try:
            response = await self._client.post("/pin/add", params={"arg": cid, "progress": "false"})
        except httpx.TransportError as error:
            raise broken("pin/add", error) from error
        self._expect(response, "pin/add")
        if f'"{cid}"' not in response.text:
            raise BrokenError(
                Reason.REFUSED, f"pin/add: expected {cid} pinned, found {response.text[:200]!r}"
            )

    def cat_url(self, cid: str) -> str:
        """Return where the node streams a content, to a POST without a body."""
        return f"{self.url}/api/v0/cat?arg={cid}"

    def held(self, cid: str) -> AbstractAsyncContextManager[httpx.Response]:
        """Open what the node itself stores of a content, with a limit on silence.

        Raises:
            TransferError: the node refused it, or the connection broke.
        """
        return self._stored("cat (offline)", "POST", "/cat", {"arg": cid, "offline": "true"})

    async def remove(self, cid: str, *, pinned: bool) -> None:
        """Remove a content: unpin it, then collect blocks that nothing refers to.

        Raises:
            UnreachableError: no answer, or a status other than 200.
        """
        if pinned:
            await self._short("pin/rm", {"arg": cid})
        response = await self._call("repo/gc", {"quiet": "true"}, REMOVE_SECONDS)
        if response.status_code != 200:
            raise UnreachableError(f"repo/gc: expected 200, found {response.status_code}")

    async def _short(
        self, path: str, parameters: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        response = await self._call(path, parameters or {}, SHORT_SECONDS)
        if response.status_code != 200:
            text = " ".join(response.text.split())[:200]
            raise UnreachableError(f"{path}: expected 200, found {response.status_code}: {text}")
        return json_object(response, path)

    async def _call(
        self, path: str, parameters: Mapping[str, str], seconds: float
    ) -> httpx.Response:
        request = self._client.post(f"/{path}", params=dict(parameters))
        return await answer_within(request, path, seconds)


async def _multipart(head: bytes, file: Path, tail: bytes) -> AsyncIterator[bytes]:
    yield head
    async for data in chunks(file):
        yield data
    yield tail
