"""Fetching in the background: the node fetches and is watched; then its content is read back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Digest, Record
from swarmrace.systems.codex.api import Api, Manifest, Space
from swarmrace.systems.node_api import UnreachableError, digest_of
from swarmrace.systems.polling import Ticks

_SETTLE_SECONDS = 5.0
"""How long a node may take to update its space after a download that it reports as ended."""


async def read_back(api: Api, cid: str) -> Digest:
    """Return the digest of what the node itself stores.

    Raises:
        TransferError: the content isn't there, the connection broke, or the node is silent.
    """
    async with api.local(cid) as response:
        return await digest_of(response)


class Background:
    """Has the node fetch a content, and watches it.

    Args:
        size_bytes: the payload's size.
        poll_seconds: the interval between two polls of the node.
        before: the node's space before the start.
    """

    def __init__(self, size_bytes: int, poll_seconds: float, before: Space) -> None:
        self.size_bytes, self.poll_seconds, self.before = size_bytes, poll_seconds, before
        self.unanswered = 0
        self.download_left = False
        """Whether a failed download may still run in the node, because it couldn't be ended."""
        self._held = 0
        self._ended = False
        self._grown_blocks = self._grown_bytes = 0

    async def fetch(self, api: Api, cid: str, record: Record) -> None:
        """Start the download; return when its progress, or otherwise the node's space, shows that
        it is complete.

        A failed download is ended in the node too, so that it doesn't affect a later run.

        Raises:
            TransferError: the node refused it, the content has another length, the node had it
                already, or the node ended the download before it was complete.
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
        """End the download in the node, within some seconds; note it if that fails."""
        try:
            if manifest.download_id is None:
                raise UnreachableError("this node's API has no call for that")
            await api.cancel(cid, manifest.download_id)
        except UnreachableError as error:
            self.download_left = True
            record.notes.append(f"the node's background download could not be ended: {error}")

    async def _by_progress(self, api: Api, cid: str, manifest: Manifest, record: Record) -> None:
        assert manifest.download_id is not None
        log = record.arrivals = SampledLog(self.size_bytes)
        ended_ns: int | None = None
        ticks = Ticks(record.clock, self.poll_seconds)
        while True:
            await ticks.wait()
            asked_ns = record.clock.now_ns()
            try:
                answer = await api.progress(cid, manifest.download_id)
                t_ns = record.clock.now_ns()
                if answer.get("active"):
                    held = _held(answer, manifest)
                    whole = 0 < int(answer.get("total") or 0) <= int(answer.get("received") or 0)
                else:  # the node forgets a download once it has ended, failed or not
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
                    f"codex: the node ended the download after its space had grown by "
                    f"{self._grown_bytes} of {self.size_bytes} bytes: it gave up, or had the rest "
                    "already",
                )

    async def _by_space(self, api: Api, cid: str, manifest: Manifest, record: Record) -> None:
        began_ns = record.clock.now_ns()
        ticks = Ticks(record.clock, self.poll_seconds)
        while True:
            await ticks.wait()
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
        """Return whether the space has grown by all blocks and the manifest's own."""
        space = await api.space()
        self._grown_blocks = space.total_blocks - self.before.total_blocks
        self._grown_bytes = space.quota_used_bytes - self.before.quota_used_bytes
        return self._grown_blocks > manifest.blocks and self._grown_bytes >= manifest.dataset_bytes

    def _check_manifest(self, cid: str) -> None:
        """Raise an error if the node knows the manifest but stored no block: it had the content
        already."""
        if not self._grown_blocks:
            raise held_beforehand(cid, self.size_bytes, self._grown_bytes)


def _held(answer: dict[str, Any], manifest: Manifest) -> int:
    """Return the payload bytes held: at most whole blocks, without the last one's padding."""
    blocks = int(answer.get("received") or 0) * manifest.block_bytes
    return min(int(answer.get("bytes") or 0), blocks, manifest.dataset_bytes)


async def check_growth(api: Api, cid: str, size_bytes: int, before: Space) -> None:
    """Check that a node's space has grown by a content since `before`; wait a moment for it.

    A node that already had all or part of it hasn't fetched it, so its time isn't a transfer's.

    Raises:
        TransferError: the space has grown by less, or the node doesn't answer.
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
    """Return the failure of a node that didn't need to fetch the content."""
    held = size_bytes - max(0, grown_bytes)
    return TransferError(
        Reason.REFUSED,
        f"codex: the node already had {held} bytes of the content (its space grew by {grown_bytes} "
        f"of {size_bytes}); delete {cid} there, raise `attempt`, or set coldStart: true",
    )
