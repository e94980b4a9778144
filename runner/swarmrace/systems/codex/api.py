"""The node's REST interface, both families. Every call has its own time limit.

A node may not answer for hours, or answer 200 and then hang. So short calls have a total limit
here; the stage that makes a long call (upload, stream) cancels it at its own limit; connecting
always has a limit.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from swarmrace.errors import Reason, TransferError
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

BASE_PATHS = {"codex": "/api/codex/v1", "storage": "/api/storage/v1"}
CANCEL_SECONDS = 4.0
"""Total limit of ending a background download."""
DELETE_SECONDS = 120.0
"""Total limit of a deletion; 500 MiB took 4.7 s."""
FILENAME = "payload.bin"
MIME_TYPE = "application/octet-stream"
"""Both are in the manifest, so all seeders must send the same to get the same CID."""


@dataclass(frozen=True, slots=True)
class Info:
    """The answer of `/debug/info`."""

    id: str
    spr: str
    nodes: int
    """Number of nodes in the discovery table that it has heard from: a bootstrap node that never
    answered is in the table too, but not `seen`."""
    version: str
    revision: str
    test_double: bool = False
    """Whether it declares itself a test double."""


@dataclass(frozen=True, slots=True)
class Space:
    """The answer of `/space`."""

    total_blocks: int
    quota_max_bytes: int
    quota_used_bytes: int
    quota_reserved_bytes: int

    @property
    def free_bytes(self) -> int:
        """Bytes that still fit."""
        return self.quota_max_bytes - self.quota_used_bytes - self.quota_reserved_bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """A content's manifest, as the node reports it."""

    dataset_bytes: int
    block_bytes: int
    download_id: int | None = None
    """Id of a background download, if the node gives one."""

    @property
    def blocks(self) -> int:
        """Number of blocks of the dataset, without the manifest's own."""
        return -(-self.dataset_bytes // self.block_bytes)


class Api(NodeClient):
    """One node's API.

    Args:
        url: `http://host:port`.
        family: `codex` or `storage`, or `auto` to ask the node.
    """

    def __init__(self, url: str, family: str = "auto") -> None:
        super().__init__(url)
        self.family: str | None = None if family == "auto" else family

    @staticmethod
    def refusal(call: str, status: int, text: str) -> TransferError:
        """Return the failure of a call that the node answered with a status other than 200."""
        return refused(call, status, " ".join(text.split())[:200])

    async def info(self) -> Info:
        """Return the node's information; the first call detects the family.

        Raises:
            UnreachableError: no answer, or not a node's.
        """
        families = [self.family] if self.family else list(BASE_PATHS)
        status = 0
        for family in families:
            response = await self._short("GET", f"{BASE_PATHS[family]}/debug/info")
            status = response.status_code
            if status == 200:
                self.family = family
                return _info(json_object(response))
        raise UnreachableError(f"{self.url}/debug/info: expected 200, found {status}")

    async def space(self) -> Space:
        """Return the node's space."""
        answer = json_object(await self._short("GET", self._path("/space"), expected=200))
        names = ("totalBlocks", "quotaMaxBytes", "quotaUsedBytes", "quotaReservedBytes")
        return Space(*(int(answer.get(name, 0)) for name in names))

    async def upload(self, file: Path, block_size: int | None) -> str:
        """Upload a file; return its CID.

        Raises:
            TransferError: the node refused it, or the connection broke.
        """
        headers = {
            "Content-Type": MIME_TYPE,
            "Content-Disposition": f'attachment; filename="{FILENAME}"',
            "Content-Length": str(file.stat().st_size),
        }
        params = {} if block_size is None else {"blockSize": str(block_size)}
        try:
            response = await self._client.post(
                self._path("/data"), content=chunks(file), headers=headers, params=params
            )
        except httpx.TransportError as error:
            raise broken("POST /data", error) from error
        cid = self._expect(response, "POST /data").text.strip()
        if not cid.isalnum():
            raise TransferError(Reason.REFUSED, f"POST /data: expected a CID, found {cid[:80]!r}")
        return cid

    def stream_url(self, cid: str) -> str:
        """Return the URL of a content's stream; headers come once the node knows the manifest."""
        return f"{self.url}{self._path(f'/data/{cid}/network/stream')}"

    def local(self, cid: str) -> AbstractAsyncContextManager[httpx.Response]:
        """Open what the node itself stores of a content, with a limit on silence.

        Raises:
            TransferError: the node refused it, or the connection broke.
        """
        path = f"/data/{cid}"
        return self._stored(f"GET {path}", "GET", self._path(path))

    async def fetch(self, cid: str) -> Manifest:
        """Have the node fetch a content in the background; return once it knows the manifest."""
        path = f"/data/{cid}/network"
        try:
            response = await self._client.post(self._path(path))
        except httpx.TransportError as error:
            raise broken(f"POST {path}", error) from error
        self._expect(response, f"POST {path}")
        try:
            answer = json_object(response)
            manifest, number = answer["manifest"], answer.get("downloadId")
            found = Manifest(int(manifest["datasetSize"]), int(manifest["blockSize"]), number)
            if found.block_bytes < 1:
                raise ValueError("blocks without a size")
            return found
        except (UnreachableError, KeyError, TypeError, ValueError) as error:
            raise TransferError(
                Reason.REFUSED, f"POST {path}: expected a manifest, found {response.text[:200]}"
            ) from error

    async def progress(self, cid: str, download_id: int) -> dict[str, Any]:
        """Return `{active, received, total, bytes}`; only `active` once the download has ended."""
        path = self._path(f"/data/{cid}/network/progress/{download_id}")
        return json_object(await self._short("GET", path, expected=200))

    async def cancel(self, cid: str, download_id: int) -> None:
        """End a background download; return once the node no longer knows it.

        Raises:
            UnreachableError: it still knows it after some seconds.
        """
        path = self._path(f"/data/{cid}/network/{download_id}")
        await self._short("DELETE", path, seconds=CANCEL_SECONDS / 2)
        try:
            async with asyncio.timeout(CANCEL_SECONDS / 2):
                while (await self.progress(cid, download_id)).get("active"):
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise UnreachableError(f"DELETE {path}: the download goes on") from error

    async def delete(self, cid: str) -> None:
        """Remove a content; removing an unknown one is no error."""
        path = self._path(f"/data/{cid}")
        await self._short("DELETE", path, expected=204, seconds=DELETE_SECONDS)

    def _path(self, path: str) -> str:
        assert self.family is not None, "info() is called first"
        return BASE_PATHS[self.family] + path

    async def _short(
        self, method: str, path: str, expected: int | None = None, seconds: float = SHORT_SECONDS
    ) -> httpx.Response:
        request = self._client.request(method, path)
        response = await answer_within(request, f"{method} {path}", seconds)
        if expected is not None and response.status_code != expected:
            raise UnreachableError(
                f"{method} {path}: expected {expected}, found {response.status_code}"
            )
        return response


def _table(answer: dict[str, Any]) -> list[dict[str, Any]]:
    nodes = (answer.get("table") or {}).get("nodes") or []
    return [node for node in nodes if isinstance(node, dict)]


def _info(answer: dict[str, Any]) -> Info:
    software = answer.get("codex") or answer.get("storage") or {}
    return Info(
        id=str(answer.get("id", "")),
        spr=str(answer.get("spr", "")),
        nodes=sum(bool(node.get("seen", True)) for node in _table(answer)),
        version=str(software.get("version", "unknown")),
        revision=str(software.get("revision", "unknown")),
        test_double=software.get("testDouble") is True,
    )
