"""Codex as a system: one node per peer, driven through the contract's stages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Context, Counters, Digest, Published, Record, Reference, System
from swarmrace.systems.codex.api import Api, Info, Space
from swarmrace.systems.codex.downloads import Background, check_growth, read_back
from swarmrace.systems.codex.metrics import MetricsWatch
from swarmrace.systems.codex.node import joined
from swarmrace.systems.codex.nodes import node_of
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.programs import needed_bytes
from swarmrace.systems.codex.stream import CodexStreamFile
from swarmrace.systems.node_api import UnreachableError
from swarmrace.systems.run import Run

_BOOTSTRAP = "bootstrap"
_AUTOPSY_SECONDS = 0.05
"""How long `remove` waits to see whether the node has died while it served."""
_ASK_SECONDS = 0.1
"""How often `settle` asks for the connections that an upload may have closed."""


class CodexSystem(System):
    """One peer's view of a Codex or Logos Storage swarm.

    Args:
        context: who and where this peer is.
        options: the entrant's options.
    """

    options: CodexOptions

    def __init__(self, context: Context, options: CodexOptions) -> None:
        super().__init__(context, options)
        self._node = node_of(context, options)
        self._watch: MetricsWatch | None = None
        self._info: Info | None = None
        self._space: Space | None = None
        self._cid: str | None = None
        self._stream: CodexStreamFile | None = None
        self._before_upload: Space | None = None
        self._had_connections = False
        self._must_know_peers = False
        """Whether the node counts as up only once it knows other nodes: true for all but the first
        seeder, which no node may have joined yet; true for that one too once it has known some."""
        self._download_left = False
        self._up = False
        self._trouble = ""

    async def prepare(self, run: Run) -> None:
        """Start the node cold and join it to the run's first seeder, or use a running node.

        The first seeder is up once its node answers. Every other peer's node must have heard from
        the swarm.
        """
        self._cid = self._space = None
        self._drop_stream()
        if self.options.download == "stream" and run.role(self.context.peer) == "leecher":
            self._stream = CodexStreamFile(self.context.work_dir / f"{run.id}.payload")
        self._before_upload, self._had_connections = None, False
        if self._download_left and self._node.running and not self.context.cold_start:
            raise TransferError(
                Reason.REFUSED,
                "codex: a failed background download may still run in this node, which could not "
                "end it; restart the node, or set coldStart: true",
            )
        if self.context.cold_start and not self._node.can_restart:
            raise TransferError(
                Reason.REFUSED,
                "codex: nodes that already run can't be started cold; set coldStart: false, or "
                "set the node's `program`",
            )
        first = run.seeders[0] == self.context.peer
        self._must_know_peers = self.context.swarm_size > 1 and not first
        try:
            if self.context.cold_start or not self._node.running:
                bootstrap = None if first else await self._bootstrap()
                await self._node.start(bootstrap)
                self._download_left = False
            info = await self._node.alive(self._identify())
        except TransferError as error:
            if first:
                await self.context.board.put(_BOOTSTRAP, {"failed": error.detail})
            raise
        if first:
            await self.context.board.put(_BOOTSTRAP, {"spr": info.spr})
        self._check_block_size()
        await self._node.alive(self._join())
        await self._stop_watch()
        self._watch = MetricsWatch(self._node.metrics_url)
        await self._watch.start()

    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Upload the file; it can be served once the node has returned its CID."""
        self._before_upload = self._space
        self._had_connections = bool(self._watch is not None and self._watch.connections)
        if self.context.swarm_size > 1 and not self._must_know_peers:
            self._must_know_peers = await self._node.alive(self._knows_peers())
        began_ns = self.context.clock.now_ns()
        cid = await self._node.alive(self._api.upload(file, self.options.block_size))
        steps = {"upload": (self.context.clock.now_ns() - began_ns) / 1e9}
        self._cid = cid
        if first is not None and first.get("cid") != cid:
            raise TransferError(
                Reason.REFUSED,
                f"codex: expected the first seeder's CID {first.get('cid')}, found {cid}: data, "
                "block size or node version differ (builds of October 2024 to February 2025 put "
                "the upload's time in the CID: use one seeder, or another version)",
            )
        return Published({"cid": cid}, steps)

    async def settle(self) -> None:
        """Wait until the node answers and knows other nodes: after an upload it may not answer for
        a while. (A first seeder that knew no node before its upload needn't know one now.)

        Its table may stay full meanwhile; so if it had connections, it must have some again.
        Whether a warm node had the content before the upload is checked to the end, within its own
        time limit, even if `settle` is cancelled.
        """
        try:
            await self._node.alive(self._join())
        except asyncio.CancelledError:
            await self._check_upload()
            raise
        await self._check_upload()
        if self._watch is not None:
            await self._node.alive(self._connected(self._watch))

    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Fetch by stream or in the background, according to the options."""
        cids = {str(reference.get("cid")) for reference in references}
        if len(cids) != 1:
            raise TransferError(
                Reason.REFUSED,
                f"codex: expected one CID, found {', '.join(sorted(cids)) or 'none'}",
            )
        self._cid = cids.pop()
        if self._watch is not None:
            record.connections_at_start = self._watch.connections
        if self.options.download == "stream":
            assert self._stream is not None, "prepare() comes first, for a leecher"
            url = self._api.stream_url(self._cid)
            await self._node.alive(self._stream.fetch(url, self._cid, record))
        else:
            assert self._space is not None, "prepare() comes first"
            background = Background(record.size_bytes, self.options.poll_seconds, self._space)
            try:
                await self._node.alive(background.fetch(self._api, self._cid, record))
            finally:
                self._download_left = background.download_left
        if self._space is not None and not self.context.cold_start:  # after done is recorded
            await self._node.alive(
                check_growth(self._api, self._cid, record.size_bytes, self._space)
            )
        if self._watch is not None:
            self._watch.ask_now()

    async def refresh(self) -> None:
        """Read the node's metrics once more."""
        if self._watch is not None:
            await self._watch.refresh()

    def counters(self) -> Counters:
        """Return the node's counters, as last read, since the run was prepared."""
        return self._watch.counters() if self._watch is not None else Counters()

    async def digest(self) -> Digest:
        """Return the digest of the stream's file, or of the node's content, read back."""
        if self._cid is None:
            raise TransferError(Reason.WRONG_BYTES, "codex: expected a content, found none fetched")
        if self._stream is not None:
            return await asyncio.to_thread(self._stream.digest)
        return await self._node.alive(read_back(self._api, self._cid))

    async def remove(self) -> None:
        """With a cold start, end the node and remove its data; otherwise delete the content.

        Raises:
            TransferError: the node died while it served.
        """
        await self._stop_watch()
        self._drop_stream()
        death = await self._node.autopsy(_AUTOPSY_SECONDS) if self._up else None
        cid, self._cid = self._cid, None
        if self.context.cold_start:
            self._up = False
            await self._node.stop()
        elif cid is not None and death is None:
            try:
                await self._api.delete(cid)
            except UnreachableError as error:
                raise TransferError(Reason.REFUSED, str(error)) from error
        if death is not None:
            raise self._node.death(death)

    async def close(self) -> None:
        """End the node, if swarmrace started it, and close every connection to it."""
        await self._stop_watch()
        self._drop_stream()
        self._up = False
        await self._node.close()

    def describe(self) -> Mapping[str, Any]:
        """Return version, command line and the settings used."""
        options, info, node = self.options, self._info, self._node
        settings: dict[str, Any] = {
            "download": options.download,
            "coldStart": self.context.cold_start,
            "command": node.command,
            "environment": node.environment,
            "node": node.recorded_as,
        }
        if options.download == "background":
            settings["pollSeconds"] = options.poll_seconds
        if options.block_size is not None:
            settings["blockSize"] = options.block_size
        if self._space is not None:
            settings["storageQuota"] = self._space.quota_max_bytes
        family = node.api.family if node.api is not None else None
        double = {"testDouble": True} if info is not None and info.test_double else {}
        return {
            **double,
            "family": family or options.family,
            "version": info.version if info else "unknown",
            "revision": info.revision if info else "unknown",
            "api": {"url": node.api.url if node.api else None},
            "settings": settings,
            "reasons": dict(node.reasons),
            "notes": [*node.notes, *(self._watch.notes if self._watch is not None else ())],
        }

    def last_words(self) -> str:
        """Return the last lines of the node's log, or its supervisor's note."""
        return self._node.last_lines()

    @property
    def found_running(self) -> bool:
        """Whether the node already ran before the race."""
        return not self._node.can_restart

    def progress(self) -> int | None:
        """Return how many blocks the node has received, by its own count."""
        return self._watch.blocks if self._watch is not None else None

    @property
    def trouble(self) -> str:
        """What the node hasn't done yet, or why it couldn't be asked."""
        return self._trouble

    def _note_trouble(self, text: str) -> None:
        self._trouble = f"codex: {text}"

    def processes(self) -> list[int]:
        """Return the node's pids; none if they can't be seen from here."""
        return self._node.pids()

    @property
    def _api(self) -> Api:
        api = self._node.api
        if api is None or api.family is None:
            raise TransferError(Reason.REFUSED, "codex: expected a running node, found none")
        return api

    async def _bootstrap(self) -> str:
        self._note_trouble("the first seeder has not posted its node's record yet")
        answer = await self.context.board.get(_BOOTSTRAP)
        self._trouble = ""
        if "failed" in answer:
            raise TransferError(
                Reason.REFUSED, f"codex: the first seeder's node is not up: {answer['failed']}"
            )
        return str(answer["spr"])

    async def _identify(self) -> Info:
        assert self._node.api is not None
        while True:
            try:
                self._info = await self._node.api.info()
                self._up = True
                self._trouble = ""
                return self._info
            except UnreachableError as error:
                self._note_trouble(str(error))
                await asyncio.sleep(0.05)

    async def _join(self) -> None:
        """Return when the node knows other nodes, if it must, and its space is known and
        sufficient."""
        if self._must_know_peers:
            await joined(self._api, self._note_trouble)
        while True:
            try:
                self._space = await self._api.space()
                self._trouble = ""
                break
            except UnreachableError as error:
                self._note_trouble(str(error))
                await asyncio.sleep(0.1)
        needed = self.context.size_bytes if self._cid is None else 0
        if self._space.free_bytes < needed:
            raise TransferError(
                Reason.REFUSED,
                f"codex: expected room for {needed} bytes, found {self._space.free_bytes} of a "
                f"quota of {self._space.quota_max_bytes}; set storageQuota to at least "
                f"{needed_bytes(self.context.size_bytes)}",
            )

    async def _knows_peers(self) -> bool:
        try:
            return bool((await self._api.info()).nodes)
        except UnreachableError:
            return False

    async def _check_upload(self) -> None:
        """Check once that the space of a warm node has grown by the upload."""
        before, self._before_upload = self._before_upload, None
        if self._cid is None or before is None or self.context.cold_start:
            return
        growth = check_growth(self._api, self._cid, self.context.size_bytes, before)
        task = asyncio.ensure_future(self._node.alive(growth))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _connected(self, watch: MetricsWatch) -> None:
        """Return once the metrics page shows connections again, if there were some."""
        answered = await watch.refresh()
        while self._had_connections and not (answered and watch.connections):
            self._note_trouble("the node's connections have not come back since its upload")
            await asyncio.sleep(_ASK_SECONDS)
            answered = await watch.refresh()
        self._trouble = ""

    def _check_block_size(self) -> None:
        if self.options.block_size is not None and self._api.family != "storage":
            raise TransferError(
                Reason.REFUSED,
                "codex: only Logos Storage accepts a blockSize, found a Codex node; remove it",
            )

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.remove()

    async def _stop_watch(self) -> None:
        if self._watch is not None:
            await self._watch.stop()
