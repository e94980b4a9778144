"""The two ways to fetch: reading a stream, and watching the node fetch in the background."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from swarmrace.arrivals import ByteLog
from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Digest, Record
from swarmrace.systems.codex.api import Api, Manifest, Space, UnreachableError

_READ_BYTES = 16_384
_SETTLE_SECONDS = 5.0
"""How long a node may take to account for a download that it calls ended."""


class Reading:
    """Reads a content in order, hashing and dropping it.

    Args:
        size_bytes: the payload's size.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._sha256 = hashlib.sha256()
        self._read_bytes = 0

    @property
    def digest(self) -> Digest:
        """Length and SHA-256 of what was read so far."""
        return Digest(self._read_bytes, self._sha256.hexdigest())

    async def stream(self, api: Api, cid: str, record: Record) -> None:
        """Read the network stream; each read is a delivery, stamped before it is hashed.

        The response's headers are sent as soon as the node knows the manifest, so they stamp the
        discovery; asking for the manifest beforehand would be a round trip that no user makes.

        Raises:
            TransferError: refused, broken, or of another length.
        """
        log = record.deliverable = ByteLog(self.size_bytes // _READ_BYTES + 64)
        now_ns, update = record.clock.now_ns, self._sha256.update
        async with api.stream(cid) as response:
            record.discovered()
            self._check_length(response.headers.get("content-length"), cid)
            async for data in response.aiter_raw():
                t_ns = now_ns()
                log.record(self._read_bytes, len(data), t_ns)
                self._read_bytes += len(data)
                if self._read_bytes == self.size_bytes:
                    record.done(t_ns)
                update(data)
        self._check_read()

    async def read_back(self, api: Api, cid: str) -> Digest:
        """Read what the node holds itself.

        Raises:
            TransferError: it is not here, broken, silent, or of another length.
        """
        async with api.stream(cid, local=True) as response:
            async for data in response.aiter_raw():
                self._read_bytes += len(data)
                self._sha256.update(data)
        return self.digest

    def _check_length(self, header: str | None, cid: str) -> None:
        if header != str(self.size_bytes):
            raise TransferError(
                Reason.WRONG_BYTES,
                f"content {cid}: expected Content-Length {self.size_bytes}, found {header}",
            )

    def _check_read(self) -> None:
        if self._read_bytes != self.size_bytes:
            raise TransferError(
                Reason.WRONG_BYTES,
                f"stream: expected {self.size_bytes} bytes, found its end after {self._read_bytes}",
            )


class Background:
    """Lets the node fetch and watches it.

    Args:
        size_bytes: the payload's size.
        poll_seconds: how often the node is asked.
        before: the node's space before the start.
    """

    def __init__(self, size_bytes: int, poll_seconds: float, before: Space) -> None:
        self.size_bytes, self.poll_seconds, self.before = size_bytes, poll_seconds, before
        self.unanswered = 0
        self._held = 0
        self._next_ns: int | None = None

    async def fetch(self, api: Api, cid: str, record: Record) -> None:
        """Start the download and return when progress, or else the space, says that all is here.

        Raises:
            TransferError: refused, of another length, or ended by the node before it was whole.
        """
        manifest = await api.fetch(cid)
        record.discovered()
        if manifest.dataset_bytes != self.size_bytes:
            raise TransferError(
                Reason.WRONG_BYTES,
                f"content {cid}: expected a dataset of {self.size_bytes} bytes, found "
                f"{manifest.dataset_bytes}",
            )
        try:
            if manifest.download_id is None:
                await self._by_space(api, manifest, record)
            else:
                await self._by_progress(api, cid, manifest, record)
        finally:
            if self.unanswered:
                record.notes.append(f"{self.unanswered} polls of the node had no answer")

    async def _by_progress(self, api: Api, cid: str, manifest: Manifest, record: Record) -> None:
        assert manifest.download_id is not None
        log = record.arrivals = ByteLog(4096, offsets_known=False)
        ended_ns: int | None = None
        while True:
            await self._tick(record)
            try:
                answer = await api.progress(cid, manifest.download_id)
                t_ns = record.clock.now_ns()
                if answer.get("active"):
                    held = _held(answer, manifest)
                    whole = 0 < int(answer.get("total") or 0) <= int(answer.get("received") or 0)
                else:  # the node forgets a download once it has ended, well or not
                    held, whole = 0, await self._has_all(api, manifest)
                    ended_ns = ended_ns or t_ns
            except UnreachableError:
                self.unanswered += 1
                continue
            self._note(log, self.size_bytes if whole else held, t_ns)
            if whole:
                record.done(t_ns)
                return
            if ended_ns is not None and t_ns - ended_ns > _SETTLE_SECONDS * 1e9:
                raise TransferError(
                    Reason.REFUSED,
                    f"the node ended the download with {self._held} of {self.size_bytes} bytes",
                )

    async def _by_space(self, api: Api, manifest: Manifest, record: Record) -> None:
        while True:
            await self._tick(record)
            try:
                whole = await self._has_all(api, manifest)
            except UnreachableError:
                self.unanswered += 1
                continue
            if whole:
                record.done()
                return

    async def _has_all(self, api: Api, manifest: Manifest) -> bool:
        """Whether the space has grown by all blocks and the manifest's own."""
        space = await api.space()
        return (
            space.total_blocks - self.before.total_blocks > manifest.blocks
            and space.quota_used_bytes - self.before.quota_used_bytes >= manifest.dataset_bytes
        )

    def _note(self, log: ByteLog, held: int, t_ns: int) -> None:
        if held > self._held:
            log.record(self._held, held - self._held, t_ns)
            self._held = held

    async def _tick(self, record: Record) -> None:
        """Return every `poll_seconds`, at once the first time; skip what a slow answer overran."""
        step_ns, now_ns = round(self.poll_seconds * 1e9), record.clock.now_ns()
        if self._next_ns is None:
            self._next_ns = now_ns
            return
        self._next_ns += max(1, -(-(now_ns - self._next_ns) // step_ns)) * step_ns
        await asyncio.sleep((self._next_ns - now_ns) / 1e9)


def _held(answer: dict[str, Any], manifest: Manifest) -> int:
    """Return the payload bytes held: no more than whole blocks, without the last one's padding."""
    blocks = int(answer.get("received") or 0) * manifest.block_bytes
    return min(int(answer.get("bytes") or 0), blocks, manifest.dataset_bytes)
