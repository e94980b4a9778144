"""Fetching in the background: the node fetches and is watched; then what it holds is read back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import Any

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Digest, Record
from swarmrace.systems.codex.api import Api, Manifest, Space, UnreachableError

_SETTLE_SECONDS = 5.0
"""How long a node may take to account for a download that it calls ended."""


async def read_back(api: Api, cid: str) -> Digest:
    """Return the digest of what the node holds itself.

    Raises:
        TransferError: it is not here, broken, or silent.
    """
    sha256, size_bytes = hashlib.sha256(), 0
    async with api.local(cid) as response:
        async for data in response.aiter_raw():
            size_bytes += len(data)
            sha256.update(data)
    return Digest(size_bytes, sha256.hexdigest())


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
        self.goes_on = False
        """Whether a download that failed may go on in the node, because it could not be ended."""
        self._held = 0
        self._ended = False
        self._grown_blocks = self._grown_bytes = 0
        self._next_ns: int | None = None

    async def fetch(self, api: Api, cid: str, record: Record) -> None:
        """Start the download and return when progress, or else the space, says that all is here.

        A download that fails is ended in the node too, so that it takes part in no later run.

        Raises:
            TransferError: refused, of another length, held by the node beforehand, or ended by it
                before it was whole.
        """
        manifest = await api.fetch(cid)
        record.discovered()
        try:
            await self._watch(api, cid, manifest, record)
        except BaseException:
            if not self._ended:
                await asyncio.shield(self._end(api, cid, manifest, record))
            raise

    async def _watch(self, api: Api, cid: str, manifest: Manifest, record: Record) -> None:
        if manifest.dataset_bytes != self.size_bytes:
            raise TransferError(
                Reason.WRONG_BYTES,
                f"content {cid}: expected a dataset of {self.size_bytes} bytes, found "
                f"{manifest.dataset_bytes}",
            )
        try:
            if manifest.download_id is None:
                await self._by_space(api, cid, manifest, record)
            else:
                await self._by_progress(api, cid, manifest, record)
        finally:
            if self.unanswered:
                record.notes.append(f"{self.unanswered} polls of the node had no answer")

    async def _end(self, api: Api, cid: str, manifest: Manifest, record: Record) -> None:
        """Have the node fetch no further, within some seconds; note it where that can't be."""
        try:
            if manifest.download_id is None:
                raise UnreachableError("this node has no call for it")
            await api.cancel(cid, manifest.download_id)
        except UnreachableError as error:
            self.goes_on = True
            record.notes.append(f"the node's background download could not be ended: {error}")

    async def _by_progress(self, api: Api, cid: str, manifest: Manifest, record: Record) -> None:
        assert manifest.download_id is not None
        log = record.arrivals = SampledLog(self.size_bytes)
        ended_ns: int | None = None
        while True:
            await self._tick(record)
            asked_ns = record.clock.now_ns()
            try:
                answer = await api.progress(cid, manifest.download_id)
                t_ns = record.clock.now_ns()
                if answer.get("active"):
                    held = _held(answer, manifest)
                    whole = 0 < int(answer.get("total") or 0) <= int(answer.get("received") or 0)
                else:  # the node forgets a download once it has ended, well or not
                    self._ended = True
                    held, whole = 0, await self._has_all(api, manifest)
                    ended_ns = ended_ns or t_ns
            except UnreachableError:
                self.unanswered += 1
                continue
            self._held = max(self._held, self.size_bytes if whole else held)
            log.sample(self._held, asked_ns, t_ns)
            if whole:
                record.done(t_ns)
                return
            if ended_ns is not None and t_ns - ended_ns > _SETTLE_SECONDS * 1e9:
                self._check_manifest(cid)
                raise TransferError(
                    Reason.REFUSED,
                    f"codex: the node ended the download with its space grown by "
                    f"{self._grown_bytes} of {self.size_bytes} bytes: it gave up, or held the "
                    "rest beforehand",
                )

    async def _by_space(self, api: Api, cid: str, manifest: Manifest, record: Record) -> None:
        began_ns = record.clock.now_ns()
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
            if record.clock.now_ns() - began_ns > _SETTLE_SECONDS * 1e9:
                self._check_manifest(cid)

    async def _has_all(self, api: Api, manifest: Manifest) -> bool:
        """Whether the space has grown by all blocks and the manifest's own."""
        space = await api.space()
        self._grown_blocks = space.total_blocks - self.before.total_blocks
        self._grown_bytes = space.quota_used_bytes - self.before.quota_used_bytes
        return self._grown_blocks > manifest.blocks and self._grown_bytes >= manifest.dataset_bytes

    def _check_manifest(self, cid: str) -> None:
        """Say so if the node knew the manifest without taking any block: it has had it before."""
        if not self._grown_blocks:
            raise held_beforehand(cid, self.size_bytes, self._grown_bytes)

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


async def check_growth(api: Api, cid: str, size_bytes: int, before: Space) -> None:
    """Check that a node's space has grown by a content since `before`; wait a moment for it.

    A node that held it, or a part, has not fetched it: its time would be none of a transfer.

    Raises:
        TransferError: it has grown by less, or does not say.
    """
    grown = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_SECONDS):
            while True:
                with contextlib.suppress(UnreachableError):
                    grown = (await api.space()).quota_used_bytes - before.quota_used_bytes
                    if grown >= size_bytes:
                        return
                await asyncio.sleep(0.1)
    if grown is None:
        raise TransferError(
            Reason.REFUSED, f"GET /space: expected an answer, found none in {_SETTLE_SECONDS:g} s"
        )
    raise held_beforehand(cid, size_bytes, grown)


def held_beforehand(cid: str, size_bytes: int, grown_bytes: int) -> TransferError:
    """Return the failure of a node that needed not fetch what it was to fetch."""
    held = size_bytes - max(0, grown_bytes)
    return TransferError(
        Reason.REFUSED,
        f"codex: the node held {held} bytes of it beforehand (its space grew by {grown_bytes} of "
        f"{size_bytes}); delete content {cid} there, raise `attempt`, or set coldStart: true",
    )
