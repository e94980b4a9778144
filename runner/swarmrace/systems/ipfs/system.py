"""One peer's IPFS: a kubo node, behind the contract of every system."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Context, Counters, Digest, Published, Record, Reference, System
from swarmrace.systems.ipfs.api import KuboRpc, NodeIdentity
from swarmrace.systems.ipfs.arrivals import Arrivals
from swarmrace.systems.ipfs.local import LocalKubo
from swarmrace.systems.ipfs.node import KuboNode
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.ipfs.pod import SupervisedKubo
from swarmrace.systems.ipfs.profiles import importing
from swarmrace.systems.ipfs.stream import CatFile
from swarmrace.systems.ipfs.watch import Watch
from swarmrace.systems.node_api import UnreachableError, digest_of
from swarmrace.systems.run import Run
from swarmrace.systems.sidecar import beside

_BOOTSTRAP = "bootstrap"
_LOOK_SECONDS = 0.05
"""How long `remove` checks whether the node has died while it served."""
_ASK_SECONDS = 0.1


def node_of(context: Context, options: IpfsOptions) -> KuboNode:
    """Return a peer's node, not started: its pod's sidecar, otherwise a child of this process."""
    sidecar = beside()
    if sidecar is not None and sidecar.control is not None:
        return SupervisedKubo(sidecar, context, options)
    return LocalKubo(context, options)


class IpfsSystem(System):
    """One peer's view of a swarm of kubo nodes.

    Args:
        context: who and where this peer is.
        options: the entrant's options.
    """

    options: IpfsOptions

    def __init__(self, context: Context, options: IpfsOptions) -> None:
        super().__init__(context, options)
        self._node = node_of(context, options)
        self._watch: Watch | None = None
        self._identity: NodeIdentity | None = None
        self._cid: str | None = None
        self._pinned = False
        self._stream: CatFile | None = None
        self._must_know_others = False
        """Whether the node counts as up only once it is connected: true for all but the first
        seeder, which no node may have joined yet; true for that one too once it has been
        connected."""
        self._trouble = ""

    async def prepare(self, run: Run) -> None:
        """Start the node on a new repository and join it to the run's first seeder.

        The first seeder is up once its node answers. Every other peer's node must be connected.
        """
        self._cid, self._pinned = None, False
        self._drop_stream()
        if self.options.download == "stream" and run.role(self.context.peer) == "leecher":
            self._stream = CatFile(self.context.work_dir / f"{run.id}.payload")
        first = run.seeders[0] == self.context.peer
        self._must_know_others = self.context.swarm_size > 1 and not first
        try:
            if self.context.cold_start or not self._node.running:
                bootstrap = () if first else await self._bootstrap()
                self._identity = await self._node.start(bootstrap)
        except TransferError as error:
            if first:
                await self.context.board.put(_BOOTSTRAP, {"failed": error.detail})
            raise
        assert self._identity is not None, "a node that runs was started here"
        if first:
            await self.context.board.put(_BOOTSTRAP, {"addresses": list(self._identity.addresses)})
        await self._node.alive(self._joined())
        await self._stop_watch()
        self._watch = Watch(self._rpc)
        await self._node.alive(self._watch.start())

    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Add the file. It can be served once the node has returned its CID and, if there are
        others, has announced it in their DHT."""
        if self.context.swarm_size > 1 and not self._must_know_others:
            self._must_know_others = await self._node.alive(self._knows_others())
        parameters, _ = importing(self.options)
        if self._must_know_others:
            parameters["fast-provide-wait"] = "true"
        began_ns = self.context.clock.now_ns()
        cid = await self._node.alive(self._rpc.add(file, parameters))
        steps = {"upload": (self.context.clock.now_ns() - began_ns) / 1e9}
        self._cid, self._pinned = cid, True
        if first is not None and first.get("cid") != cid:
            raise TransferError(
                Reason.REFUSED,
                f"ipfs: expected the first seeder's CID {first.get('cid')}, found {cid}: data, "
                "chunker or kubo's version differ",
            )
        return Published({"cid": cid}, steps)

    async def settle(self) -> None:
        """Return when the node answers and is connected to others."""
        await self._node.alive(self._joined())
        if self._watch is not None:
            await self._watch.refresh()

    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Fetch by stream or in the background, depending on the options."""
        cids = {str(reference.get("cid")) for reference in references}
        if len(cids) != 1:
            raise TransferError(
                Reason.REFUSED,
                f"ipfs: expected one CID, found {', '.join(sorted(cids)) or 'none'}",
            )
        self._cid = cid = cids.pop()
        assert self._watch is not None, "prepare() comes first"
        record.connections_at_start = self._watch.connections
        record.unlogged_duplicates = None
        arrivals = Arrivals(record, self._rpc, self.options.poll_seconds, self._watch.blocks)
        sampling = asyncio.create_task(arrivals.run())
        done_ns: int | None = None
        try:
            await self._node.alive(self._fetch(cid, record))
            done_ns = record.done_ns
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
            if done_ns is not None:
                with contextlib.suppress(UnreachableError):
                    await arrivals.sample()
            arrivals.finish(done_ns)
            if arrivals.unanswered:
                record.notes.append(f"{arrivals.unanswered} polls of the node had no answer")
        await self._node.alive(self._check(cid, arrivals, record))

    async def _fetch(self, cid: str, record: Record) -> None:
        if self.options.download == "stream":
            assert self._stream is not None, "prepare() comes first, and makes a leecher"
            await self._stream.fetch(self._rpc.cat_url(cid), record)
            return
        await self._rpc.pin(cid)
        now_ns = record.clock.now_ns()
        self._pinned = True
        record.discovered(now_ns)
        record.done(now_ns)

    async def _check(self, cid: str, arrivals: Arrivals, record: Record) -> None:
        """Check that all of it arrived during the race, and count duplicates. The time of done
        isn't changed."""
        if arrivals.kept_bytes < record.size_bytes:
            raise TransferError(
                Reason.REFUSED,
                f"ipfs: the node received {arrivals.kept_bytes} of {record.size_bytes} bytes, so "
                "it held the rest beforehand; raise `attempt`, or set coldStart: true",
            )
        with contextlib.suppress(UnreachableError):
            tree_bytes = await self._rpc.tree_bytes(cid)
            record.counted_duplicates = max(0, arrivals.received_bytes - tree_bytes)

    async def refresh(self) -> None:
        """Poll the node's counters once more."""
        if self._watch is not None:
            await self._watch.refresh()

    def counters(self) -> Counters:
        """Return the node's counters as last polled, counted since the run was prepared."""
        return self._watch.counters() if self._watch is not None else Counters()

    async def digest(self) -> Digest:
        """Return the digest of the stream's file, or of what the node stores."""
        if self._stream is not None:
            return await asyncio.to_thread(self._stream.digest)
        if self._cid is None:
            raise TransferError(Reason.REFUSED, "ipfs: nothing was fetched")
        return await self._node.alive(self._read_back(self._cid))

    async def _read_back(self, cid: str) -> Digest:
        async with self._rpc.held(cid) as response:
            return await digest_of(response)

    async def remove(self) -> None:
        """End the node and remove its repository; from a warm node, only remove the content.

        Raises:
            TransferError: the node has died while it served.
        """
        await self._stop_watch()
        self._drop_stream()
        running = self._identity is not None
        death = await self._node.autopsy(_LOOK_SECONDS) if running else None
        cid, self._cid = self._cid, None
        if self.context.cold_start:
            self._identity = None
            await self._node.stop()
        elif cid is not None and death is None:
            try:
                await self._rpc.remove(cid, pinned=self._pinned)
            except UnreachableError as error:
                raise TransferError(Reason.REFUSED, str(error)) from error
        if death is not None:
            raise self._node.death(death)

    async def close(self) -> None:
        """End the node and every connection to it."""
        await self._stop_watch()
        self._drop_stream()
        self._identity = None
        await self._node.close()

    def describe(self) -> Mapping[str, Any]:
        """Return the node's version, command line and settings."""
        parameters, reasons = importing(self.options)
        config = {name: setting.value for name, setting in self._node.settings.items()}
        reasons |= {name: setting.why for name, setting in self._node.settings.items()}
        for name, value in self.options.settings.items():
            config[name], reasons[name] = value, "the scenario's `settings`"
        return {
            "version": f"kubo {self._node.program or 'unknown'}",
            "settings": {
                "download": self.options.download,
                "pollSeconds": self.options.poll_seconds,
                "coldStart": self.context.cold_start,
                "add": parameters,
                "config": config,
                "command": self._node.command,
                "node": self._node.recorded_as,
            },
            "reasons": reasons,
            "notes": list(self._node.notes),
        }

    def last_words(self) -> str:
        """Return the last lines of the node's output."""
        return self._node.last_lines()

    @property
    def trouble(self) -> str:
        """What the node hasn't done yet, or why it couldn't be polled."""
        return self._trouble

    def processes(self) -> list[int]:
        """Return the node's pids, none if it runs in a container whose processes can't be seen."""
        return self._node.pids()

    @property
    def _rpc(self) -> KuboRpc:
        if self._node.rpc is None:
            raise TransferError(Reason.REFUSED, "ipfs: expected a running node, found none")
        return self._node.rpc

    async def _bootstrap(self) -> Sequence[str]:
        self._trouble = "ipfs: the first seeder has not posted its node's addresses yet"
        answer = await self.context.board.get(_BOOTSTRAP)
        self._trouble = ""
        if "failed" in answer:
            raise TransferError(
                Reason.REFUSED, f"ipfs: the first seeder's node is not up: {answer['failed']}"
            )
        return [str(address) for address in answer["addresses"]]

    async def _joined(self) -> None:
        """Return when the node answers and, if it must, is connected. The caller sets a time
        limit."""
        while True:
            try:
                connections = await self._rpc.connections()
                if connections or not self._must_know_others:
                    self._trouble = ""
                    return
                self._trouble = "ipfs: the node isn't connected to another node"
            except UnreachableError as error:
                self._trouble = f"ipfs: {error}"
            await asyncio.sleep(_ASK_SECONDS)

    async def _knows_others(self) -> bool:
        try:
            return bool(await self._rpc.connections())
        except UnreachableError:
            return False

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.remove()

    async def _stop_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.stop()
