"""When payload arrived at a node that only reports how many blocks it has received so far.

Bitswap counts the bytes of blocks: payload, the frame around it if leaves are not raw, blocks that
only hold links, and duplicate blocks, most of which it recognizes. At the end it is known how much
of this was not payload: the excess over the file size. When the excess arrived is unknown, so all
of it is subtracted from every sample. So no sample shows a byte that had not arrived. A sample may
be too low, by at most the excess: 0.03 % of a file in blocks of 256 KiB, plus unrecognized
duplicates.
"""

from __future__ import annotations

from typing import NamedTuple

from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Record
from swarmrace.systems.ipfs.api import Blocks, KuboRpc
from swarmrace.systems.node_api import UnreachableError
from swarmrace.systems.polling import Ticks

LINK_BYTES = 128
"""An upper bound of the bytes that one link and its leaf's frame take in a tree's blocks."""


class ProgressSample(NamedTuple):
    """The counters since the start, and when they were requested and answered."""

    asked_ns: int
    answered_ns: int
    blocks: int
    kept_bytes: int


class Arrivals:
    """Samples how much a node has received while it fetches.

    Args:
        record: gets a log of arrivals, and discovery with the first block.
        rpc: the node's.
        poll_seconds: the polling interval.
        before: what it had counted before the start.
    """

    def __init__(self, record: Record, rpc: KuboRpc, poll_seconds: float, before: Blocks) -> None:
        self._record, self._rpc, self._before = record, rpc, before
        self._poll_seconds = poll_seconds
        self._samples: list[ProgressSample] = []
        self._live = SampledLog(record.size_bytes)
        record.arrivals = self._live
        self.unanswered = 0
        self.last = before
        """What it had counted at the last poll."""

    async def run(self) -> None:
        """Sample until cancelled."""
        ticks = Ticks(self._record.clock, self._poll_seconds)
        while True:
            await ticks.wait()
            try:
                await self.sample()
            except UnreachableError:
                self.unanswered += 1

    async def sample(self) -> None:
        """Poll once.

        Raises:
            UnreachableError: no answer.
        """
        clock = self._record.clock
        asked_ns = clock.now_ns()
        self.last = await self._rpc.blocks()
        answered_ns = clock.now_ns()
        blocks = self.last.received - self._before.received
        kept = self.last.kept_bytes - self._before.kept_bytes
        if blocks > 0:  # the first is the root
            self._record.discovered(answered_ns)
        self._samples.append(ProgressSample(asked_ns, answered_ns, blocks, kept))
        self._live.sample(self._payload(blocks, kept), asked_ns, answered_ns)

    def finish(self, done_ns: int | None) -> None:
        """Replace the log that was shown during the transfer by the exact one, known afterwards.

        Args:
            done_ns: when the transfer was done; None if it was not.
        """
        record = self._record
        delivered = record.deliverable
        if delivered is not None and len(delivered) and record.discovered_ns is not None:
            first_ns = int(delivered.curve(0, record.size_bytes).t_ns[0])
            record.discovered_ns = min(record.discovered_ns, first_ns)
        log = SampledLog(record.size_bytes)
        for each in self._samples:
            if done_ns is None:
                log.sample(self._payload(each.blocks, each.kept_bytes), *each[:2])
            elif each.answered_ns < done_ns:
                log.sample(max(0, each.kept_bytes - self.excess_bytes), *each[:2])
        if delivered is not None:  # what has been delivered has arrived
            curve = delivered.curve(0, record.size_bytes)
            total = 0
            for length, t_ns in zip(curve.length.tolist(), curve.t_ns.tolist(), strict=True):
                total += length
                log.reached(total, t_ns, t_ns)
        if done_ns is not None:
            log.complete_at(done_ns)
        record.arrivals = log

    @property
    def kept_bytes(self) -> int:
        """Bytes of blocks received since the start, without duplicates that it recognized."""
        return self.last.kept_bytes - self._before.kept_bytes

    @property
    def received_bytes(self) -> int:
        """Bytes of all blocks received since the start."""
        return self.last.received_bytes - self._before.received_bytes

    @property
    def excess_bytes(self) -> int:
        """How many of them were not payload, once the file is complete."""
        return max(0, self.kept_bytes - self._record.size_bytes)

    def _payload(self, blocks: int, kept_bytes: int) -> int:
        """Return how many of these bytes are certainly payload, before the file is complete."""
        if not kept_bytes:
            return 0
        size = self._record.size_bytes
        leaves = 1 + size * blocks // kept_bytes
        return max(0, min(size - 1, kept_bytes - leaves * LINK_BYTES))
