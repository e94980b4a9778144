"""The node's REST interface, both families. Every call has a limit of its own.

A node may not answer for hours, or answer 200 and then hang. Short calls therefore have a total
limit here; the long ones (upload, stream) are bounded by the stage that called them, which
cancels them, and connecting always has a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from swarmrace.errors import Reason, TransferError

BASE_PATHS = {"codex": "/api/codex/v1", "storage": "/api/storage/v1"}
CONNECT_SECONDS = 5.0
SHORT_SECONDS = 10.0
"""Total limit of a call that has little to do."""
CANCEL_SECONDS = 4.0
"""Total limit of ending a background download."""
DELETE_SECONDS = 120.0
"""Deleting 500 MiB was seen to take 4.7 s."""
IDLE_SECONDS = 30.0
"""Longest silence while reading back what the node holds itself."""
FILENAME = "payload.bin"
MIME_TYPE = "application/octet-stream"
"""Both are in the manifest, so all seeders must say the same to get the same CID."""

_CHUNK = 1 << 20


class UnreachableError(Exception):
    """The node does not answer: refused, reset or silent beyond the call's limit."""


class BrokenError(TransferError):
    """A call whose connection broke: the node may have died, which would explain it."""


@dataclass(frozen=True, slots=True)
class Info:
    """What `/debug/info` says."""

    id: str
    spr: str
    nodes: int
    """Nodes in the discovery table that it has heard from: a bootstrap node that never answered
    is in the table too, and not `seen`."""
    version: str
    revision: str
    test_double: bool = False
    """Whether it says that it is none of the real programs."""


@dataclass(frozen=True, slots=True)
class Space:
    """What `/space` says."""

    total_blocks: int
    quota_max_bytes: int
    quota_used_bytes: int
    quota_reserved_bytes: int

    @property
    def free_bytes(self) -> int:
        """What still fits."""
        return self.quota_max_bytes - self.quota_used_bytes - self.quota_reserved_bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the node says of a content."""

    dataset_bytes: int
    block_bytes: int
    download_id: int | None = None
    """Of a background download, where the node gives one."""

    @property
    def blocks(self) -> int:
        """Blocks of the dataset, without the manifest's own."""
        return -(-self.dataset_bytes // self.block_bytes)


class Api:
    """One node's API.

    Args:
        url: `http://host:port`.
        family: `codex` or `storage`, or `auto` to ask the node.
    """

    def __init__(self, url: str, family: str = "auto") -> None:
        self.url = url.rstrip("/")
        self.family: str | None = None if family == "auto" else family
        self._client = httpx.AsyncClient(
            base_url=self.url,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            trust_env=False,
            verify=self.url.startswith("https:"),  # reading the certificates costs 20 ms of CPU
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def info(self) -> Info:
        """Return the node's own account; the first call finds out the family.

        Raises:
            UnreachableError: no answer, or none that a node gives.
        """
        families = [self.family] if self.family else list(BASE_PATHS)
        status = 0
        for family in families:
            response = await self._short("GET", f"{BASE_PATHS[family]}/debug/info")
            status = response.status_code
            if status == 200:
                self.family = family
                return _info(_json(response))
        raise UnreachableError(f"{self.url}/debug/info: expected 200, found {status}")

    async def space(self) -> Space:
        """Return the node's space."""
        answer = _json(await self._short("GET", self._path("/space"), expected=200))
        names = ("totalBlocks", "quotaMaxBytes", "quotaUsedBytes", "quotaReservedBytes")
        return Space(*(int(answer.get(name, 0)) for name in names))

    async def upload(self, file: Path, block_size: int | None) -> str:
        """Upload a file; return its CID.

        Raises:
            TransferError: the node refused it or broke off.
        """
        headers = {
            "Content-Type": MIME_TYPE,
            "Content-Disposition": f'attachment; filename="{FILENAME}"',
            "Content-Length": str(file.stat().st_size),
        }
        params = {} if block_size is None else {"blockSize": str(block_size)}
        try:
            response = await self._client.post(
                self._path("/data"), content=_read(file), headers=headers, params=params
            )
        except httpx.TransportError as error:
            raise _broken("POST /data", error) from error
        cid = self._expect(response, "POST /data").text.strip()
        if not cid.isalnum():
            raise TransferError(Reason.REFUSED, f"POST /data: expected a CID, found {cid[:80]!r}")
        return cid

    def stream_url(self, cid: str) -> str:
        """Return where the node streams a content; headers come once it knows the manifest."""
        return f"{self.url}{self._path(f'/data/{cid}/network/stream')}"

    @asynccontextmanager
    async def local(self, cid: str) -> AsyncIterator[httpx.Response]:
        """Open what the node holds of a content itself, with a limit on silence.

        Raises:
            TransferError: the node refused it or broke off.
        """
        path = f"/data/{cid}"
        timeout = httpx.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
        answered = False
        try:
            async with self._client.stream("GET", self._path(path), timeout=timeout) as response:
                if response.status_code != 200:
                    await response.aread()
                    self._expect(response, f"GET {path}")
                answered = True
                yield response
        except httpx.RemoteProtocolError as error:
            if not answered:
                raise _broken(f"GET {path}", error) from error
            raise BrokenError(
                Reason.WRONG_BYTES, f"GET {path}: expected the whole body, found {error}"
            ) from error
        except httpx.ReadTimeout as error:
            raise TransferError(
                Reason.STALL, f"GET {path}: expected bytes, found silence for {IDLE_SECONDS:g} s"
            ) from error
        except httpx.TransportError as error:
            raise _broken(f"GET {path}", error) from error

    async def fetch(self, cid: str) -> Manifest:
        """Let the node fetch a content in the background; return once it knows the manifest."""
        path = f"/data/{cid}/network"
        try:
            response = await self._client.post(self._path(path))
        except httpx.TransportError as error:
            raise _broken(f"POST {path}", error) from error
        self._expect(response, f"POST {path}")
        try:
            answer = _json(response)
            manifest, number = answer["manifest"], answer.get("downloadId")
            found = Manifest(int(manifest["datasetSize"]), int(manifest["blockSize"]), number)
            if found.block_bytes < 1:
                raise ValueError("blocks of no size")
            return found
        except (UnreachableError, KeyError, TypeError, ValueError) as error:
            raise TransferError(
                Reason.REFUSED, f"POST {path}: expected a manifest, found {response.text[:200]}"
            ) from error

    async def progress(self, cid: str, download_id: int) -> dict[str, Any]:
        """Return `{active, received, total, bytes}`; only `active` once the download has ended."""
        path = self._path(f"/data/{cid}/network/progress/{download_id}")
        return _json(await self._short("GET", path, expected=200))

    async def cancel(self, cid: str, download_id: int) -> None:
        """End a background download; return once the node says that it is none of its own.

        Raises:
            UnreachableError: it does not say so within some seconds.
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
        """Remove a content; an unknown one is none to remove."""
        path = self._path(f"/data/{cid}")
        await self._short("DELETE", path, expected=204, seconds=DELETE_SECONDS)

    def _path(self, path: str) -> str:
        assert self.family is not None, "info() is called first"
        return BASE_PATHS[self.family] + path

    async def _short(
        self, method: str, path: str, expected: int | None = None, seconds: float = SHORT_SECONDS
    ) -> httpx.Response:
        try:
            async with asyncio.timeout(seconds):
                response = await self._client.request(method, path)
        except httpx.TransportError as error:
            raise UnreachableError(f"{method} {path}: {_describe(error)}") from error
        except TimeoutError as error:
            raise UnreachableError(f"{method} {path}: no answer in {seconds:g} s") from error
        if expected is not None and response.status_code != expected:
            raise UnreachableError(
                f"{method} {path}: expected {expected}, found {response.status_code}"
            )
        return response

    @staticmethod
    def _expect(response: httpx.Response, call: str) -> httpx.Response:
        if response.status_code == 200:
            return response
        raise refusal(call, response.status_code, response.text)


def reports_full_disk(text: str) -> bool:
    """Whether a node's answer or output holds the system's words for ENOSPC."""
    return "no space left" in text.lower()


def refusal(call: str, status: int, text: str) -> TransferError:
    """Return the failure of a call that the node answered with another status than 200."""
    text = " ".join(text.split())[:200]
    return TransferError(
        Reason.DISK_FULL if reports_full_disk(text) else Reason.REFUSED,
        f"{call}: expected 200, found {status}{': ' if text else ''}{text}",
    )


def _broken(call: str, error: httpx.TransportError) -> BrokenError:
    return BrokenError(
        Reason.REFUSED, f"{call}: expected an answer, found the connection {_describe(error)}"
    )


def _describe(error: httpx.TransportError) -> str:
    return f"broken ({type(error).__name__}{': ' if str(error) else ''}{error})"


async def _read(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb", buffering=0) as source:
        while data := source.read(_CHUNK):
            yield data


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError as error:
        raise UnreachableError(f"{response.url}: expected JSON, found {error}") from error
    if not isinstance(answer, dict):
        raise UnreachableError(f"{response.url}: expected a JSON object")
    return answer


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
