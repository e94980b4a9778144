"""Fetching one dataset from the nodes that have it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import deque
from typing import Any

from codex_double import cid as cids
from codex_double.config import Habits
from codex_double.discovery import Discovery, Record
from codex_double.exchange import Exchange, Link, PeerLostError
from codex_double.store import QuotaFullError, Store

BATCH = 32
"""Number of blocks requested at once; they arrive even if they are no longer needed."""
RETRY_SECONDS = 2.0
FIRST_LAST_SHARE = (0.55, 0.95)
"""The share of a stream's blocks that come before its first ones, drawn for each download. In real
nodes 1 % came after 0.57 to 1.0 of the time on 20 Mbit/s links, after 0.6 to 0.73 without limit."""
LOCAL_SECONDS_PER_BYTE = 0.62 / (100 << 20)
"""Duration of a background download of content that is here already."""


class Network:
    """The parts of a node that a download needs."""

    def __init__(
        self,
        store: Store,
        discovery: Discovery,
        exchange: Exchange,
        habits: Habits,
    ) -> None:
        self.store, self.discovery, self.exchange = store, discovery, exchange
        self.habits, self.time_scale = habits, habits.time_scale

    @property
    def silence_seconds(self) -> float:
        """How long a stream is silent; it grows with the swarm."""
        nodes = 1 + len(self.discovery.nodes)
        return self.habits.silence_seconds_a_node * nodes * self.time_scale

    async def manifest(self, cid: str) -> dict[str, Any]:
        """Return a manifest; search for it until a node has it, forever if none does."""
        while cid not in self.store.manifests:
            for record in await self.discovery.providers(cid):
                try:
                    link = await self.exchange.connect(record)
                except PeerLostError:
                    continue
                try:
                    manifest = await link.manifest(cid)
                except PeerLostError:
                    continue
                finally:
                    link.close()
                if manifest is not None and self._keep(manifest) == cid:
                    break
            else:
                await asyncio.sleep(RETRY_SECONDS * self.time_scale)
        return self.store.manifests[cid]

    def _keep(self, manifest: dict[str, Any]) -> str | None:
        try:
            return self.store.put_manifest(manifest)
        except QuotaFullError:
            return None


class Download:
    """The download of one dataset. `digests` and `wait_for_block` serve a reader in order.

    Args:
        network: the node's store and connections.
        cid: the manifest's CID, by which providers are found.
        manifest: the manifest.
        background: whether there is no reader.
    """

    def __init__(
        self, network: Network, cid: str, manifest: dict[str, Any], background: bool = False
    ) -> None:
        self._background = background
        self._network, self._cid, self.manifest = network, cid, manifest
        size, block = manifest["datasetSize"], manifest["blockSize"]
        self.total = -(-size // block)
        self.digests: list[bytes] | None = None
        self.received = 0
        self.bytes = 0
        self._pending: deque[int] = deque()
        self._left = self.total
        self._stopped = False
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._run())

    @property
    def complete(self) -> bool:
        """Whether every block is here."""
        return self._left == 0

    async def stop(self) -> None:
        """Request no more blocks; those already requested still arrive."""
        self._stopped = True
        async with self._news:
            self._news.notify_all()

    def kill(self) -> None:
        """End the download at once."""
        self._task.cancel()

    async def wait_for_block(self, index: int) -> bytes:
        """Return block `index` once it is here, which may be never."""
        async with self._news:
            await self._news.wait_for(
                lambda: self.digests is not None and self._network.store.has(self.digests[index])
            )
        assert self.digests is not None
        return self._network.store.get(self.digests[index])

    async def _run(self) -> None:
        tree = self.manifest["treeCid"]
        self.digests = self._network.store.tree(tree)
        if self._background and all(map(self._network.store.has, self.digests or [b""])):
            size = self.manifest["datasetSize"]
            await asyncio.sleep(LOCAL_SECONDS_PER_BYTE * size * self._network.time_scale)
        while not self._stopped:
            if self.digests is not None:
                await self._update_missing()
                if self.complete:
                    return
            links = await self._links()
            try:
                await self._fetch_from(links, tree)
            except* PeerLostError:
                pass
            finally:
                for link in links:
                    link.close()
            if not self.complete:
                await asyncio.sleep(RETRY_SECONDS * self._network.time_scale)

    async def _update_missing(self) -> None:
        assert self.digests is not None
        missing = [i for i, d in enumerate(self.digests) if not self._network.store.has(d)]
        async with self._news:
            self._pending, self._left = deque(missing), len(missing)
            self.received = self.total - len(missing)
            self.bytes = min(
                self.received * self.manifest["blockSize"], self.manifest["datasetSize"]
            )
            self._news.notify_all()

    async def _links(self) -> list[Link]:
        records: list[Record] = await self._network.discovery.providers(self._cid)
        found = await asyncio.gather(
            *(self._network.exchange.connect(record) for record in records),
            return_exceptions=True,
        )
        return [link for link in found if isinstance(link, Link)]

    async def _fetch_from(self, links: list[Link], tree: str) -> None:
        if self.digests is None:
            for link in links:
                digests = await link.tree(tree)
                if digests is None:
                    continue
                digest = hashlib.sha256(b"".join(digests)).digest()
                if cids.encode(cids.ROOT, digest) == tree:
                    self._network.store.put_tree(digests)
                    self.digests = digests
                    await self._update_missing()
                    break
            else:
                return
        habits, size = self._network.habits, self.manifest["datasetSize"]
        silent = size >= habits.silent_from_bytes
        stream = links and self._left == self.total and not self._background
        late = None
        if stream and (silent or size >= habits.first_last_from_bytes):
            await self._batch(links[0], [self._pending.popleft()])
            late = asyncio.create_task(
                self._fetch_first_blocks_last(self._network.silence_seconds * silent)
            )
        try:
            async with asyncio.TaskGroup() as group:
                for link in links:
                    group.create_task(self._work(link))
        finally:
            if late is not None:
                late.cancel()

    async def _fetch_first_blocks_last(self, silence_seconds: float) -> None:
        """Fetch the first blocks last, and not before the silence is over.

        Meanwhile the other blocks arrive in any order: the stream stalls, but the node doesn't.
        """
        rng = random.Random(f"{self._cid} {self._network.discovery.me.get('id')}")
        late = max(1, round((1 - rng.uniform(*FIRST_LAST_SHARE)) * self.total))
        first, others = list(self._pending)[:late], list(self._pending)[late:]
        rng.shuffle(others)
        self._pending = deque(others)
        await asyncio.sleep(silence_seconds)
        async with self._news:
            await self._news.wait_for(lambda: not self._pending)
            self._pending.extend(first)
            self._news.notify_all()

    async def _work(self, link: Link) -> None:
        """Fetch from one node until nothing is left; put back what it didn't deliver."""
        while not self._stopped:
            async with self._news:
                await self._news.wait_for(self._may_work)
                if self.complete or self._stopped:
                    return
                batch = [self._pending.popleft() for _ in range(min(BATCH, len(self._pending)))]
                self._news.notify_all()
            try:
                missing = await self._batch(link, batch)
            except PeerLostError:
                return
            if missing:
                return

    def _may_work(self) -> bool:
        return bool(self._pending) or self.complete or self._stopped

    async def _batch(self, link: Link, batch: list[int]) -> bool:
        """Fetch some blocks; return whether the other node lacks any of them."""
        assert self.digests is not None
        answered = 0
        missing = []
        try:
            await link.request_blocks([self.digests[index] for index in batch])
            for index in batch:
                data = await link.block()
                if data is None or hashlib.sha256(data).digest() != self.digests[index]:
                    missing.append(index)
                else:
                    await self._keep(index, data)
                answered += 1
        finally:
            lost = missing + batch[answered:]
            if lost:
                async with self._news:
                    self._pending.extendleft(reversed(lost))
                    self._news.notify_all()
        return bool(missing)

    async def _keep(self, index: int, data: bytes) -> None:
        assert self.digests is not None
        try:
            self._network.store.put(data, self.digests[index])
        except QuotaFullError as error:
            print(f"ERR Failed to store block error={error}", flush=True)
            await asyncio.Event().wait()  # a node at its quota reports nothing and keeps waiting
        async with self._news:
            self._left -= 1
            self.received += 1
            size = self.manifest["datasetSize"] - index * self.manifest["blockSize"]
            self.bytes += min(size, self.manifest["blockSize"])
            self._news.notify_all()
